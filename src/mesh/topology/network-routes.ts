import { inTransaction } from '../../db/connect.ts'
import { DryRunQuery } from '../../http/dry-run.ts'
import { etagOf, matchIfSent } from '../../http/etag.ts'
import type { App } from '../../http/listener.ts'
import { decodeCursor, pageOf, PageQuery, pageSchema } from '../../http/page.ts'
import { MeshParams } from '../api.ts'
import { loadMesh } from '../find-mesh.ts'
import {
  ChangeNetworkBody,
  CreatedNetworkBody,
  CreateNetworkBody,
  DeleteQuery,
  EndedNetworkBody,
  NameParams,
  NetworkBody,
} from './api.ts'
import { noSuchObject } from './hold-topology.ts'
import { listNetworks } from './network-store.ts'
import { changeNetwork, createNetwork, deleteNetwork } from './networks.ts'
import { contextOf, meshOf, type TopologyRoutesOptions } from './route-options.ts'
import { pageByName, viewNetwork } from './view.ts'

/** Networks of a mesh: create, list, read, change, delete. */
export const networkRoutes = async (app: App, options: TopologyRoutesOptions): Promise<void> => {
  const { db, now, hooks } = options

  app.post(
    '/meshes/:meshId/networks',
    {
      config: { action: 'network.create', etag: [201] },
      schema: {
        tags: ['networks'],
        summary: 'Add a network: within it workloads reach each other, others come by its gateways',
        params: MeshParams,
        body: CreateNetworkBody,
        querystring: DryRunQuery,
        response: { 201: CreatedNetworkBody, 200: CreatedNetworkBody },
      },
    },
    async (request, reply) => {
      const meshId = meshOf(request)
      const { dryRun } = request.query
      const network = await inTransaction(
        db,
        async (trx) => {
          const context = await contextOf(request, trx, now)
          return createNetwork(trx, meshId, { draft: request.body, context })
        },
        { dryRun },
      )
      const { name } = network
      const next = [
        `entente cluster change CLUSTER --mesh ${meshId} --networks ${name}`,
        `entente gateway create NAME --mesh ${meshId} --network ${name} --address HOST --port 15443`,
      ]
      const body = { ...viewNetwork(network), next }
      if (dryRun === true) return reply.code(200).send(body)
      reply.header('location', `/v1/meshes/${meshId}/networks/${name}`)
      return reply.code(201).header('etag', etagOf(network.version)).send(body)
    },
  )

  app.get(
    '/meshes/:meshId/networks',
    {
      config: { action: 'network.list' },
      schema: {
        tags: ['networks'],
        summary: 'List networks by name',
        params: MeshParams,
        querystring: PageQuery,
        response: { 200: pageSchema(NetworkBody) },
      },
    },
    async (request) => {
      const { meshId } = await loadMesh(db, meshOf(request))
      const { limit, cursor } = request.query
      const after = decodeCursor(cursor, 1)?.[0]
      const found = pageByName(await listNetworks(db, meshId), { after, limit: limit + 1 })
      const page = pageOf(found, limit, ({ name }) => [name])
      return { items: page.items.map(viewNetwork), nextCursor: page.nextCursor }
    },
  )

  app.get(
    '/meshes/:meshId/networks/:name',
    {
      config: { action: 'network.read', etag: [200] },
      schema: {
        tags: ['networks'],
        summary: 'Read a network',
        params: NameParams,
        response: { 200: NetworkBody },
      },
    },
    async (request, reply) => {
      const { meshId } = await loadMesh(db, meshOf(request))
      const { name } = request.params
      const network = (await listNetworks(db, meshId)).find((one) => one.name === name)
      if (network === undefined) throw noSuchObject('network', name, meshId)
      reply.header('etag', etagOf(network.version))
      return viewNetwork(network)
    },
  )

  app.patch(
    '/meshes/:meshId/networks/:name',
    {
      config: { action: 'network.update', ifMatch: 'honoured', etag: [200] },
      schema: {
        tags: ['networks'],
        summary: 'Change whether the addresses in a network are used directly',
        params: NameParams,
        body: ChangeNetworkBody,
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

  app.delete(
    '/meshes/:meshId/networks/:name',
    {
      config: { action: 'network.delete', ifMatch: 'honoured' },
      schema: {
        tags: ['networks'],
        summary: 'Delete a network with its gateways; dryRun lists what is in it',
        params: NameParams,
        querystring: DeleteQuery,
        response: { 200: EndedNetworkBody },
      },
    },
    async (request) => {
      const { name } = request.params
      const { dryRun = false, force = false } = request.query
      const requireVersion = matchIfSent(request)
      const { network, ended } = await inTransaction(
        db,
        async (trx) => {
          const context = await contextOf(request, trx, now)
          const ending = { name, context, requireVersion, force, dryRun, hooks }
          return deleteNetwork(trx, meshOf(request), ending)
        },
        { dryRun },
      )
      return { ...viewNetwork(network), ended: [...ended] }
    },
  )
}
