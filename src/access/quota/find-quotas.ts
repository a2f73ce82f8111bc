import type { Db } from '../../db/schema.ts'
import { listOwners } from './quota-store.ts'

/** Those of some namespaces that have a quota; '' stands for the mesh itself. */
export async function quotasAmong(
  db: Db,
  meshId: string,
  namespaces: readonly string[],
): Promise<string[]> {
  const page = { after: undefined, among: namespaces, limit: namespaces.length }
  return namespaces.length === 0 ? [] : listOwners(db, meshId, page)
}
