import { type Dependant } from '../mesh/hooks.ts'
import { type TopologyDependants, type TopologyEnder } from '../mesh/topology/hooks.ts'
import { deleteEntry } from './change-entries.ts'
import { entriesTiedTo } from './cluster-entry-store.ts'

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

/** Ends the entries that are tied to a cluster, each with its audit record. */
export const endEntriesOfCluster: TopologyEnder = async (trx, { kind, meshId, name }, context) => {
  if (kind !== 'cluster') return
  for (const { id } of await entriesTiedTo(trx, meshId, name)) {
    await deleteEntry(trx, meshId, { id, context, requireVersion: () => undefined })
  }
}
