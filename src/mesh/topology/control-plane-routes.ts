import { inTransaction } from '../../db/connect.ts'
import { DryRunQuery } from '../../http/dry-run.ts'
import { etagOf, matchIfSent } from '../../http/etag.ts'
import type { App } from '../../http/listener.ts'
import { decodeCursor, pageOf, PageQuery, pageSchema } from '../../http/page.ts'
import { MeshParams } from '../api.ts'
import { loadMesh } from '../find-mesh.ts'
import {
  ChangeControlPlaneBody,
  CreatedControlPlaneBody,
  CreateControlPlaneBody,
  DeleteQuery,
  EndedControlPlaneBody,
  NameParams,
  ControlPlaneBody,
} from './api.ts'
import { noSuchObject } from './hold-topology.ts'
import { loadTopology } from './find-topology.ts'
import { changeControlPlane, createControlPlane, deleteControlPlane } from './control-planes.ts'
import { contextOf, meshOf, type TopologyRoutesOptions } from './route-options.ts'
import { pageByName, viewControlPlane } from './view.ts'

/** Control planes of a mesh: create, list, read, change, delete. */
export const controlPlaneRoutes = async (
  app: App,
  { db, now }: Omit<TopologyRoutesOptions, 'hooks'>,
): Promise<void> => {
  app.post(
    '/meshes/:meshId/control-planes',
    {
      config: { action: 'control-plane.create', narrows: true, etag: [201] },
      schema: {
        tags: ['control-planes'],
        summary: 'Add a control plane; clusters use it once they rank it',
        params: MeshParams,
        body: CreateControlPlaneBody,
        querystring: DryRunQuery,
        response: { 201: CreatedControlPlaneBody, 200: CreatedControlPlaneBody },
      },
    },
    async (request, reply) => {
      const meshId = meshOf(request)
      const { dryRun } = request.query
      const created = await inTransaction(
        db,
        async (trx) => {
          const context = await contextOf(request, trx, now)
          const made = await createControlPlane(trx, meshId, { draft: request.body, context })
          return viewControlPlane(made, context.now)
        },
        { dryRun },
      )
      const next = [
        `entente cluster change CLUSTER --mesh ${meshId} --control-planes FIRST,${created.name}`,
        `entente mesh show ${meshId}`,
      ]
      const body = { ...created, next }
      if (dryRun === true) return reply.code(200).send(body)
      reply.header('location', `/v1/meshes/${meshId}/control-planes/${created.name}`)
      return reply.code(201).header('etag', etagOf(created.version)).send(body)
    },
  )

  app.get(
    '/meshes/:meshId/control-planes',
    {
      config: { action: 'control-plane.list' },
      schema: {
        tags: ['control-planes'],
        summary: 'List control planes by name',
        params: MeshParams,
        querystring: PageQuery,
        response: { 200: pageSchema(ControlPlaneBody) },
      },
    },
    async (request) => {
      const { meshId } = await loadMesh(db, meshOf(request))
      const { limit, cursor } = request.query
      const after = decodeCursor(cursor, 1)?.[0]
      const { controlPlanes } = await loadTopology(db, meshId)
      const found = pageByName(controlPlanes.values(), { after, limit: limit + 1 })
      const at = await now(db)
      const page = pageOf(found, limit, ({ name }) => [name])
      return {
        items: page.items.map((one) => viewControlPlane(one, at)),
        nextCursor: page.nextCursor,
      }
    },
  )

  app.get(
    '/meshes/:meshId/control-planes/:name',
    {
      config: { action: 'control-plane.read', etag: [200] },
      schema: {
        tags: ['control-planes'],
        summary: 'Read a control plane',
        params: NameParams,
        response: { 200: ControlPlaneBody },
      },
    },
    async (request, reply) => {
      const { meshId } = await loadMesh(db, meshOf(request))
      const { name } = request.params
      const plane = (await loadTopology(db, meshId)).controlPlanes.get(name)
      if (plane === undefined) throw noSuchObject('control plane', name, meshId)
      reply.header('etag', etagOf(plane.version))
      return viewControlPlane(plane, await now(db))
    },
  )

  app.patch(
    '/meshes/:meshId/control-planes/:name',
    {
      config: { action: 'control-plane.update', narrows: true, ifMatch: 'honoured', etag: [200] },
      schema: {
        tags: ['control-planes'],
        summary: 'Change a control plane',
        params: NameParams,
        body: ChangeControlPlaneBody,
        querystring: DryRunQuery,
        response: { 200: ControlPlaneBody },
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
          return viewControlPlane(await changeControlPlane(trx, meshOf(request), of), context.now)
        },
        { dryRun: request.query.dryRun },
      )
      reply.header('etag', etagOf(changed.version))
      return changed
    },
  )

  app.delete(
    '/meshes/:meshId/control-planes/:name',
    {
      config: { action: 'control-plane.delete', narrows: true, ifMatch: 'honoured' },
      schema: {
        tags: ['control-planes'],
        summary: 'Delete a control plane; dryRun lists the clusters that use it',
        params: NameParams,
        querystring: DeleteQuery,
        response: { 200: EndedControlPlaneBody },
      },
    },
    async (request) => {
      const { name } = request.params
      const { dryRun = false, force = false } = request.query
      const requireVersion = matchIfSent(request)
      return inTransaction(
        db,
        async (trx) => {
          const context = await contextOf(request, trx, now)
          const ending = { name, context, requireVersion, force, dryRun }
          const { plane, ended } = await deleteControlPlane(trx, meshOf(request), ending)
          return { ...viewControlPlane(plane, context.now), ended: [...ended] }
        },
        { dryRun },
      )
    },
  )
}
