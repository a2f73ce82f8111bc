import { ownerScopeOf } from '../access/owner-scope.ts'
import { type Db, inTransaction } from '../db/connect.ts'
import { parseMeshId } from '../db/ids.ts'
import { type DbClock } from '../db/time.ts'
import { DryRunQuery } from '../http/dry-run.ts'
import { etagOf, matchIfSent } from '../http/etag.ts'
import { type App } from '../http/listener.ts'
import { decodeCursor, pageOf, pageSchema } from '../http/page.ts'
import { MeshParams } from '../mesh/api.ts'
import { loadMesh } from '../mesh/find-mesh.ts'
import {
  ChangeServiceBody,
  CreatedServiceBody,
  CreateServiceBody,
  ServiceBody,
  ServiceParams,
  ServicesQuery,
} from './api.ts'
import { changeService, createService, deleteService, noSuchService } from './change-services.ts'
import { type Service, serviceTitle } from './service.ts'
import { findService, listServices } from './store.ts'
import { viewService } from './view.ts'

/** What the services' routes need. */
export interface ServiceRoutesOptions {
  readonly db: Db
  readonly now: DbClock
}

/** The services of a mesh: create, list, read, change, delete. */
export const serviceRoutes = async (app: App, { db, now }: ServiceRoutesOptions): Promise<void> => {
  app.post(
    '/meshes/:meshId/services',
    {
      config: { action: 'service.create', narrows: true, etag: [201] },
      schema: {
        tags: ['services'],
        summary: 'Add a service to the catalogue; rules decide who sees it',
        params: MeshParams,
        body: CreateServiceBody,
        querystring: DryRunQuery,
        response: { 201: CreatedServiceBody, 200: CreatedServiceBody },
      },
    },
    async (request, reply) => {
      const meshId = parseMeshId(request.params.meshId)
      const { principal } = request
      const ownerScope = ownerScopeOf(principal, 'service.create', meshId)
      const { dryRun } = request.query
      const service = await inTransaction(
        db,
        async (trx) => {
          const context = { actor: principal.name, now: await now(trx), ownerScope }
          return createService(trx, meshId, { draft: request.body, context })
        },
        { dryRun },
      )
      const body = { ...viewService(service), next: nextAfterCreate(service) }
      if (dryRun === true) return reply.code(200).send(body)
      const title = serviceTitle(service)
      reply.header('location', `/v1/meshes/${meshId}/services/${title}`)
      return reply.code(201).header('etag', etagOf(service.version)).send(body)
    },
  )

  app.get(
    '/meshes/:meshId/services',
    {
      config: { action: 'service.list', narrows: true },
      schema: {
        tags: ['services'],
        summary: 'List the services of a mesh',
        params: MeshParams,
        querystring: ServicesQuery,
        response: { 200: pageSchema(ServiceBody) },
      },
    },
    async (request) => {
      const meshId = parseMeshId(request.params.meshId)
      const { limit, cursor, namespace } = request.query
      await loadMesh(db, meshId)
      const after = decodeCursor(cursor, 2)
      const among = ownerScopeOf(request.principal, 'service.list', meshId)
      const wanted = { namespace, among, after, limit: limit + 1 }
      const rows = await listServices(db, meshId, wanted)
      const page = pageOf(rows, limit, (service) => [service.namespace, service.name])
      return { items: page.items.map(viewService), nextCursor: page.nextCursor }
    },
  )

  app.get(
    '/meshes/:meshId/services/:namespace/:name',
    {
      config: { action: 'service.read', etag: [200] },
      schema: {
        tags: ['services'],
        summary: 'Read a service',
        params: ServiceParams,
        response: { 200: ServiceBody },
      },
    },
    async (request, reply) => {
      const meshId = parseMeshId(request.params.meshId)
      await loadMesh(db, meshId)
      const service = await findService(db, meshId, request.params)
      if (service === undefined) throw noSuchService(meshId, request.params)
      reply.header('etag', etagOf(service.version))
      return viewService(service)
    },
  )

  app.patch(
    '/meshes/:meshId/services/:namespace/:name',
    {
      config: { action: 'service.update', ifMatch: 'honoured', etag: [200] },
      schema: {
        tags: ['services'],
        summary: 'Change the ports or labels of a service, or who may serve it',
        params: ServiceParams,
        body: ChangeServiceBody,
        querystring: DryRunQuery,
        response: { 200: ServiceBody },
      },
    },
    async (request, reply) => {
      const meshId = parseMeshId(request.params.meshId)
      const { principal } = request
      const ownerScope = ownerScopeOf(principal, 'service.update', meshId)
      const { body: change, params: name, query } = request
      const requireVersion = matchIfSent(request)
      const service = await inTransaction(
        db,
        async (trx) => {
          const context = { actor: principal.name, now: await now(trx), ownerScope }
          return changeService(trx, meshId, { name, change, context, requireVersion })
        },
        { dryRun: query.dryRun },
      )
      reply.header('etag', etagOf(service.version))
      return viewService(service)
    },
  )

  app.delete(
    '/meshes/:meshId/services/:namespace/:name',
    {
      config: { action: 'service.delete', ifMatch: 'honoured' },
      schema: {
        tags: ['services'],
        summary: 'Delete a service; answers with what it was',
        params: ServiceParams,
        querystring: DryRunQuery,
        response: { 200: ServiceBody },
      },
    },
    async (request) => {
      const meshId = parseMeshId(request.params.meshId)
      const { principal } = request
      const ownerScope = ownerScopeOf(principal, 'service.delete', meshId)
      const { params: name, query } = request
      const requireVersion = matchIfSent(request)
      const service = await inTransaction(
        db,
        async (trx) => {
          const context = { actor: principal.name, now: await now(trx), ownerScope }
          return deleteService(trx, meshId, { name, context, requireVersion })
        },
        { dryRun: query.dryRun },
      )
      return viewService(service)
    },
  )
}

function nextAfterCreate(service: Service): string[] {
  const title = serviceTitle(service)
  return [
    `entente rule export ${title} --to RELATIONSHIP`,
    `entente explain ID --may-call ${title}`,
  ]
}
