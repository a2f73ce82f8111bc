import { inTransaction } from '../../db/connect.ts'
import { DryRunQuery } from '../../http/dry-run.ts'
import type { App } from '../../http/listener.ts'
import { ControlPlaneBody, GatewayBody, NameParams } from './api.ts'
import { hearControlPlane, hearGateway } from './hear.ts'
import { contextOf, meshOf, type TopologyRoutesOptions } from './route-options.ts'
import { viewControlPlane, viewGateway } from './view.ts'

/** Heartbeats by administrators and their scripts; reporters of clusters give theirs on the workload listener. */
export const hearRoutes = async (
  app: App,
  { db, now }: Omit<TopologyRoutesOptions, 'hooks'>,
): Promise<void> => {
  app.post(
    '/meshes/:meshId/control-planes/:name/heartbeat',
    {
      config: { action: 'control-plane.heartbeat', narrows: true },
      schema: {
        tags: ['control-planes'],
        summary:
          'Say that a control plane lives; for those that no reporter of a cluster speaks for',
        params: NameParams,
        querystring: DryRunQuery,
        response: { 200: ControlPlaneBody },
      },
    },
    async (request) => {
      const { name } = request.params
      return inTransaction(
        db,
        async (trx) => {
          const context = await contextOf(request, trx, now)
          const heard = await hearControlPlane(trx, meshOf(request), { name, context })
          return viewControlPlane(heard, context.now)
        },
        { dryRun: request.query.dryRun },
      )
    },
  )

  app.post(
    '/meshes/:meshId/gateways/:name/heartbeat',
    {
      config: { action: 'gateway.heartbeat', narrows: true },
      schema: {
        tags: ['gateways'],
        summary: 'Say that a gateway lives; for those that no reporter of a cluster speaks for',
        params: NameParams,
        querystring: DryRunQuery,
        response: { 200: GatewayBody },
      },
    },
    async (request) => {
      const { name } = request.params
      return inTransaction(
        db,
        async (trx) => {
          const context = await contextOf(request, trx, now)
          const heard = await hearGateway(trx, meshOf(request), { name, context })
          return viewGateway(heard, context.now)
        },
        { dryRun: request.query.dryRun },
      )
    },
  )
}
