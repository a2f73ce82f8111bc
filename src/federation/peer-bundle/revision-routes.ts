import { Type } from 'typebox'
import { inTransaction } from '../../db/connect.ts'
import { parseMeshId } from '../../db/ids.ts'
import { DryRunQuery } from '../../http/dry-run.ts'
import { etagOf, matchIfSent } from '../../http/etag.ts'
import { type App } from '../../http/listener.ts'
import { MeshParams } from '../../mesh/api.ts'
import { parseTrustDomain } from '../../spiffe/trust-domain.ts'
import { type Decision, decideQuarantined } from './decide-quarantined.ts'
import { diffRevisions } from '../trust/diff-revisions.ts'
import { domainKeyOf } from '../domain-key.ts'
import { loadRelationship } from '../find-relationship.ts'
import { nextAfterDecision, nextAfterDiff } from './next-after-decision.ts'
import { DecidedBody, DecisionBody, DiffQuery, RevisionDiffBody } from './revision-api.ts'
import { type RelationshipRoutesOptions } from '../route-options.ts'
import { viewComparison } from './view-revision.ts'
import { hexOf } from '../hex.ts'
import { viewRelationship } from '../view.ts'
import { viewRevision } from './view-revision.ts'

const Params = Type.Object({
  ...MeshParams.properties,
  name: Type.String({ maxLength: 63 }),
  trustDomain: Type.String({ maxLength: 255 }),
})
const PATH = '/meshes/:meshId/relationships/:name/bundles/:trustDomain/revisions'

const SUMMARIES: Readonly<Record<Decision['to'], string>> = {
  approve: 'Take exactly this quarantined document into use; dryRun shows what it changes',
  reject: 'Refuse this quarantined document; it is not quarantined again when it is served again',
}

/** Revisions of peers' bundles: compare any two, and decide on the one that waits. */
export const revisionRoutes = async (
  app: App,
  options: RelationshipRoutesOptions,
): Promise<void> => {
  mountDiff(app, options)
  mountDecision(app, options, 'approve')
  mountDecision(app, options, 'reject')
}

function mountDiff(app: App, options: RelationshipRoutesOptions): void {
  const { db } = options.refresh
  app.get(
    `${PATH}/diff`,
    {
      config: { action: 'relationship.read' },
      schema: {
        tags: ['relationships'],
        summary: "Compare two revisions of a peer's bundle by authority",
        params: Params,
        querystring: DiffQuery,
        response: { 200: RevisionDiffBody },
      },
    },
    async (request) => {
      const meshId = parseMeshId(request.params.meshId)
      const trustDomain = parseTrustDomain(request.params.trustDomain)
      const relationship = await loadRelationship(db, meshId, request.params.name)
      const key = domainKeyOf(relationship, trustDomain)
      const { from = 'current', to = 'quarantined' } = request.query
      const diff = await diffRevisions(db, meshId, { key, from, to })
      return {
        trustDomain,
        from: diff.from === undefined ? null : viewRevision(diff.from),
        to: diff.to === undefined ? null : viewRevision(diff.to),
        ...viewComparison(diff),
        next: nextAfterDiff({ name: relationship.name, trustDomain }, diff.to),
      }
    },
  )
}

function mountDecision(app: App, options: RelationshipRoutesOptions, to: Decision['to']): void {
  const { anchors, readers } = options
  const { db, now } = options.refresh
  app.post(
    `${PATH}/${to}`,
    {
      config: { action: `relationship.${to}-bundle`, ifMatch: 'honoured', etag: [200] },
      schema: {
        tags: ['relationships'],
        summary: SUMMARIES[to],
        params: Params,
        body: DecisionBody,
        querystring: DryRunQuery,
        response: { 200: DecidedBody },
      },
    },
    async (request, reply) => {
      const meshId = parseMeshId(request.params.meshId)
      const trustDomain = parseTrustDomain(request.params.trustDomain)
      const { name } = request.params
      const actor = request.principal.name
      const dryRun = request.query.dryRun ?? false
      const body = await inTransaction(
        db,
        async (trx) => {
          const context = { actor, now: await now(trx) }
          const { digest } = request.body
          const requireVersion = matchIfSent(request)
          const decision = { to, name, trustDomain, digest, context, requireVersion }
          const decided = await decideQuarantined(trx, meshId, decision)
          const after = await loadRelationship(trx, meshId, name)
          return {
            trustDomain,
            n: decided.revision.n.toString(),
            digest: hexOf(decided.revision.digest),
            decision: to,
            ...viewComparison(decided.comparison),
            activated: decided.activated,
            relationship: await viewRelationship({ db: trx, anchors, readers }, after, context.now),
            next: nextAfterDecision(decision, dryRun),
          }
        },
        { dryRun },
      )
      if (!dryRun) {
        options.peerBundles.invalidate(meshId)
        options.scheduler.kick()
      }
      reply.header('etag', etagOf(body.relationship.version))
      return body
    },
  )
}
