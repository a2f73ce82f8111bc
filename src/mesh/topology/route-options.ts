import type { FastifyRequest } from 'fastify'
import { ACTIONS } from '../../access/actions.ts'
import { ownerClustersOf } from '../../access/owner-scope.ts'
import type { Db } from '../../db/connect.ts'
import { type MeshId, parseMeshId } from '../../db/ids.ts'
import type { DbClock } from '../../db/time.ts'
import type { TopologyContext } from './hold-topology.ts'
import type { TopologyHooks } from './hooks.ts'

/** What the routes of a topology need. */
export interface TopologyRoutesOptions {
  readonly db: Db
  readonly now: DbClock
  readonly hooks: TopologyHooks
}

/** The mesh that a request names. */
export function meshOf(request: FastifyRequest): MeshId {
  return parseMeshId((request.params as { readonly meshId: string }).meshId)
}

/** Who asks, the database's time, and the clusters that they may act on. */
export async function contextOf(
  request: FastifyRequest,
  trx: Db,
  now: DbClock,
): Promise<TopologyContext> {
  const { principal, routeOptions } = request
  const { action } = routeOptions.config
  const isOfClusters = action !== undefined && ACTIONS[action].scope === 'cluster'
  return {
    actor: principal.name,
    now: await now(trx),
    ownerClusters: isOfClusters ? ownerClustersOf(principal, action, meshOf(request)) : undefined,
  }
}
