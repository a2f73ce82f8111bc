import { type MeshId } from '../db/ids.ts'
import { type Db } from '../db/schema.ts'

/** The cluster or the network that endpoints are in. */
export interface EndpointPlace {
  readonly kind: 'cluster' | 'network'
  readonly name: string
}

/** How many endpoints are reported in a place. */
export async function countEndpointsIn(
  db: Db,
  meshId: MeshId,
  { kind, name }: EndpointPlace,
): Promise<number> {
  const { count } = await db
    .selectFrom('endpoint')
    .select(({ fn }) => fn.countAll<bigint>().as('count'))
    .where('mesh_id', '=', meshId)
    .where(kind, '=', name)
    .executeTakeFirstOrThrow()
  return Number(count)
}

/** Forgets the endpoints in a place; they come back only where a reporter tells them anew. */
export async function deleteEndpointsIn(
  trx: Db,
  meshId: MeshId,
  { kind, name }: EndpointPlace,
): Promise<void> {
  await trx.deleteFrom('endpoint').where('mesh_id', '=', meshId).where(kind, '=', name).execute()
}
