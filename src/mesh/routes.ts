import { type Static, Type } from 'typebox'
import { type Db, inTransaction } from '../db/connect.ts'
import { ownerMeshesOf } from '../access/owner-scope.ts'
import { parseMeshId } from '../db/ids.ts'
import type { DbClock } from '../db/time.ts'
import { DryRunQuery } from '../http/dry-run.ts'
import { etagOf, matchIfSent } from '../http/etag.ts'
import type { App } from '../http/listener.ts'
import { decodeCursor, pageOf, PageQuery, pageSchema } from '../http/page.ts'
import { parseTrustDomain } from '../spiffe/trust-domain.ts'
import {
  ChangedMeshBody,
  ChangeMeshBody,
  CreatedMeshBody,
  CreateMeshBody,
  EndedBody,
  MeshBody,
  MeshParams,
  type MeshView,
} from './api.ts'
import { changeMesh } from './change-mesh.ts'
import { createMesh, type CreateMeshDeps, type NewMesh } from './create-mesh.ts'
import { deleteMesh } from './delete-mesh.ts'
import { loadMesh } from './find-mesh.ts'
import type { Crossings, Dependants, FindCrossings, MeshEnder, SettingsFollower } from './hooks.ts'
import { type Resolve, resolveHost } from './host-check.ts'
import { nextAfterCreate } from './next-commands.ts'
import { listMeshes } from './store.ts'
import { viewMesh, withHostChecks } from './view.ts'

/** What the mesh routes need. */
export interface MeshRoutesOptions extends CreateMeshDeps {
  readonly db: Db
  readonly now: DbClock
  readonly followers: readonly SettingsFollower[]
  readonly crossings: FindCrossings
  readonly dependants: readonly Dependants[]
  readonly enders?: readonly MeshEnder[]
  /** Looks up bundle hosts; default the resolver of this machine. */
  readonly resolve?: Resolve
}

const DeleteQuery = Type.Object(
  {
    ...DryRunQuery.properties,
    force: Type.Optional(
      Type.Boolean({ description: 'delete although active relationships end with it' }),
    ),
  },
  { additionalProperties: false },
)

/** Meshes: create, list, read, change settings, delete. */
export const meshRoutes = async (app: App, options: MeshRoutesOptions): Promise<void> => {
  const { db, now, publicUrl } = options
  const resolve = options.resolve ?? resolveHost

  app.post(
    '/meshes',
    {
      config: { action: 'mesh.create', etag: [201] },
      schema: {
        tags: ['meshes'],
        summary: 'Create a mesh with its authorities and published bundle',
        body: CreateMeshBody,
        querystring: DryRunQuery,
        response: { 201: CreatedMeshBody, 200: CreatedMeshBody },
      },
    },
    async (request, reply) => {
      const wanted = newMeshOf(request.body)
      const actor = request.principal.name
      const view = await inTransaction(
        db,
        async (trx) => {
          const context = { actor, now: await now(trx) }
          const { mesh } = await createMesh(trx, options, { wanted, context })
          return viewMesh(trx, mesh, { publicUrl, now: context.now })
        },
        { dryRun: request.query.dryRun },
      )
      const checked = await withHostChecks(view, publicUrl, resolve)
      const body = { ...checked, next: nextAfterCreate(checked) }
      if (request.query.dryRun === true) return reply.code(200).send(body)
      reply.header('location', `/v1/meshes/${view.meshId}`).header('etag', etagOf(view.version))
      return reply.code(201).send(body)
    },
  )

  app.get(
    '/meshes',
    {
      config: { action: 'mesh.list' },
      schema: {
        tags: ['meshes'],
        summary: 'List the meshes that your grants reach',
        querystring: PageQuery,
        response: { 200: pageSchema(MeshBody) },
      },
    },
    async (request) => {
      const { limit, cursor } = request.query
      const after = decodeCursor(cursor, 1)?.[0]
      const among = ownerMeshesOf(request.principal, 'mesh.list')
      const meshes = await listMeshes(db, { after, limit: limit + 1, among })
      const page = pageOf(meshes, limit, (mesh) => [mesh.meshId])
      const items: MeshView[] = []
      const at = await now(db)
      for (const mesh of page.items) items.push(await viewMesh(db, mesh, { publicUrl, now: at }))
      return { items, nextCursor: page.nextCursor }
    },
  )

  app.get(
    '/meshes/:meshId',
    {
      config: { action: 'mesh.read', etag: [200] },
      schema: {
        tags: ['meshes'],
        summary: 'Read a mesh, with what to hand to its peers',
        params: MeshParams,
        response: { 200: MeshBody },
      },
    },
    async (request, reply) => {
      const mesh = await loadMesh(db, parseMeshId(request.params.meshId))
      const view = await viewMesh(db, mesh, { publicUrl, now: await now(db) })
      reply.header('etag', etagOf(view.version))
      return withHostChecks(view, publicUrl, resolve)
    },
  )

  app.patch(
    '/meshes/:meshId',
    {
      config: { action: 'mesh.update', ifMatch: 'honoured', etag: [200] },
      schema: {
        tags: ['meshes'],
        summary: 'Change names and settings of a mesh',
        params: MeshParams,
        body: ChangeMeshBody,
        querystring: DryRunQuery,
        response: { 200: ChangedMeshBody },
      },
    },
    async (request, reply) => {
      const meshId = parseMeshId(request.params.meshId)
      const actor = request.principal.name
      const deps = { followers: options.followers, requireVersion: matchIfSent(request) }
      const view = await inTransaction(
        db,
        async (trx) => {
          const context = { actor, now: await now(trx) }
          const mesh = await changeMesh(trx, meshId, { change: request.body, context, deps })
          const isMoved = request.body.environment !== undefined
          const crossings = isMoved ? await options.crossings(trx, mesh) : NO_CROSSINGS
          return {
            ...(await viewMesh(trx, mesh, { publicUrl, now: context.now })),
            crossesEnvironments: [...crossings.relationships],
            next: [...crossings.next],
          }
        },
        { dryRun: request.query.dryRun },
      )
      reply.header('etag', etagOf(view.version))
      return view
    },
  )

  app.delete(
    '/meshes/:meshId',
    {
      config: { action: 'mesh.delete' },
      schema: {
        tags: ['meshes'],
        summary: 'Delete a mesh; answers with what ended',
        params: MeshParams,
        querystring: DeleteQuery,
        response: { 200: EndedBody },
      },
    },
    async (request) => {
      const meshId = parseMeshId(request.params.meshId)
      const { dryRun = false, force = false } = request.query
      const actor = request.principal.name
      const ended = await inTransaction(
        db,
        async (trx) => {
          const context = { actor, now: await now(trx) }
          const { dependants, enders } = options
          return deleteMesh(trx, meshId, { context, dependants, enders, force, dryRun })
        },
        { dryRun },
      )
      return { ended: [...ended] }
    },
  )
}

const NO_CROSSINGS: Crossings = { relationships: [], next: [] }

function newMeshOf(body: Static<typeof CreateMeshBody>): NewMesh {
  return {
    ...body,
    meshId: parseMeshId(body.meshId),
    trustDomain: parseTrustDomain(body.trustDomain),
  }
}
