import { inTransaction } from '../../db/connect.ts'
import { type MeshId, parseMeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { DryRunQuery } from '../../http/dry-run.ts'
import { type App } from '../../http/listener.ts'
import { decodeIdCursor, pageOf, PageQuery, pageSchema } from '../../http/page.ts'
import { MeshParams } from '../../mesh/api.ts'
import { loadMesh } from '../../mesh/find-mesh.ts'
import { ACCEPT_STEPS, acceptInvite, type AcceptedInvite } from './accept-invite.ts'
import { type AcceptDeps } from './begin-acceptance.ts'
import { cancelInvite, type CreatedInvite, createInvite, inviteState } from './create-invite.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { whyNotConsented } from './expected-side.ts'
import {
  AcceptedInviteBody,
  type AcceptedInviteView,
  AcceptInviteBody,
  CreatedInviteBody,
  type CreatedInviteView,
  CreateInviteBody,
  InviteBody,
  InviteParams,
  type InviteView,
} from './invite-api.ts'
import { listInvites, type StoredInvite } from './invite-store.ts'
import { recoveryLine, writeRecovery } from '../recovery/recovery.ts'
import { listRelationships } from '../store.ts'
import { type ViewDeps, viewRelationship } from '../view.ts'

/** What the invite routes need. */
export interface InviteRoutesOptions {
  readonly accept: AcceptDeps
  readonly view: Omit<ViewDeps, 'db'>
}

const TAGS = ['invites']

/** Invites: make one, list, cancel; and accept one of somebody else. */
export const inviteRoutes = async (app: App, options: InviteRoutesOptions): Promise<void> => {
  mountCreate(app, options)
  mountList(app, options)
  mountCancel(app, options)
  mountAccept(app, options)
}

function mountCreate(app: App, { accept: { db, now, side } }: InviteRoutesOptions): void {
  app.post(
    '/meshes/:meshId/invites',
    {
      config: { action: 'invite.create', secretAnswer: true },
      schema: {
        tags: TAGS,
        summary: 'Make an invite for a peer; the string is shown once. One for the same peer ends',
        params: MeshParams,
        body: CreateInviteBody,
        querystring: DryRunQuery,
        response: { 201: CreatedInviteBody, 200: CreatedInviteBody },
      },
    },
    async (request, reply) => {
      const meshId = parseMeshId(request.params.meshId)
      const { dryRun } = request.query
      const created = await inTransaction(
        db,
        async (trx) => {
          const context = { actor: request.principal.name, now: await now(trx) }
          return createInvite(trx, meshId, { wish: request.body, context, side })
        },
        { dryRun },
      )
      const body = viewCreated(created)
      reply.header('cache-control', 'no-store')
      // An invite of a dry run was never stored: showing it would only mislead.
      if (dryRun === true) return reply.code(200).send({ ...body, invite: '(none in a dry run)' })
      reply.header('location', `/v1/meshes/${meshId}/invites/${created.invite.id}`)
      return reply.code(201).send(body)
    },
  )
}

function mountList(app: App, { accept: { db, now } }: InviteRoutesOptions): void {
  app.get(
    '/meshes/:meshId/invites',
    {
      config: { action: 'invite.list' },
      schema: {
        tags: TAGS,
        summary: 'List invites with what became of them; those that are over are kept for 30 days',
        params: MeshParams,
        querystring: PageQuery,
        response: { 200: pageSchema(InviteBody) },
      },
    },
    async (request) => {
      const { meshId } = await loadMesh(db, parseMeshId(request.params.meshId))
      const { limit, cursor } = request.query
      const after = decodeIdCursor(cursor)
      const rows = await listInvites(db, meshId, { after, limit: limit + 1 })
      const page = pageOf(rows, limit, ({ id }) => [id])
      const names = await relationshipNames(db, meshId)
      const at = await now(db)
      const items = page.items.map((invite) => viewInvite(invite, { at, names }))
      return { items, nextCursor: page.nextCursor }
    },
  )
}

function mountCancel(app: App, { accept: { db, now, side } }: InviteRoutesOptions): void {
  app.delete(
    '/meshes/:meshId/invites/:inviteId',
    {
      config: { action: 'invite.delete' },
      schema: {
        tags: TAGS,
        summary: 'Cancel an open invite; whoever holds it can use it no more',
        params: InviteParams,
        querystring: DryRunQuery,
        response: { 200: InviteBody },
      },
    },
    async (request) => {
      const meshId = parseMeshId(request.params.meshId)
      const { inviteId: id } = request.params
      return inTransaction(
        db,
        async (trx) => {
          await loadMesh(trx, meshId)
          const context = { actor: request.principal.name, now: await now(trx) }
          const invite = await cancelInvite(trx, meshId, { id, context, side })
          return viewInvite(invite, { at: context.now, names: new Map() })
        },
        { dryRun: request.query.dryRun },
      )
    },
  )
}

function mountAccept(app: App, { accept, view }: InviteRoutesOptions): void {
  app.post(
    '/meshes/:meshId/invites/accept',
    {
      config: { action: 'invite.accept' },
      bodyLimit: 1024 * 1024,
      schema: {
        tags: TAGS,
        summary:
          'Accept an invite: our consent, and the handshake with the inviter. dryRun checks and reaches them, sends nothing',
        params: MeshParams,
        body: AcceptInviteBody,
        querystring: DryRunQuery,
        response: { 200: AcceptedInviteBody, 201: AcceptedInviteBody },
      },
    },
    async (request, reply) => {
      const { meshId } = await loadMesh(accept.db, parseMeshId(request.params.meshId))
      const dryRun = request.query.dryRun ?? false
      const { invite: text, as } = request.body
      const actor = request.principal.name
      const accepted = await acceptInvite(accept, meshId, { text, as, actor, dryRun })
      const at = await accept.now(accept.db)
      const deps = { ...view, db: accept.db }
      const relationship = await viewRelationship(deps, accepted.relationship, at)
      const body = viewAccepted(accepted, relationship)
      if (dryRun) return reply.code(200).send(body)
      reply.header('location', `/v1/meshes/${meshId}/relationships/${relationship.name}`)
      return reply.code(201).send(body)
    },
  )
}

async function relationshipNames(db: Db, meshId: MeshId): Promise<ReadonlyMap<string, string>> {
  return new Map((await listRelationships(db, meshId)).map(({ id, name }) => [id, name]))
}

interface About {
  readonly at: Date
  /** Names of relationships by id. */
  readonly names: ReadonlyMap<string, string>
}

function viewInvite(invite: StoredInvite, { at, names }: About): InviteView {
  const { use, refusal, relationshipId } = invite
  const approvalReason = whyNotConsented(invite, domainsOfUse(invite))
  return {
    id: invite.id,
    state: inviteState(invite, at),
    name: invite.name ?? null,
    expectedTrustDomain: invite.expectedTrustDomain ?? null,
    expectedFingerprint: invite.expectedFingerprint ?? null,
    isApproved: invite.expectedTrustDomain !== undefined && approvalReason === undefined,
    createdAt: invite.createdAt.toISOString(),
    createdBy: invite.createdBy,
    expiresAt: invite.expiresAt.toISOString(),
    usedAt: use?.at.toISOString() ?? null,
    usedBy: use?.by ?? null,
    relationship: relationshipId === undefined ? null : (names.get(relationshipId) ?? null),
    approvalReason: approvalReason ?? null,
    lastRefusal: viewRefusal(refusal),
  }
}

function domainsOfUse({ use }: StoredInvite): TrustDomain[] {
  return (use?.seen ?? []).map(({ trustDomain }) => trustDomain)
}

function viewRefusal(refusal: StoredInvite['refusal']): InviteView['lastRefusal'] {
  if (refusal === undefined) return null
  return { at: refusal.at.toISOString(), reason: refusal.reason, next: refusal.next ?? null }
}

function viewCreated({ invite, text, fingerprints, cancelled }: CreatedInvite): CreatedInviteView {
  return {
    ...viewInvite(invite, { at: invite.createdAt, names: new Map() }),
    invite: text,
    fingerprints: [...fingerprints],
    cancelled: [...cancelled],
    next: [
      '# for the other side: entente federation accept FILE',
      ...(invite.expectedTrustDomain === undefined
        ? ['entente federation invite list', 'entente federation approve NAME']
        : ['entente federation list']),
    ],
  }
}

function viewInvited({ side }: AcceptedInvite['invite']): AcceptedInviteView['invited'] {
  return {
    domains: side.domains.map(({ trustDomain, profile, url, endpointId, recovery }) => ({
      trustDomain,
      profile,
      endpointUrl: url,
      endpointSpiffeId: endpointId ?? null,
      recovery: recovery.map((path) => recoveryLine(writeRecovery(path))),
    })),
    exchange: { id: side.exchange.id, url: side.exchange.url },
  }
}

function viewAccepted(
  { invite, steps, consent, ours, theirs }: AcceptedInvite,
  relationship: AcceptedInviteView['relationship'],
): AcceptedInviteView {
  const { name } = relationship
  const asked = [
    '# the other side compares the fingerprints and runs: entente federation approve NAME',
    `entente federation show ${name}`,
  ]
  return {
    steps: ACCEPT_STEPS.map((step, index) => ({ step, done: index < steps })),
    consent: consent ?? null,
    ours: [...ours],
    theirs: [...theirs],
    invited: viewInvited(invite),
    relationship,
    next:
      consent === 'given'
        ? [`entente federation show ${name}`, `entente rule export NAMESPACE/SERVICE --to ${name}`]
        : asked,
  }
}
