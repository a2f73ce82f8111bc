import { Type } from 'typebox'
import { inTransaction } from '../../db/connect.ts'
import { parseMeshId } from '../../db/ids.ts'
import { DryRunQuery } from '../../http/dry-run.ts'
import { type EgressRule, formatEgressRule } from '../../http/egress-rule.ts'
import { type App } from '../../http/listener.ts'
import { decodeIdCursor, pageOf, PageQuery, pageSchema } from '../../http/page.ts'
import {
  CreatedEgressRuleBody,
  CreateEgressRuleBody,
  EgressRuleBody,
  type EgressRuleView,
} from './egress-api.ts'
import { allowEgress, removeEgress, ruleOf } from './egress-rules.ts'
import { type EgressSetting, listEgressSettings } from './egress-store.ts'
import { type EgressRoutesOptions } from '../route-options.ts'

/** The allow list of outgoing connections: write, list, remove. */
export const egressRoutes = async (app: App, options: EgressRoutesOptions): Promise<void> => {
  const { db, now, rules } = options

  app.post(
    '/egress-rules',
    {
      config: { action: 'egress-rule.create' },
      schema: {
        tags: ['egress'],
        summary: 'Allow outgoing connections to a destination that is not public',
        body: CreateEgressRuleBody,
        querystring: DryRunQuery,
        response: { 201: CreatedEgressRuleBody, 200: CreatedEgressRuleBody },
      },
    },
    async (request, reply) => {
      const { rule, note, meshId } = request.body
      const scope = meshId === undefined ? undefined : parseMeshId(meshId)
      const actor = request.principal.name
      const setting = await inTransaction(
        db,
        async (trx) =>
          allowEgress(trx, { rule, note, meshId: scope, context: { actor, now: await now(trx) } }),
        { dryRun: request.query.dryRun },
      )
      const view = { ...viewSetting(setting), next: ['entente egress list'] }
      if (request.query.dryRun === true) return reply.code(200).send(view)
      rules.forget()
      return reply.code(201).header('location', `/v1/egress-rules/${setting.id}`).send(view)
    },
  )

  app.get(
    '/egress-rules',
    {
      config: { action: 'egress-rule.list' },
      schema: {
        tags: ['egress'],
        summary: 'List the allow list, lines of the configuration first',
        querystring: PageQuery,
        response: { 200: pageSchema(EgressRuleBody) },
      },
    },
    async (request) => {
      const { limit, cursor } = request.query
      const after = decodeIdCursor(cursor)
      const settings = await listEgressSettings(db, { after, limit: limit + 1 })
      const page = pageOf(settings, limit, ({ id }) => [id])
      const configured = after === undefined ? rules.configured.map(viewConfigured) : []
      return { items: [...configured, ...page.items.map(viewSetting)], nextCursor: page.nextCursor }
    },
  )

  app.delete(
    '/egress-rules/:id',
    {
      config: { action: 'egress-rule.delete' },
      schema: {
        tags: ['egress'],
        summary: 'Close a destination again',
        params: Type.Object({ id: Type.String({ format: 'uuid' }) }),
        querystring: DryRunQuery,
        response: { 200: EgressRuleBody },
      },
    },
    async (request) => {
      const actor = request.principal.name
      const setting = await inTransaction(
        db,
        async (trx) => removeEgress(trx, request.params.id, { actor, now: await now(trx) }),
        { dryRun: request.query.dryRun },
      )
      rules.forget()
      return viewSetting(setting)
    },
  )
}

function viewSetting(setting: EgressSetting): EgressRuleView {
  return {
    id: setting.id,
    rule: formatEgressRule(ruleOf(setting)),
    meshId: setting.meshId ?? null,
    note: setting.note ?? null,
    source: 'setting',
    createdAt: setting.createdAt.toISOString(),
  }
}

function viewConfigured(rule: EgressRule): EgressRuleView {
  return {
    id: null,
    rule: formatEgressRule(rule),
    meshId: null,
    note: null,
    source: 'configuration',
    createdAt: null,
  }
}
