import type { ChangeContext } from '../audit/record.ts'
import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import type { Mesh } from '../mesh/mesh.ts'
import { type Bundle, parseBundle, writeBundle } from '../spiffe/bundle.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import { deleteObserved, findObserved, putObserved } from './observed-store.ts'
import { publishAuthorities } from './publish-authorities.ts'

/** The authorities of the system that signs for an observed trust domain, and why they are published now. */
export interface ObservedAuthorities {
  readonly trustDomain: TrustDomain
  /** Its own sequence and hint do not count; ours are published. */
  readonly bundle: Pick<Bundle, 'x509Authorities' | 'jwtAuthorities'>
  readonly cause: string
  readonly context: ChangeContext
}

/**
 * Publishes the authorities of another system in the bundle of a trust domain of ours, beside our own if there
 * are any, with our own sequence, in the caller's transaction. Answers whether anything changed.
 */
export async function publishObserved(
  trx: Db,
  mesh: Pick<Mesh, 'meshId' | 'settings'>,
  { trustDomain, bundle, cause, context }: ObservedAuthorities,
): Promise<boolean> {
  const document = writeBundle({
    trustDomain,
    sequence: undefined,
    refreshHintSeconds: undefined,
    x509Authorities: bundle.x509Authorities,
    jwtAuthorities: bundle.jwtAuthorities,
  })
  const before = await findObserved(trx, mesh.meshId, trustDomain)
  if (before !== undefined && Buffer.compare(before, document) === 0) return false
  await putObserved(trx, mesh.meshId, { trustDomain, document, at: context.now })
  await publishAuthorities(trx, mesh, { trustDomain, cause, context })
  return true
}

/** Takes the authorities of the other system out of the published bundle; ours stay. */
export async function withdrawObserved(
  trx: Db,
  mesh: Pick<Mesh, 'meshId' | 'settings'>,
  { trustDomain, cause, context }: Omit<ObservedAuthorities, 'bundle'>,
): Promise<void> {
  await deleteObserved(trx, mesh.meshId, trustDomain)
  await publishAuthorities(trx, mesh, { trustDomain, cause, context })
}

/** What of another system is published for a trust domain; undefined when there is none. */
export async function observedBundle(
  db: Db,
  meshId: MeshId,
  trustDomain: TrustDomain,
): Promise<Bundle | undefined> {
  const document = await findObserved(db, meshId, trustDomain)
  return document === undefined ? undefined : parseBundle(trustDomain, document).bundle
}
