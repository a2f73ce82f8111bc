import { type Static, Type } from 'typebox'
import { inTransaction } from '../db/connect.ts'
import { type MeshId, parseMeshId } from '../db/ids.ts'
import { DryRunQuery } from '../http/dry-run.ts'
import { etagOf, requireMatch } from '../http/etag.ts'
import { type App } from '../http/listener.ts'
import { MeshParams } from '../mesh/api.ts'
import { EndedRelationshipBody, RelationshipBody } from './api.ts'
import { RefreshBody, RefreshedBody } from './poll/refresh-api.ts'
import { removeRelationship, terminateRelationship } from './end-relationship.ts'
import { loadRelationship } from './find-relationship.ts'
import { nextAfterTerminate } from './next-commands.ts'
import { type DomainOutcome, refreshNow } from './poll/refresh-now.ts'
import { type RelationshipRoutesOptions } from './route-options.ts'
import { clearPeerAlarms } from './poll/report-poll.ts'
import { StandingBody } from './standing-api.ts'
import { viewRelationship } from './view.ts'

const Params = Type.Object({
  ...MeshParams.properties,
  name: Type.String({ maxLength: 63 }),
})

/** What can be done with a relationship: refresh, terminate, delete. */
export const relationshipActRoutes = async (
  app: App,
  options: RelationshipRoutesOptions,
): Promise<void> => {
  const { anchors, readers } = options
  const { db, now } = options.refresh
  const viewDeps = { db, anchors, readers }

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
      config: { action: 'relationship.terminate', ifMatch: 'unless-dry-run', etag: [200] },
      schema: {
        tags: ['relationships'],
        summary:
          'End a relationship; its bundles are removed at once. dryRun lists what would break',
        params: Params,
        body: StandingBody,
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
            reason: request.body?.reason,
            dependants: options.dependants,
            requireVersion: (version) => {
              if (!dryRun) requireMatch(request, version)
            },
          })
          const view = await viewRelationship({ ...viewDeps, db: trx }, relationship, context.now)
          return { relationship: view, ended: [...ended], next: nextAfterTerminate(view, dryRun) }
        },
        { dryRun },
      )
      if (!dryRun) forgetRelationship(options, meshId, name)
      reply.header('etag', etagOf(body.relationship.version))
      return body
    },
  )

  app.delete(
    '/meshes/:meshId/relationships/:name',
    {
      config: { action: 'relationship.delete', ifMatch: 'required' },
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
