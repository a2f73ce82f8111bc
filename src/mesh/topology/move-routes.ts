import { inTransaction } from '../../db/connect.ts'
import { parseMeshId } from '../../db/ids.ts'
import { DryRunQuery } from '../../http/dry-run.ts'
import { matchIfSent } from '../../http/etag.ts'
import type { App } from '../../http/listener.ts'
import { ClusterParams, MoveClusterBody, MovedClusterBody } from './cluster-api.ts'
import { loadTopology } from './find-topology.ts'
import type { MovedObject } from './hooks.ts'
import { moveCluster } from './move-cluster.ts'
import { contextOf, meshOf, type TopologyRoutesOptions } from './route-options.ts'
import { viewCluster } from './view.ts'

/** Most commands that an answer suggests. */
const MOST_NEXT = 10

/** The move of a cluster to another mesh of this service. */
export const moveRoutes = async (
  app: App,
  { db, now, hooks }: TopologyRoutesOptions,
): Promise<void> => {
  app.post(
    '/meshes/:meshId/clusters/:cluster/move',
    {
      config: { action: 'cluster.move', ifMatch: 'honoured' },
      schema: {
        tags: ['clusters'],
        summary: 'Move a cluster to another mesh; dryRun lists every identity that changes',
        params: ClusterParams,
        body: MoveClusterBody,
        querystring: DryRunQuery,
        response: { 200: MovedClusterBody },
      },
    },
    async (request) => {
      const { toMesh: to, ...rest } = request.body
      const toMesh = parseMeshId(to)
      const { cluster: name } = request.params
      const requireVersion = matchIfSent(request)
      return inTransaction(
        db,
        async (trx) => {
          const context = await contextOf(request, trx, now)
          const wanted = { name, toMesh, ...rest, context, hooks, requireVersion }
          const { cluster, moved } = await moveCluster(trx, meshOf(request), wanted)
          const view = viewCluster(cluster, await loadTopology(trx, toMesh), context.now)
          return {
            ...view,
            meshId: toMesh,
            moved: moved.map(viewMoved),
            next: nextAfterMove(moved, toMesh),
          }
        },
        { dryRun: request.query.dryRun },
      )
    },
  )
}

function viewMoved({ kind, name, becomes, effect }: MovedObject) {
  return { kind, name, becomes: becomes ?? null, effect }
}

function nextAfterMove(moved: readonly MovedObject[], toMesh: string): string[] {
  const entries = moved.filter(({ kind, becomes }) => kind === 'entry' && becomes !== undefined)
  return [
    ...entries
      .slice(0, MOST_NEXT)
      .map(({ becomes }) => `entente join-token create --mesh ${toMesh} --id ${becomes ?? ''}`),
    `entente entry list --mesh ${toMesh}`,
  ]
}
