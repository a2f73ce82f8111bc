import { type FastifyRequest } from 'fastify'
import { type Static } from 'typebox'
import { ownerScopeOf } from '../../access/owner-scope.ts'
import { type Action } from '../../access/actions.ts'
import { type ChangeContext } from '../../audit/record.ts'
import { type Db, inTransaction } from '../../db/connect.ts'
import { type MeshId, parseMeshId } from '../../db/ids.ts'
import { type DbClock } from '../../db/time.ts'
import { DryRunQuery } from '../../http/dry-run.ts'
import { type PeerChangesView } from '../../federation/group/peer-changes-api.ts'
import { etagOf, requireMatch } from '../../http/etag.ts'
import { type App } from '../../http/listener.ts'
import { decodeIdCursor, pageOf, pageSchema } from '../../http/page.ts'
import { MeshParams } from '../../mesh/api.ts'
import { loadMesh } from '../../mesh/find-mesh.ts'
import {
  ChangeRuleBody,
  CreateRuleBody,
  RuleBody,
  RuleParams,
  RulesQuery,
} from '../rule/rule-api.ts'
import { DeletedRuleBody, RuleOutcomeBody, type RuleOutcomeView } from './rule-effect-api.ts'
import {
  changeRule,
  type ChangedRule,
  createRule,
  deleteRule,
  loadRule,
  type RuleChange,
} from './change-rules.ts'
import { readSubject } from '../rule/subject-body.ts'
import { loadSnapshot } from '../snapshot/load-snapshot.ts'
import { nextAfterRule } from './next-commands.ts'
import { requireFreeNames } from '../binding/name-clash.ts'
import { type ChangeOfRule, changesBetween, touchedBy } from './rule-changes.ts'
import { effectOf } from './rule-effect.ts'
import { type RuleDraft, type StoredRule } from '../rule/rule.ts'
import { seenBy, withRule } from '../snapshot/seen-rules.ts'
import { listRules } from '../rule/rule-store.ts'
import { type Snapshot } from '../snapshot/snapshot.ts'
import { viewRule } from '../rule/rule-view.ts'
import { viewChanges, viewEffect } from './change-view.ts'

/** What the rules' routes need. */
export interface RuleRoutesOptions {
  readonly db: Db
  readonly now: DbClock
}

