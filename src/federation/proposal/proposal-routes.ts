import { Type } from 'typebox'
import { type ChangeContext } from '../../audit/record.ts'
import { inTransaction } from '../../db/connect.ts'
import { parseMeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { DryRunQuery } from '../../http/dry-run.ts'
import { etagOf, requireMatch } from '../../http/etag.ts'
import { type App } from '../../http/listener.ts'
import { MeshParams } from '../../mesh/api.ts'
import { loadRelationship, lockRelationship } from '../find-relationship.ts'
import { nextAfterProposal } from '../next-commands.ts'
import { type Proposal } from './proposal.ts'
import { ProposalsBody } from './proposal-api.ts'
import { listProposals } from './proposal-store.ts'
import { ProposeChangeBody, ProposedBody, type ProposedView } from './propose-api.ts'
import { consentToProposal, dropProposal, type Proposed, proposeChange } from './propose-change.ts'
import { type Relationship } from '../relationship.ts'
import { type RelationshipRoutesOptions } from '../route-options.ts'
import { viewProposal } from './view-proposal.ts'
import { viewRelationship } from '../view.ts'

const Params = Type.Object({
  ...MeshParams.properties,
  name: Type.String({ maxLength: 63 }),
})
const ProposalParams = Type.Object({
  ...Params.properties,
  proposal: Type.String({ format: 'uuid' }),
})

const DECISIONS = {
  approve: {
    action: 'relationship.approve-change',
    summary: 'Consent to a proposal; it is in force at once when both sides have consented',
    decide: consentToProposal,
  },
  drop: {
    action: 'relationship.drop-change',
    summary: 'Take a proposal back, or refuse one; the parameters in force stay',
    decide: dropProposal,
  },
} as const

/** Changes of pinned parameters: propose, list, approve, drop. */
export const proposalRoutes = async (
  app: App,
  options: RelationshipRoutesOptions,
): Promise<void> => {
  mountPropose(app, options)
  mountList(app, options)
  mountDecision(app, options, 'approve')
  mountDecision(app, options, 'drop')
}

function mountPropose(app: App, options: RelationshipRoutesOptions): void {
  app.post(
    '/meshes/:meshId/relationships/:name/proposals',
    {
      config: { action: 'relationship.propose-change', ifMatch: 'required', etag: [200, 201] },
      bodyLimit: 20 * 1024 * 1024,
      schema: {
        tags: ['relationships'],
        summary:
          'Propose other domains, URLs, profiles or IDs; those in force stay until both consent',
        params: Params,
        body: ProposeChangeBody,
        querystring: DryRunQuery,
        response: { 200: ProposedBody, 201: ProposedBody },
      },
    },
    async (request, reply) => {
      const { domains, note } = request.body
      const dryRun = request.query.dryRun ?? false
      const body = await inTurn(options, request.params, {
        dryRun,
        actor: request.principal.name,
        requireVersion: (version) => requireMatch(request, version),
        act: (trx, relationship, context) =>
          proposeChange(trx, relationship, {
            origin: 'ours',
            parameters: { domains },
            note,
            context,
          }),
      })
      reply.header('etag', etagOf(body.relationship.version))
      return reply.code(dryRun ? 200 : 201).send(body)
    },
  )
}

function mountList(app: App, options: RelationshipRoutesOptions): void {
  const { db } = options.refresh
  app.get(
    '/meshes/:meshId/relationships/:name/proposals',
    {
      config: { action: 'relationship.read' },
      schema: {
        tags: ['relationships'],
        summary: 'List the open proposals of a relationship, at most one of each side',
        params: Params,
        response: { 200: ProposalsBody },
      },
    },
    async (request) => {
      const { meshId, name } = request.params
      const relationship = await loadRelationship(db, parseMeshId(meshId), name)
      const open = await listProposals(db, relationship)
      return { items: open.map((proposal) => viewProposal(relationship, proposal)) }
    },
  )
}

function mountDecision(
  app: App,
  options: RelationshipRoutesOptions,
  what: keyof typeof DECISIONS,
): void {
  const { action, summary, decide } = DECISIONS[what]
  app.post(
    `/meshes/:meshId/relationships/:name/proposals/:proposal/${what}`,
    {
      config: { action, ifMatch: 'required', etag: [200] },
      schema: {
        tags: ['relationships'],
        summary,
        params: ProposalParams,
        querystring: DryRunQuery,
        response: { 200: ProposedBody },
      },
    },
    async (request, reply) => {
      const proposal = { id: request.params.proposal }
      const body = await inTurn(options, request.params, {
        dryRun: request.query.dryRun ?? false,
        actor: request.principal.name,
        requireVersion: (version) => requireMatch(request, version),
        act: (trx, relationship, context) =>
          decide(trx, relationship, { proposal, side: 'ours', context }),
      })
      reply.header('etag', etagOf(body.relationship.version))
      return body
    },
  )
}

interface Turn {
  readonly dryRun: boolean
  readonly actor: string
  readonly requireVersion: (version: bigint) => void
  readonly act: (trx: Db, relationship: Relationship, context: ChangeContext) => Promise<Proposed>
}

/** One act on a proposal in one transaction, under the relationship's lock. */
async function inTurn(
  options: RelationshipRoutesOptions,
  params: { readonly meshId: string; readonly name: string },
  { dryRun, actor, requireVersion, act }: Turn,
): Promise<ProposedView> {
  const { anchors, readers } = options
  const { db, now } = options.refresh
  const meshId = parseMeshId(params.meshId)
  const body = await inTransaction(
    db,
    async (trx) => {
      const context = { actor, now: await now(trx) }
      const before = await lockRelationship(trx, meshId, params.name)
      if (!dryRun) requireVersion(before.version)
      const done = await act(trx, before, context)
      const deps = { db: trx, anchors, readers }
      const relationship = await viewRelationship(deps, done.relationship, context.now)
      return { ...viewDone(before, done), relationship, next: nextOf(before, done, dryRun) }
    },
    { dryRun },
  )
  if (!dryRun) {
    options.peerBundles.invalidate(meshId)
    options.scheduler.kick()
  }
  return body
}

function viewDone(before: Relationship, { proposal, isApplied }: Proposed) {
  return { proposal: viewProposal(before, proposal), isApplied }
}

function nextOf({ name }: Relationship, done: Proposed, dryRun: boolean): string[] {
  const { ourConsent, id }: Proposal = done.proposal
  return nextAfterProposal(name, { id, isApplied: done.isApplied, ourConsent, dryRun })
}
