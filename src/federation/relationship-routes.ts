import { Type } from 'typebox'
import { inTransaction } from '../db/connect.ts'
import { parseMeshId } from '../db/ids.ts'
import { DryRunQuery } from '../http/dry-run.ts'
import { etagOf, requireMatch } from '../http/etag.ts'
import { type App } from '../http/listener.ts'
import { decodeCursor, pageOf, PageQuery, pageSchema } from '../http/page.ts'
import { MeshParams } from '../mesh/api.ts'
import { loadMesh } from '../mesh/find-mesh.ts'
import {
  ChangeRelationshipBody,
  CreatedRelationshipBody,
  CreateRelationshipBody,
  RelationshipBody,
} from './api.ts'
import { changeRelationship } from './change-relationship.ts'
import { createRelationship } from './create-relationship.ts'
import { loadRelationship } from './find-relationship.ts'
import { egressCommand, nextAfterCreate } from './next-commands.ts'
import { clearPeerAlarms } from './poll/report-poll.ts'
import { type RelationshipRoutesOptions } from './route-options.ts'
import { listRelationships } from './store.ts'
import { viewRelationship, viewRelationships } from './view.ts'

const Params = Type.Object({
  ...MeshParams.properties,
  name: Type.String({ maxLength: 63 }),
})

/** Relationships: create, list, read, change. */
export const relationshipRoutes = async (
  app: App,
  options: RelationshipRoutesOptions,
): Promise<void> => {
  const { anchors, readers } = options
  const { db, now } = options.refresh
  const viewDeps = { db, anchors, readers }

  app.post(
    '/meshes/:meshId/relationships',
    {
      config: { action: 'relationship.create', etag: [201] },
      bodyLimit: 20 * 1024 * 1024,
      schema: {
        tags: ['relationships'],
        summary: 'Federate with a peer mesh, one-way; our consent is given by this',
        params: MeshParams,
        body: CreateRelationshipBody,
        querystring: DryRunQuery,
        response: { 201: CreatedRelationshipBody, 200: CreatedRelationshipBody },
      },
    },
    async (request, reply) => {
      const meshId = parseMeshId(request.params.meshId)
      const actor = request.principal.name
      const view = await inTransaction(
        db,
        async (trx) => {
          const context = { actor, now: await now(trx) }
          const made = await createRelationship(trx, meshId, {
            draft: request.body,
            context,
            readers,
          })
          for (const found of options.founders) await found(trx, made, context)
          return viewRelationship({ ...viewDeps, db: trx }, made, context.now)
        },
        { dryRun: request.query.dryRun },
      )
      const egress = egressCommand(view, await options.egress.rulesFor(meshId))
      const body = { ...view, next: nextAfterCreate(view, egress) }
      if (request.query.dryRun === true) return reply.code(200).send(body)
      options.peerBundles.invalidate(meshId)
      options.scheduler.kick()
      reply.header('location', `/v1/meshes/${meshId}/relationships/${view.name}`)
      return reply.code(201).header('etag', etagOf(view.version)).send(body)
    },
  )

  app.get(
    '/meshes/:meshId/relationships',
    {
      config: { action: 'relationship.list' },
      schema: {
        tags: ['relationships'],
        summary: 'List relationships with state and health',
        params: MeshParams,
        querystring: PageQuery,
        response: { 200: pageSchema(RelationshipBody) },
      },
    },
    async (request) => {
      const { meshId } = await loadMesh(db, parseMeshId(request.params.meshId))
      const { limit, cursor } = request.query
      const after = decodeCursor(cursor, 1)?.[0]
      const found = await listRelationships(db, meshId, { after, limit: limit + 1 })
      const page = pageOf(found, limit, ({ name }) => [name])
      const items = await viewRelationships(viewDeps, page.items, await now(db))
      return { items, nextCursor: page.nextCursor }
    },
  )

  app.get(
    '/meshes/:meshId/relationships/:name',
    {
      config: { action: 'relationship.read', etag: [200] },
      schema: {
        tags: ['relationships'],
        summary: 'Read a relationship: state, health, last attempt and success, next poll',
        params: Params,
        response: { 200: RelationshipBody },
      },
    },
    async (request, reply) => {
      const found = await loadRelationship(
        db,
        parseMeshId(request.params.meshId),
        request.params.name,
      )
      const view = await viewRelationship(viewDeps, found, await now(db))
      reply.header('etag', etagOf(view.version))
      return view
    },
  )

  app.patch(
    '/meshes/:meshId/relationships/:name',
    {
      config: { action: 'relationship.update', ifMatch: 'required', etag: [200] },
      schema: {
        tags: ['relationships'],
        summary: 'Change name, owner data, policy or hint limits; everything else is pinned',
        params: Params,
        body: ChangeRelationshipBody,
        querystring: DryRunQuery,
        response: { 200: RelationshipBody },
      },
    },
    async (request, reply) => {
      const meshId = parseMeshId(request.params.meshId)
      const actor = request.principal.name
      const view = await inTransaction(
        db,
        async (trx) => {
          const context = { actor, now: await now(trx) }
          const after = await changeRelationship(trx, meshId, {
            name: request.params.name,
            change: request.body,
            context,
            requireVersion: (version) => requireMatch(request, version),
          })
          return viewRelationship({ ...viewDeps, db: trx }, after, context.now)
        },
        { dryRun: request.query.dryRun },
      )
      options.peerBundles.invalidate(meshId)
      if (view.name !== request.params.name && request.query.dryRun !== true) {
        clearPeerAlarms(options.alarms, meshId, request.params.name)
      }
      reply.header('etag', etagOf(view.version))
      return view
    },
  )
}
