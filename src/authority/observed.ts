import type { ChangeContext } from '../audit/record.ts'
import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import type { Mesh } from '../mesh/mesh.ts'
import { type Bundle, writeBundle } from '../spiffe/bundle.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import { deleteObserved, findObserved, putObserved } from './observed-store.ts'
import { publishAuthorities } from './publish-authorities.ts'
import { listLiving } from './store.ts'

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

/** Whether authorities of our own sign X509-SVIDs and JWT-SVIDs of a trust domain. */
export async function canSign(db: Db, meshId: MeshId, trustDomain: TrustDomain): Promise<boolean> {
  const living = await listLiving(db, meshId, trustDomain)
  return (['x509_intermediate', 'jwt'] as const).every((kind) =>
    living.some((one) => one.kind === kind && one.state === 'active' && one.hasKey),
  )
}
