import { type DistrustDependants } from '../federation/trust/distrust.ts'
import { type Dependant, type Dependants } from '../mesh/hooks.ts'
import { type GroupDependants } from '../federation/group/peer-groups.ts'
import { entriesMeeting, countEntries, entriesNaming } from './entry-store.ts'

/** Tells what of the registry would end with a mesh. */
export const registryDependants: Dependants = async (db, { meshId }): Promise<Dependant[]> => {
  const count = await countEntries(db, meshId)
  if (count === 0) return []
  const name = `${count} ${count === 1 ? 'entry' : 'entries'}`
  const effect = 'their workloads can renew no SVID and stop being trusted with the bundle'
  return [{ kind: 'entry', name, effect, blocks: false }]
}

/** Which entries name a peer group: without it their workloads are given no peer's bundle. */
export const entriesOfGroup: GroupDependants = async (db, { meshId, name }) => {
  const entries = await entriesNaming(db, meshId, name)
  return entries.map((spiffeId) => ({
    kind: 'entry',
    name: spiffeId,
    effect: "its workloads are given no peer's bundle any more",
    blocks: true,
  }))
}

/** Entries named one by one; a last line tells how many more there are. */
const MOST_NAMED = 50

/** Which identities are given the bundles of these domains. */
export const entriesOfDomains: DistrustDependants = async (db, { meshId, trustDomains }) => {
  const { named, count } = await entriesMeeting(db, meshId, { trustDomains, limit: MOST_NAMED })
  const effect = `its workloads are given ${trustDomains.join(', ')} without that key`
  const found = named.map((name) => ({ kind: 'entry', name, effect, blocks: false }))
  if (count <= found.length) return found
  const rest = `and ${count - found.length} more`
  return [...found, { kind: 'entry', name: rest, effect, blocks: false }]
}
