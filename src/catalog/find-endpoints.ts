import { type MeshId } from '../db/ids.ts'
import { type Db } from '../db/schema.ts'
import { listEndpoints } from './endpoint-store.ts'
import { type ReportedEndpoint } from './endpoint.ts'
import { type ServiceName } from './service.ts'

/**
 * Every endpoint of a service of a mesh, of all its clusters: one namespace is the same in all of them.
 *
 * Stale ones are among them; leave out those whose `freshUntil` has passed.
 */
export async function endpointsOf(
  db: Db,
  meshId: MeshId,
  { namespace, name }: ServiceName,
): Promise<readonly ReportedEndpoint[]> {
  return listEndpoints(db, meshId, { namespace, service: name })
}
