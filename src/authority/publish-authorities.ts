import type { ChangeContext } from '../audit/record.ts'
import { type Published, publishBundle } from '../bundle/publish.ts'
import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import type { Mesh } from '../mesh/mesh.ts'
import { importPublicKey, publicJwk } from '../pki/key-pair.ts'
import { type Bundle, parseBundle } from '../spiffe/bundle.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import type { StoredAuthority } from './authority.ts'
import { markPublished } from './change-store.ts'
import { findObserved } from './observed-store.ts'
import { listLiving } from './store.ts'

/** Which bundle is to be published, and why. */
export interface PublishAuthorities {
  readonly trustDomain: TrustDomain
  readonly cause: string
  readonly context: ChangeContext
}

/**
 * Publishes the bundle of a trust domain as its authorities are now, in the caller's transaction: every root
 * and JWT key that is prepared, active or retired (X5-27, FE-30, FE-32), and those of another system that signs
 * for it.
 */
export async function publishAuthorities(
  trx: Db,
  mesh: Pick<Mesh, 'meshId' | 'settings'>,
  { trustDomain, cause, context }: PublishAuthorities,
): Promise<Published> {
  const { meshId } = mesh
  const ours = publicPart(await listLiving(trx, meshId, trustDomain))
  const theirs = await observedPart(trx, meshId, trustDomain)
  const published = await publishBundle(trx, meshId, {
    trustDomain,
    hintSeconds: mesh.settings.hintSeconds,
    cause,
    context,
    x509Authorities: [...theirs.x509Authorities, ...ours.x509Authorities],
    jwtAuthorities: [...theirs.jwtAuthorities, ...ours.jwtAuthorities],
  })
  const { sequence } = published
  await markPublished(trx, meshId, { trustDomain, sequence, at: context.now })
  return published
}

type Authorities = Pick<Bundle, 'x509Authorities' | 'jwtAuthorities'>

function publicPart(authorities: readonly StoredAuthority[]): Authorities {
  return {
    x509Authorities: authorities.flatMap(({ kind, certificate, publicKey }) =>
      kind === 'x509_root' && certificate !== undefined
        ? [{ certificate, jwk: publicJwk(importPublicKey(publicKey)) }]
        : [],
    ),
    jwtAuthorities: authorities.flatMap(({ kind, keyId, publicKey }) =>
      kind === 'jwt' ? [{ kid: keyId, jwk: publicJwk(importPublicKey(publicKey)) }] : [],
    ),
  }
}

async function observedPart(
  trx: Db,
  meshId: MeshId,
  trustDomain: TrustDomain,
): Promise<Authorities> {
  const document = await findObserved(trx, meshId, trustDomain)
  if (document === undefined) return { x509Authorities: [], jwtAuthorities: [] }
  return parseBundle(trustDomain, document).bundle
}
