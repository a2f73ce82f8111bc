import { inTransaction } from '../../db/connect.ts'
import { DryRunQuery } from '../../http/dry-run.ts'
import { etagOf, matchIfSent } from '../../http/etag.ts'
import type { App } from '../../http/listener.ts'
import { decodeCursor, pageOf, PageQuery, pageSchema } from '../../http/page.ts'
import { MeshParams } from '../api.ts'
import { loadMesh } from '../find-mesh.ts'
import {
  ChangeGatewayBody,
  CreatedGatewayBody,
  CreateGatewayBody,
  EndedGatewayBody,
  NameParams,
  GatewayBody,
} from './api.ts'
import { noSuchObject } from './hold-topology.ts'
import { loadTopology } from './find-topology.ts'
import { changeGateway, createGateway, deleteGateway } from './gateways.ts'
import { contextOf, meshOf, type TopologyRoutesOptions } from './route-options.ts'
import { pageByName, viewGateway } from './view.ts'

/** Gateways of a mesh: create, list, read, change, delete. */
export const gatewayRoutes = async (
  app: App,
  { db, now }: Omit<TopologyRoutesOptions, 'hooks'>,
): Promise<void> => {
  app.post(
    '/meshes/:meshId/gateways',
    {
      config: { action: 'gateway.create', narrows: true, etag: [201] },
      schema: {
        tags: ['gateways'],
        summary: 'Add a gateway: other networks reach its network through it',
        params: MeshParams,
        body: CreateGatewayBody,
        querystring: DryRunQuery,
        response: { 201: CreatedGatewayBody, 200: CreatedGatewayBody },
      },
    },
    async (request, reply) => {
      const meshId = meshOf(request)
      const { dryRun } = request.query
      const created = await inTransaction(
        db,
        async (trx) => {
          const context = await contextOf(request, trx, now)
          const made = await createGateway(trx, meshId, { draft: request.body, context })
          return viewGateway(made, context.now)
        },
        { dryRun },
      )
      const next = [
        ...(created.heartbeatSeconds === null
          ? []
          : [`entente gateway heartbeat ${created.name} --mesh ${meshId}`]),
        `entente gateway list --mesh ${meshId}`,
        `entente gateway drain ${created.name} --mesh ${meshId}`,
      ]
      const body = { ...created, next }
      if (dryRun === true) return reply.code(200).send(body)
      reply.header('location', `/v1/meshes/${meshId}/gateways/${created.name}`)
      return reply.code(201).header('etag', etagOf(created.version)).send(body)
    },
  )

  app.get(
    '/meshes/:meshId/gateways',
    {
      config: { action: 'gateway.list' },
      schema: {
        tags: ['gateways'],
        summary: 'List gateways by name',
        params: MeshParams,
        querystring: PageQuery,
        response: { 200: pageSchema(GatewayBody) },
      },
    },
    async (request) => {
      const { meshId } = await loadMesh(db, meshOf(request))
      const { limit, cursor } = request.query
      const after = decodeCursor(cursor, 1)?.[0]
      const { gateways } = await loadTopology(db, meshId)
      const found = pageByName(gateways, { after, limit: limit + 1 })
      const at = await now(db)
      const page = pageOf(found, limit, ({ name }) => [name])
      return { items: page.items.map((one) => viewGateway(one, at)), nextCursor: page.nextCursor }
    },
  )

  app.get(
    '/meshes/:meshId/gateways/:name',
    {
      config: { action: 'gateway.read', etag: [200] },
      schema: {
        tags: ['gateways'],
        summary: 'Read a gateway',
        params: NameParams,
        response: { 200: GatewayBody },
      },
    },
    async (request, reply) => {
      const { meshId } = await loadMesh(db, meshOf(request))
      const { name } = request.params
      const gateway = (await loadTopology(db, meshId)).gateways.find((one) => one.name === name)
      if (gateway === undefined) throw noSuchObject('gateway', name, meshId)
      reply.header('etag', etagOf(gateway.version))
      return viewGateway(gateway, await now(db))
    },
  )

  app.patch(
    '/meshes/:meshId/gateways/:name',
    {
      config: { action: 'gateway.update', narrows: true, ifMatch: 'honoured', etag: [200] },
      schema: {
        tags: ['gateways'],
        summary: 'Change a gateway',
        params: NameParams,
        body: ChangeGatewayBody,
        querystring: DryRunQuery,
        response: { 200: GatewayBody },
      },
    },
    async (request, reply) => {
      const { name } = request.params
      const requireVersion = matchIfSent(request)
      const changed = await inTransaction(
        db,
        async (trx) => {
          const context = await contextOf(request, trx, now)
          const change = request.body
          const of = { name, change, context, requireVersion }
          return viewGateway(await changeGateway(trx, meshOf(request), of), context.now)
        },
        { dryRun: request.query.dryRun },
      )
      reply.header('etag', etagOf(changed.version))
      return changed
    },
  )

  app.delete(
    '/meshes/:meshId/gateways/:name',
    {
      config: { action: 'gateway.delete', narrows: true, ifMatch: 'honoured' },
      schema: {
        tags: ['gateways'],
        summary: 'Delete a gateway; dryRun lists what loses it',
        params: NameParams,
        querystring: DryRunQuery,
        response: { 200: EndedGatewayBody },
      },
    },
    async (request) => {
      const { name } = request.params
      const { dryRun } = request.query
      const requireVersion = matchIfSent(request)
      return inTransaction(
        db,
        async (trx) => {
          const context = await contextOf(request, trx, now)
          const ending = { name, context, requireVersion }
          const { gateway, ended } = await deleteGateway(trx, meshOf(request), ending)
          return { ...viewGateway(gateway, context.now), ended: [...ended] }
        },
        { dryRun },
      )
    },
  )
}
