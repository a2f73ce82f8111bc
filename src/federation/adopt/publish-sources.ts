import { publishObserved } from '../../authority/observed.ts'
import { type Changes } from '../../db/changes.ts'
import { inTransaction } from '../../db/connect.ts'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type DbClock } from '../../db/time.ts'
import { loadMesh } from '../../mesh/find-mesh.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { readDocument } from '../poll/accept-bundle.ts'
import { loadDistrust } from '../trust/distrust-store.ts'
import { effectiveBundle } from '../trust/effective-bundle.ts'
import { findCurrent } from '../peer-bundle/revision-store.ts'
import { lockRelationshipById } from '../store.ts'
import { listSources, type SourceKey } from './source-store.ts'

/** What publishing the authorities of other systems needs. */
export interface SourceDeps {
  /** The background handle. */
  readonly db: Db
  readonly now: DbClock
}

/** The actor of what is published because another system changed its authorities. */
const SOURCE_ACTOR = 'timer:observed-authorities'

/**
 * Publishes what is accepted of the systems that sign for trust domains of ours, where it differs from what is
 * published; of one mesh, or of all. Whatever way a change came (a poll, an approval, a hand), it is found here,
 * and finding it twice changes nothing.
 */
export async function publishSources(deps: SourceDeps, meshId?: MeshId): Promise<void> {
  for (const source of await listSources(deps.db, meshId)) {
    await inTransaction(deps.db, (trx) => publishSource(trx, deps, source))
  }
}

async function publishSource(
  trx: Db,
  { now }: SourceDeps,
  { meshId, relationshipId, trustDomain }: SourceKey,
): Promise<void> {
  const source = await lockRelationshipById(trx, meshId, relationshipId)
  // Suspended, it is read but no longer followed: what is published stays as it is.
  if (source?.state !== 'active') return
  const current = await findCurrent(trx, meshId, { relationshipId, trustDomain })
  if (current === undefined) return
  const { digests } = await loadDistrust(trx, meshId)
  const bundle = effectiveBundle(readDocument(trustDomain, current.document).bundle, digests)
  await publishObserved(trx, await loadMesh(trx, meshId), {
    trustDomain,
    bundle,
    cause: `authorities of ${nameOf(source.name, trustDomain)} changed`,
    context: { actor: SOURCE_ACTOR, now: await now(trx) },
  })
}

function nameOf(source: string, trustDomain: TrustDomain): string {
  return `${trustDomain} (${source})`
}

/** Tells when sources may have to be published again: after every change of a relationship or of distrust. */
export function onSourceChange(
  changes: Pick<Changes, 'on'>,
  heard: (meshId: MeshId) => void,
): void {
  changes.on('relationship', heard)
  changes.on('distrust', heard)
}
