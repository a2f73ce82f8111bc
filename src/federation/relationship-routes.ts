import { type Static, Type } from 'typebox'
import { inTransaction } from '../db/connect.ts'
import { type MeshId, parseMeshId } from '../db/ids.ts'
import { DryRunQuery } from '../http/dry-run.ts'
import { etagOf, requireMatch } from '../http/etag.ts'
import { type Alarms } from '../http/alarms.ts'
import { type App } from '../http/listener.ts'
import { decodeCursor, pageOf, PageQuery, pageSchema } from '../http/page.ts'
import { loadMesh } from '../mesh/find-mesh.ts'
import { type AnchorCache } from './anchors.ts'
import {
  ChangeRelationshipBody,
  CreatedRelationshipBody,
  CreateRelationshipBody,
  EndedRelationshipBody,
  RefreshBody,
  RefreshedBody,
  RelationshipBody,
  type RelationshipView,
} from './api.ts'
import { changeRelationship } from './change-relationship.ts'
import { createRelationship, type PeerReaders } from './create-relationship.ts'
import {
  type RelationshipDependants,
  removeRelationship,
  terminateRelationship,
} from './end-relationship.ts'
import { type EgressRules } from './egress-rules.ts'
import { loadRelationship } from './find-relationship.ts'
import { egressCommand, nextAfterCreate, nextAfterTerminate } from './next-commands.ts'
import { type PeerBundles } from './peer-bundles.ts'
import { type RefreshDeps } from './refresh.ts'
import { type DomainOutcome, refreshNow } from './refresh-now.ts'
import { clearPeerAlarms } from './report-poll.ts'
import { type FederationScheduler } from './scheduler.ts'
import { listRelationships } from './store.ts'
import { viewRelationship, viewRelationships } from './view.ts'

/** What the relationship routes need. */
export interface RelationshipRoutesOptions {
  /** For polls that a person asks for; its `db` is the request handle. */
  readonly refresh: RefreshDeps
  readonly readers: PeerReaders
  readonly dependants: readonly RelationshipDependants[]
  readonly anchors: AnchorCache
  readonly egress: EgressRules
  readonly peerBundles: Pick<PeerBundles, 'invalidate'>
  readonly scheduler: Pick<FederationScheduler, 'kick'>
  readonly alarms: Pick<Alarms, 'clear' | 'list'>
  /** This replica's name; it owns the leases of polls. */
  readonly owner: string
}

const MeshParams = Type.Object({ meshId: Type.String({ maxLength: 63 }) })
const Params = Type.Object({
  meshId: Type.String({ maxLength: 63 }),
  name: Type.String({ maxLength: 63 }),
})

/** Relationships: create, list, read, change, refresh, terminate, delete. */
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
      config: { action: 'relationship.create' },
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
      return reply.code(201).header('etag', tagOf(view)).send(body)
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
      config: { action: 'relationship.read' },
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
      reply.header('etag', tagOf(view))
      return view
    },
  )

  app.patch(
    '/meshes/:meshId/relationships/:name',
    {
      config: { action: 'relationship.update' },
      schema: {
        tags: ['relationships'],
        summary: 'Change name, note, policy or hint limits; everything else is pinned',
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
      reply.header('etag', tagOf(view))
      return view
    },
  )

  app.post(
    '/meshes/:meshId/relationships/:name/refresh',
    {
      config: { action: 'relationship.refresh' },
      schema: {
        tags: ['relationships'],
        summary: "Fetch the peer's bundles now; dryRun fetches and judges, and stores nothing",
        params: Params,
        body: RefreshBody,
        querystring: DryRunQuery,
        response: { 200: RefreshedBody },
      },
    },
    async (request) => {
      const meshId = parseMeshId(request.params.meshId)
      const { name } = request.params
      const outcomes = await refreshNow(options.refresh, meshId, {
        name,
        owner: options.owner,
        dryRun: request.query.dryRun ?? false,
        options: {
          actor: request.principal.name,
          acceptLowerSequence: request.body.acceptLowerSequence ?? false,
        },
      })
      options.peerBundles.invalidate(meshId)
      const relationship = await loadRelationship(db, meshId, name)
      const view = await viewRelationship(viewDeps, relationship, await now(db))
      return { outcomes: outcomes.map(viewOutcome), relationship: view }
    },
  )

  app.post(
    '/meshes/:meshId/relationships/:name/terminate',
    {
      config: { action: 'relationship.terminate' },
      schema: {
        tags: ['relationships'],
        summary:
          'End a relationship; its bundles are removed at once. dryRun lists what would break',
        params: Params,
        querystring: DryRunQuery,
        response: { 200: EndedRelationshipBody },
      },
    },
    async (request, reply) => {
      const meshId = parseMeshId(request.params.meshId)
      const { name } = request.params
      const actor = request.principal.name
      const dryRun = request.query.dryRun ?? false
      const body = await inTransaction(
        db,
        async (trx) => {
          const context = { actor, now: await now(trx) }
          const { relationship, ended } = await terminateRelationship(trx, meshId, {
            name,
            context,
            dependants: options.dependants,
            requireVersion: (version) => {
              if (!dryRun) requireMatch(request, version)
            },
          })
          const view = await viewRelationship({ ...viewDeps, db: trx }, relationship, context.now)
          return { relationship: view, ended: [...ended], next: nextAfterTerminate(name, dryRun) }
        },
        { dryRun },
      )
      if (!dryRun) forgetRelationship(options, meshId, name)
      reply.header('etag', tagOf(body.relationship))
      return body
    },
  )

  app.delete(
    '/meshes/:meshId/relationships/:name',
    {
      config: { action: 'relationship.delete' },
      schema: {
        tags: ['relationships'],
        summary: 'Delete a terminated relationship with its history',
        params: Params,
        querystring: DryRunQuery,
        response: { 200: RelationshipBody },
      },
    },
    async (request) => {
      const meshId = parseMeshId(request.params.meshId)
      const { name } = request.params
      const actor = request.principal.name
      return inTransaction(
        db,
        async (trx) => {
          const context = { actor, now: await now(trx) }
          const last = await loadRelationship(trx, meshId, name)
          const view = await viewRelationship({ ...viewDeps, db: trx }, last, context.now)
          await removeRelationship(trx, meshId, {
            name,
            context,
            readers,
            requireVersion: (version) => requireMatch(request, version),
          })
          return view
        },
        { dryRun: request.query.dryRun },
      )
    },
  )
}

function forgetRelationship(
  { peerBundles, alarms }: RelationshipRoutesOptions,
  meshId: MeshId,
  name: string,
): void {
  peerBundles.invalidate(meshId)
  clearPeerAlarms(alarms, meshId, name)
}

function viewOutcome(outcome: DomainOutcome): Static<typeof RefreshedBody>['outcomes'][number] {
  const { error, sequence } = outcome
  return {
    trustDomain: outcome.trustDomain,
    outcome: outcome.outcome,
    sequence: sequence?.toString() ?? null,
    warnings: [...outcome.warnings],
    error:
      error === undefined
        ? null
        : { code: error.code, message: error.message, next: error.next ?? null },
  }
}

function tagOf(view: RelationshipView): string {
  return etagOf(BigInt(view.version))
}
