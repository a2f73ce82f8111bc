import { type Dependant } from '../mesh/hooks.ts'
import { primaryTrustDomain } from '../mesh/find-mesh.ts'
import {
  type ClusterMover,
  type ClusterPauses,
  type MovedObject,
  type TopologyDependants,
  type TopologyEnder,
} from '../mesh/topology/hooks.ts'
import { pathOf, type SpiffeId, spiffeIdOf } from '../spiffe/spiffe-id.ts'
import { createEntry, deleteEntry, ownerOf } from './change-entries.ts'
import { countTied, entriesTiedTo } from './cluster-entry-store.ts'
import { type Entry, type EntryDraft, type EntryOwner, groupOf, isExpired } from './entry.ts'

export { holdTied } from './cluster-entry-store.ts'

/** Entries named one by one; a last line tells how many more there are. */
const MOST_NAMED = 50

/** Which identities are tied to a cluster and end with it. */
export const entriesOfCluster: TopologyDependants = async (db, { kind, meshId, name }) => {
  if (kind !== 'cluster') return []
  const tied = await entriesTiedTo(db, meshId, name)
  const effect = 'ends with it: no SVID is renewed, no join token of it can be used'
  const named = tied
    .slice(0, MOST_NAMED)
    .map(({ spiffeId }): Dependant => ({ kind: 'entry', name: spiffeId, effect, blocks: true }))
  if (tied.length <= named.length) return named
  const rest = `and ${tied.length - named.length} more`
  return [...named, { kind: 'entry', name: rest, effect, blocks: true }]
}

/** How many identities get no SVID while the cluster that they are tied to is disabled. */
export const entriesPausedWith: ClusterPauses = async (db, meshId, disabled) => {
  const { entries, holding } = await countTied(db, meshId, disabled)
  if (entries === 0) return []
  const name = entries === 1 ? '1 entry' : `${entries} entries`
  const effect = `no SVID is issued or renewed until the cluster is active; ${holding} of ${entries} hold one now, and need a join token once it has ended`
  return [{ kind: 'entries', name, effect, blocks: false }]
}

/** Ends the entries that are tied to a cluster, each with its audit record. */
export const endEntriesOfCluster: TopologyEnder = async (trx, { kind, meshId, name }, context) => {
  if (kind !== 'cluster') return
  for (const { id } of await entriesTiedTo(trx, meshId, name)) {
    await deleteEntry(trx, meshId, { id, context, requireVersion: () => undefined })
  }
}

/**
 * Makes the entries that are tied to a cluster anew in the mesh that it moves to: the same path in that mesh's primary
 * trust domain; and ends the old ones with their join tokens, so that no SVID of theirs is renewed.
 */
export const moveEntries: ClusterMover = async (trx, { from, to, cluster, context }) => {
  const { name: trustDomain } = await primaryTrustDomain(trx, to.meshId)
  const owner = await ownerOf(trx, to.meshId, context)
  const moved: MovedObject[] = []
  for (const { id } of await entriesTiedTo(trx, from.meshId, cluster)) {
    const ending = { id, context, requireVersion: () => undefined }
    const { entry, livingSvids } = await deleteEntry(trx, from.meshId, ending)
    if (isExpired(entry, context.now)) {
      moved.push({ kind: 'entry', name: entry.spiffeId, effect: 'had ended before' })
      continue
    }
    const draft = draftOf(entry, {
      spiffeId: spiffeIdOf(trustDomain, pathOf(entry.spiffeId)),
      owner,
    })
    const made = await createEntry(trx, to.meshId, { draft, context })
    const effect = effectOf(entry, livingSvids)
    moved.push({ kind: 'entry', name: entry.spiffeId, becomes: made.spiffeId, effect })
  }
  return moved
}

interface Arrival {
  readonly spiffeId: SpiffeId
  readonly owner: EntryOwner
}

// A group is known by its name in one mesh only: what it means in another nobody has said.
function draftOf(entry: Entry, { spiffeId, owner }: Arrival): EntryDraft {
  const { maxX509SvidSeconds, maxJwtSvidSeconds } = owner.settings
  const { dnsNames, hint, cluster, expiresAt } = entry
  return {
    spiffeId,
    dnsNames,
    hint,
    cluster,
    expiresAt,
    x509TtlSeconds: Math.min(entry.x509TtlSeconds, maxX509SvidSeconds),
    jwtTtlSeconds: Math.min(entry.jwtTtlSeconds, maxJwtSvidSeconds),
    federatesWith: groupOf(entry) === undefined ? entry.federatesWith : 'none',
  }
}

function effectOf(entry: Entry, livingSvids: number): string {
  const group = groupOf(entry)
  const ungrouped =
    group === undefined ? '' : `; federates with nobody, as group ${group} was one of the old mesh`
  const living = livingSvids === 1 ? '1 SVID stays' : `${livingSvids} SVIDs stay`
  return `issued anew: its join tokens end, its workload attests again; ${living} valid until the end, none is renewed${ungrouped}`
}
