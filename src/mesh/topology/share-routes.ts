import { inTransaction } from '../../db/connect.ts'
import { DryRunQuery } from '../../http/dry-run.ts'
import { etagOf, matchIfSent } from '../../http/etag.ts'
import type { App } from '../../http/listener.ts'
import { NameParams, NetworkBody, ShareNetworkBody } from './api.ts'
import { changeNetwork } from './networks.ts'
import { contextOf, meshOf, type TopologyRoutesOptions } from './route-options.ts'
import { viewNetwork } from './view.ts'

/** The sharing of a network between meshes, which only who may act on all of them decides. */
export const shareRoutes = async (
  app: App,
  { db, now }: Omit<TopologyRoutesOptions, 'hooks'>,
): Promise<void> => {
  app.put(
    '/meshes/:meshId/networks/:name/shared-name',
    {
      config: { action: 'network.share', ifMatch: 'honoured', etag: [200] },
      schema: {
        tags: ['networks'],
        summary: 'Say that several meshes are in this network: the same shared name in each',
        params: NameParams,
        body: ShareNetworkBody,
        querystring: DryRunQuery,
        response: { 200: NetworkBody },
      },
    },
    async (request, reply) => {
      const { name } = request.params
      const requireVersion = matchIfSent(request)
      const network = await inTransaction(
        db,
        async (trx) => {
          const context = await contextOf(request, trx, now)
          const change = request.body
          return changeNetwork(trx, meshOf(request), { name, change, context, requireVersion })
        },
        { dryRun: request.query.dryRun },
      )
      reply.header('etag', etagOf(network.version))
      return viewNetwork(network)
    },
  )
}
