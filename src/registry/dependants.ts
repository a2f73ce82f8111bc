import { type Dependant, type Dependants } from '../mesh/hooks.ts'
import { type GroupDependants } from '../federation/peer-groups.ts'
import { countEntries, entriesNaming } from './entry-store.ts'

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
