import { inTransaction } from '../../db/connect.ts'
import type { MeshId } from '../../db/ids.ts'
import type { Db } from '../../db/schema.ts'
import { DryRunQuery } from '../../http/dry-run.ts'
import { etagOf, matchIfSent } from '../../http/etag.ts'
import type { App } from '../../http/listener.ts'
import { decodeCursor, pageOf, PageQuery, pageSchema } from '../../http/page.ts'
import { MeshParams } from '../api.ts'
import { loadMesh } from '../find-mesh.ts'
import type { Dependant } from '../hooks.ts'
import { DeleteQuery } from './api.ts'
import {
  ChangeClusterBody,
  ChangedClusterBody,
  ClusterDetailBody,
  ClusterParams,
  type ClusterView,
  CreateClusterBody,
  CreatedClusterBody,
  EndedClusterBody,
} from './cluster-api.ts'
import type { KeptCluster } from './cluster-store.ts'
import { changeCluster, createCluster, deleteCluster } from './clusters.ts'
import { loadTopology } from './find-topology.ts'
import { noSuchObject } from './hold-topology.ts'
import type { ClusterPauses, TopologyHooks } from './hooks.ts'
import { contextOf, meshOf, type TopologyRoutesOptions } from './route-options.ts'
import { pageByName, viewCluster } from './view.ts'

/** Clusters of a mesh: create, list, read, change, delete. */
export const clusterRoutes = async (app: App, options: TopologyRoutesOptions): Promise<void> => {
  const { db, now, hooks } = options

  app.post(
    '/meshes/:meshId/clusters',
    {
      config: { action: 'cluster.create', etag: [201] },
      schema: {
        tags: ['clusters'],
        summary: 'Add a cluster with an intermediate of its own',
        params: MeshParams,
        body: CreateClusterBody,
        querystring: DryRunQuery,
        response: { 201: CreatedClusterBody, 200: CreatedClusterBody },
      },
    },
    async (request, reply) => {
      const meshId = meshOf(request)
      const { dryRun } = request.query
      const cluster = await inTransaction(
        db,
        async (trx) => {
          const context = await contextOf(request, trx, now)
          const deps = { context, hooks }
          const made = await createCluster(trx, meshId, { draft: request.body, deps })
          return viewNow(trx, meshId, { cluster: made, now: context.now })
        },
        { dryRun },
      )
      const body = { ...cluster, next: nextAfterCreate(cluster, meshId) }
      if (dryRun === true) return reply.code(200).send(body)
      reply.header('location', `/v1/meshes/${meshId}/clusters/${cluster.name}`)
      return reply.code(201).header('etag', etagOf(cluster.version)).send(body)
    },
  )

  app.get(
    '/meshes/:meshId/clusters',
    {
      config: { action: 'cluster.list' },
      schema: {
        tags: ['clusters'],
        summary: 'List clusters by name, each with the order of its control planes',
        params: MeshParams,
        querystring: PageQuery,
        response: { 200: pageSchema(ClusterDetailBody) },
      },
    },
    async (request) => {
      const { meshId } = await loadMesh(db, meshOf(request))
      const { limit, cursor } = request.query
      const after = decodeCursor(cursor, 1)?.[0]
      const topology = await loadTopology(db, meshId)
      const found = pageByName(topology.clusters.values(), { after, limit: limit + 1 })
      const page = pageOf(found, limit, ({ name }) => [name])
      const at = await now(db)
      return {
        items: page.items.map((cluster) => viewCluster(cluster, topology, at)),
        nextCursor: page.nextCursor,
      }
    },
  )

  app.get(
    '/meshes/:meshId/clusters/:cluster',
    {
      config: { action: 'cluster.read', etag: [200] },
      schema: {
        tags: ['clusters'],
        summary: 'Read a cluster, with its control planes in the order in which it tries them',
        params: ClusterParams,
        response: { 200: ClusterDetailBody },
      },
    },
    async (request, reply) => {
      const { meshId } = await loadMesh(db, meshOf(request))
      const topology = await loadTopology(db, meshId)
      const found = topology.clusters.get(request.params.cluster)
      if (found === undefined) throw noSuchObject('cluster', request.params.cluster, meshId)
      reply.header('etag', etagOf(found.version))
      return viewCluster(found, topology, await now(db))
    },
  )

  app.patch(
    '/meshes/:meshId/clusters/:cluster',
    {
      config: { action: 'cluster.update', ifMatch: 'honoured', etag: [200] },
      schema: {
        tags: ['clusters'],
        summary:
          'Change a cluster: drain, disable or activate it, its place, networks, control planes',
        params: ClusterParams,
        body: ChangeClusterBody,
        querystring: DryRunQuery,
        response: { 200: ChangedClusterBody },
      },
    },
    async (request, reply) => {
      const meshId = meshOf(request)
      const { cluster: name } = request.params
      const requireVersion = matchIfSent(request)
      const view = await inTransaction(
        db,
        async (trx) => {
          const context = await contextOf(request, trx, now)
          const of = { name, change: request.body, context, requireVersion }
          const cluster = await changeCluster(trx, meshId, of)
          const changed = await viewNow(trx, meshId, { cluster, now: context.now })
          if (request.body.state !== 'disabled') return changed
          const disabled = { cluster: name, now: context.now }
          return { ...changed, stops: await stopsOf(trx, meshId, { hooks, disabled }) }
        },
        { dryRun: request.query.dryRun },
      )
      reply.header('etag', etagOf(view.version))
      return view
    },
  )

  app.delete(
    '/meshes/:meshId/clusters/:cluster',
    {
      config: { action: 'cluster.delete', ifMatch: 'honoured' },
      schema: {
        tags: ['clusters'],
        summary: 'Delete a cluster with its intermediate; dryRun lists what ends with it',
        params: ClusterParams,
        querystring: DeleteQuery,
        response: { 200: EndedClusterBody },
      },
    },
    async (request) => {
      const meshId = meshOf(request)
      const { cluster: name } = request.params
      const { dryRun = false, force = false } = request.query
      const requireVersion = matchIfSent(request)
      return inTransaction(
        db,
        async (trx) => {
          const context = await contextOf(request, trx, now)
          const before = await loadTopology(trx, meshId)
          const ending = { name, context, requireVersion, force, dryRun, hooks }
          const { cluster, ended } = await deleteCluster(trx, meshId, ending)
          return { ...viewCluster(cluster, before, context.now), ended: [...ended] }
        },
        { dryRun },
      )
    },
  )
}

async function stopsOf(
  trx: Db,
  meshId: MeshId,
  { hooks, disabled }: { hooks: TopologyHooks; disabled: Parameters<ClusterPauses>[2] },
): Promise<Dependant[]> {
  const stops: Dependant[] = []
  for (const ask of hooks.pauses) stops.push(...(await ask(trx, meshId, disabled)))
  return stops
}

async function viewNow(
  trx: Db,
  meshId: MeshId,
  { cluster, now }: { readonly cluster: KeptCluster; readonly now: Date },
): Promise<ClusterView> {
  return viewCluster(cluster, await loadTopology(trx, meshId), now)
}

function nextAfterCreate({ name, networks }: ClusterView, meshId: MeshId): string[] {
  const network = networks[0] ?? 'default'
  return [
    `entente entry create --mesh ${meshId} --id /reporter/${name} --cluster ${name}`,
    `entente gateway create ${name} --mesh ${meshId} --network ${network} --cluster ${name} --address HOST --port 15443`,
    `entente cluster show ${name} --mesh ${meshId}`,
  ]
}
