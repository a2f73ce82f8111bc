import { type Dependant, type Dependants } from '../mesh/hooks.ts'
import { countEntries } from './entry-store.ts'

/** Tells what of the registry would end with a mesh. */
export const registryDependants: Dependants = async (db, { meshId }): Promise<Dependant[]> => {
  const count = await countEntries(db, meshId)
  if (count === 0) return []
  const name = `${count} ${count === 1 ? 'entry' : 'entries'}`
  const effect = 'their workloads can renew no SVID and stop being trusted with the bundle'
  return [{ kind: 'entry', name, effect, blocks: false }]
}