/** The rules of a mesh: create, list, read, change, delete. */
export const ruleRoutes = async (app: App, { db, now }: RuleRoutesOptions): Promise<void> => {
  const contextOf = async (
    trx: Db,
    {
      principal,
      params,
    }: Pick<FastifyRequest<{ Params: { meshId: string } }>, 'principal' | 'params'>,
    action: Action,
  ): Promise<ChangeContext> => ({
    actor: principal.name,
    now: await now(trx),
    ownerScope: ownerScopeOf(principal, action, params.meshId),
  })

  app.post(
    '/meshes/:meshId/rules',
    {
      config: { action: 'rule.create', narrows: true, etag: [201] },
      schema: {
        tags: ['rules'],
        summary: 'Add a rule; answers with what is visible to whom now',
        params: MeshParams,
        body: CreateRuleBody,
        querystring: DryRunQuery,
        response: { 201: RuleOutcomeBody, 200: RuleOutcomeBody },
      },
    },
    async (request, reply) => {
      const meshId = parseMeshId(request.params.meshId)
      const { dryRun } = request.query
      const draft = draftIn(request.body)
      const outcome = await inTransaction(
        db,
        async (trx) => {
          const context = await contextOf(trx, request, 'rule.create')
          const rule = await createRule(trx, meshId, { draft, context })
          return settled(trx, meshId, { rule, context })
        },
        { dryRun },
      ).then(outcomeOf)
      if (dryRun === true) return reply.code(200).send(outcome)
      reply.header('location', `/v1/meshes/${meshId}/rules/${outcome.id}`)
      return reply.code(201).header('etag', etagOf(outcome.version)).send(outcome)
    },
  )

  app.get(
    '/meshes/:meshId/rules',
    {
      config: { action: 'rule.list', narrows: true },
      schema: {
        tags: ['rules'],
        summary: 'List the rules of a mesh',
        params: MeshParams,
        querystring: RulesQuery,
        response: { 200: pageSchema(RuleBody) },
      },
    },
    async (request) => {
      const meshId = parseMeshId(request.params.meshId)
      const { limit, cursor, direction } = request.query
      await loadMesh(db, meshId)
      const after = decodeIdCursor(cursor)
      const ownerScope = ownerScopeOf(request.principal, 'rule.list', meshId)
      const rows = await listRules(db, meshId, { direction, after, ownerScope, limit: limit + 1 })
      const page = pageOf(rows, limit, (rule) => [rule.id])
      return { items: page.items.map(viewRule), nextCursor: page.nextCursor }
    },
  )

  app.get(
    '/meshes/:meshId/rules/:rule',
    {
      config: { action: 'rule.read', narrows: true, etag: [200] },
      schema: {
        tags: ['rules'],
        summary: 'Read a rule',
        params: RuleParams,
        response: { 200: RuleBody },
      },
    },
    async (request, reply) => {
      const meshId = parseMeshId(request.params.meshId)
      const ownerScope = ownerScopeOf(request.principal, 'rule.read', meshId)
      const rule = await loadRule(db, meshId, { target: request.params.rule, ownerScope })
      reply.header('etag', etagOf(rule.version))
      return viewRule(rule)
    },
  )

  app.patch(
    '/meshes/:meshId/rules/:rule',
    {
      config: { action: 'rule.update', narrows: true, ifMatch: 'required', etag: [200] },
      schema: {
        tags: ['rules'],
        summary: 'Change a rule; answers with what is visible to whom now',
        params: RuleParams,
        body: ChangeRuleBody,
        querystring: DryRunQuery,
        response: { 200: RuleOutcomeBody },
      },
    },
    async (request, reply) => {
      const meshId = parseMeshId(request.params.meshId)
      const change = changeIn(request.body)
      const requireVersion = (version: bigint): void => requireMatch(request, version)
      const outcome = await inTransaction(
        db,
        async (trx) => {
          const context = await contextOf(trx, request, 'rule.update')
          const edit = { rule: request.params.rule, context, requireVersion }
          const changed = await changeRule(trx, meshId, { ...edit, change })
          return settled(trx, meshId, { ...changed, context })
        },
        { dryRun: request.query.dryRun },
      ).then(outcomeOf)
      reply.header('etag', etagOf(outcome.version))
      return outcome
    },
  )

  app.delete(
    '/meshes/:meshId/rules/:rule',
    {
      config: { action: 'rule.delete', narrows: true, ifMatch: 'required' },
      schema: {
        tags: ['rules'],
        summary: 'Delete a rule; answers with what it was and what becomes hidden or visible',
        params: RuleParams,
        querystring: DryRunQuery,
        response: { 200: DeletedRuleBody },
      },
    },
    async (request) => {
      const meshId = parseMeshId(request.params.meshId)
      const requireVersion = (version: bigint): void => requireMatch(request, version)
      const ended = await inTransaction(
        db,
        async (trx) => {
          const context = await contextOf(trx, request, 'rule.delete')
          const edit = { rule: request.params.rule, context, requireVersion }
          const rule = await deleteRule(trx, meshId, edit)
          const snapshot = seenBy(await loadSnapshot(trx, meshId), context.ownerScope)
          return { before: rule, after: undefined, snapshot, at: context.now }
        },
        { dryRun: request.query.dryRun },
      )
      return { ...viewRule(ended.before), changes: await changesNow(ended) }
    },
  )
}

interface Settled extends ChangeOfRule {
  /** As the change leaves it. */
  readonly snapshot: Snapshot
  readonly at: Date
}

interface Outcome extends Settled {
  readonly after: StoredRule
}

async function settled(
  trx: Db,
  meshId: MeshId,
  { before, rule: after, context: { ownerScope, now: at } }: Partial<ChangedRule> & Made,
): Promise<Outcome> {
  const snapshot = seenBy(await loadSnapshot(trx, meshId), ownerScope)
  await requireFreeNames(snapshot, after, at)
  return { before, after, snapshot, at }
}

interface Made {
  readonly rule: StoredRule
  readonly context: ChangeContext
}

// What a change comes to can take seconds in a large mesh, so no transaction waits for it.
async function outcomeOf(outcome: Outcome): Promise<RuleOutcomeView> {
  const { after: rule, snapshot, at } = outcome
  const effect = await effectOf(snapshot, rule, at)
  return {
    ...viewRule(rule),
    effectNow: viewEffect(effect),
    changes: await changesNow(outcome),
    next: nextAfterRule(snapshot, rule, effect),
  }
}

async function changesNow({ snapshot, at, ...change }: Settled): Promise<PeerChangesView> {
  const id = change.after?.id ?? change.before?.id ?? ''
  const around = { before: withRule(snapshot, id, change.before), after: snapshot, at }
  return viewChanges(await changesBetween(around, touchedBy(snapshot, change)))
}

function draftIn({ expiresAt, subject, ...body }: Static<typeof CreateRuleBody>): RuleDraft {
  return {
    ...body,
    subject: readSubject(subject),
    ...(expiresAt !== undefined && { expiresAt: new Date(expiresAt) }),
  }
}

function changeIn({ expiresAt, subject, ...body }: Static<typeof ChangeRuleBody>): RuleChange {
  return {
    ...body,
    ...(subject !== undefined && { subject: readSubject(subject) }),
    ...(expiresAt !== undefined && { expiresAt: expiresAt === null ? null : new Date(expiresAt) }),
  }
}
