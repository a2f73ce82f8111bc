import type { ChangeContext } from '../audit/record.ts'
import { type Published, publishBundle } from '../bundle/publish.ts'
import type { Db } from '../db/schema.ts'
import type { Mesh } from '../mesh/mesh.ts'
import { importPublicKey, publicJwk } from '../pki/key-pair.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import { markPublished } from './change-store.ts'
import { listLiving } from './store.ts'

/** Which bundle is to be published, and why. */
export interface PublishAuthorities {
  readonly trustDomain: TrustDomain
  readonly cause: string
  readonly context: ChangeContext
}

/**
 * Publishes the bundle of a trust domain as its authorities are now, in the caller's transaction: every root
 * and JWT key that is prepared, active or retired (X5-27, FE-30, FE-32).
 */
export async function publishAuthorities(
  trx: Db,
  mesh: Pick<Mesh, 'meshId' | 'settings'>,
  { trustDomain, cause, context }: PublishAuthorities,
): Promise<Published> {
  const { meshId } = mesh
  const authorities = await listLiving(trx, meshId, trustDomain)
  const published = await publishBundle(trx, meshId, {
    trustDomain,
    hintSeconds: mesh.settings.hintSeconds,
    cause,
    context,
    x509Authorities: authorities.flatMap(({ kind, certificate, publicKey }) =>
      kind === 'x509_root' && certificate !== undefined
        ? [{ certificate, jwk: publicJwk(importPublicKey(publicKey)) }]
        : [],
    ),
    jwtAuthorities: authorities.flatMap(({ kind, keyId, publicKey }) =>
      kind === 'jwt' ? [{ kid: keyId, jwk: publicJwk(importPublicKey(publicKey)) }] : [],
    ),
  })
  const { sequence } = published
  await markPublished(trx, meshId, { trustDomain, sequence, at: context.now })
  return published
}
