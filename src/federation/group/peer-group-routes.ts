import { Type } from 'typebox'
import { inTransaction } from '../../db/connect.ts'
import { parseMeshId } from '../../db/ids.ts'
import { DryRunQuery } from '../../http/dry-run.ts'
import { etagOf, requireMatch } from '../../http/etag.ts'
import { type App } from '../../http/listener.ts'
import { decodeCursor, pageOf, PageQuery, pageSchema } from '../../http/page.ts'
import { MeshParams } from '../../mesh/api.ts'
import { loadMesh } from '../../mesh/find-mesh.ts'
import { viewGroup } from './peer-group.ts'
import {
  ChangedPeerGroupBody,
  ChangePeerGroupBody,
  CreatedPeerGroupBody,
  CreatePeerGroupBody,
  EndedPeerGroupBody,
  PeerGroupBody,
  PeerGroupParams,
} from './peer-group-api.ts'
import { changePeerGroup, createPeerGroup, deletePeerGroup, loadPeerGroup } from './peer-groups.ts'
import { listGroups } from './peer-group-store.ts'
import { type PeerGroupRoutesOptions } from '../route-options.ts'

const DeleteQuery = Type.Object(
  {
    ...DryRunQuery.properties,
    force: Type.Optional(Type.Boolean({ description: 'delete although something uses it' })),
  },
  { additionalProperties: false },
)

/** Groups of peers: create, list, read, change, delete. */
export const peerGroupRoutes = async (app: App, options: PeerGroupRoutesOptions): Promise<void> => {
  const { db, now, dependants, memberEffects, peerBundles } = options

  app.post(
    '/meshes/:meshId/peer-groups',
    {
      config: { action: 'peer-group.create', etag: [201] },
      schema: {
        tags: ['peer-groups'],
        summary: 'Make a group of peers, to be named where one peer could be',
        params: MeshParams,
        body: CreatePeerGroupBody,
        querystring: DryRunQuery,
        response: { 201: CreatedPeerGroupBody, 200: CreatedPeerGroupBody },
      },
    },
    async (request, reply) => {
      const meshId = parseMeshId(request.params.meshId)
      const { dryRun } = request.query
      const draft = request.body
      const group = await inTransaction(
        db,
        async (trx) => {
          const context = { actor: request.principal.name, now: await now(trx) }
          return createPeerGroup(trx, meshId, { draft, context })
        },
        { dryRun },
      )
      const next = [`entente entry create --id /PATH --federates-with group:${group.name}`]
      const body = { ...viewGroup(group), next }
      if (dryRun === true) return reply.code(200).send(body)
      peerBundles.invalidate(meshId)
      reply.header('location', `/v1/meshes/${meshId}/peer-groups/${group.name}`)
      return reply.code(201).header('etag', etagOf(group.version)).send(body)
    },
  )

  app.get(
    '/meshes/:meshId/peer-groups',
    {
      config: { action: 'peer-group.list' },
      schema: {
        tags: ['peer-groups'],
        summary: 'List groups by name',
        params: MeshParams,
        querystring: PageQuery,
        response: { 200: pageSchema(PeerGroupBody) },
      },
    },
    async (request) => {
      const { meshId } = await loadMesh(db, parseMeshId(request.params.meshId))
      const { limit, cursor } = request.query
      const after = decodeCursor(cursor, 1)?.[0]
      const found = await listGroups(db, meshId, { after, limit: limit + 1 })
      const page = pageOf(found, limit, ({ name }) => [name])
      return { items: page.items.map(viewGroup), nextCursor: page.nextCursor }
    },
  )

  app.get(
    '/meshes/:meshId/peer-groups/:name',
    {
      config: { action: 'peer-group.read', etag: [200] },
      schema: {
        tags: ['peer-groups'],
        summary: 'Read a group with its members by rank',
        params: PeerGroupParams,
        response: { 200: PeerGroupBody },
      },
    },
    async (request, reply) => {
      const { meshId, name } = request.params
      const group = await loadPeerGroup(db, parseMeshId(meshId), name)
      reply.header('etag', etagOf(group.version))
      return viewGroup(group)
    },
  )

  app.patch(
    '/meshes/:meshId/peer-groups/:name',
    {
      config: { action: 'peer-group.update', ifMatch: 'required', etag: [200] },
      schema: {
        tags: ['peer-groups'],
        summary:
          'Change note and members of a group, replaced as a whole; answers with what members gain or lose',
        params: PeerGroupParams,
        body: ChangePeerGroupBody,
        querystring: DryRunQuery,
        response: { 200: ChangedPeerGroupBody },
      },
    },
    async (request, reply) => {
      const meshId = parseMeshId(request.params.meshId)
      const { name } = request.params
      const { group, tell } = await inTransaction(
        db,
        async (trx) =>
          changePeerGroup(trx, meshId, {
            name,
            change: request.body,
            memberEffects,
            context: { actor: request.principal.name, now: await now(trx) },
            requireVersion: (version) => requireMatch(request, version),
          }),
        { dryRun: request.query.dryRun },
      )
      peerBundles.invalidate(meshId)
      reply.header('etag', etagOf(group.version))
      return { ...viewGroup(group), changes: await tell() }
    },
  )

  app.delete(
    '/meshes/:meshId/peer-groups/:name',
    {
      config: { action: 'peer-group.delete', ifMatch: 'required' },
      schema: {
        tags: ['peer-groups'],
        summary: 'Delete a group; dryRun lists what uses it, and what members gain or lose',
        params: PeerGroupParams,
        querystring: DeleteQuery,
        response: { 200: EndedPeerGroupBody },
      },
    },
    async (request) => {
      const meshId = parseMeshId(request.params.meshId)
      const { name } = request.params
      const { dryRun = false, force = false } = request.query
      const { group, ended, tell } = await inTransaction(
        db,
        async (trx) =>
          deletePeerGroup(trx, meshId, {
            name,
            context: { actor: request.principal.name, now: await now(trx) },
            dependants,
            memberEffects,
            force: force || dryRun,
            requireVersion: (version) => requireMatch(request, version),
          }),
        { dryRun },
      )
      peerBundles.invalidate(meshId)
      return { ...viewGroup(group), ended: [...ended], changes: await tell() }
    },
  )
}
