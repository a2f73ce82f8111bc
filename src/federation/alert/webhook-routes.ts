import { type FastifyRequest } from 'fastify'
import { type TObject, Type } from 'typebox'
import { type Action } from '../../access/actions.ts'
import { inTransaction } from '../../db/connect.ts'
import { newId, parseMeshId } from '../../db/ids.ts'
import { type Keyring } from '../../db/keyring.ts'
import { type Db } from '../../db/schema.ts'
import { type DbClock } from '../../db/time.ts'
import { DryRunQuery } from '../../http/dry-run.ts'
import { type App } from '../../http/listener.ts'
import { type Outbound } from '../../http/outbound.ts'
import {
  decodeCursor,
  decodeIdCursor,
  pageOf,
  PageQuery,
  pageSchema,
  placeOrGone,
} from '../../http/page.ts'
import { MeshParams } from '../../mesh/api.ts'
import { loadMesh } from '../../mesh/find-mesh.ts'
import {
  CreatedWebhookBody,
  CreateWebhookBody,
  DeliveryBody,
  DeliveryQuery,
  TestedWebhookBody,
  WebhookBody,
} from './alert-api.ts'
import { listDeliveries, numberOfDelivery } from './delivery-store.ts'
import { sendToWebhook } from './send-webhook.ts'
import { listWebhooks, type WebhookScope } from './webhook-store.ts'
import { viewDelivery, viewSent, viewWebhook } from './webhook-view.ts'
import { createWebhook, loadWebhook, removeWebhook, retryDelivery } from './webhooks.ts'

/** What the webhook routes need. */
export interface WebhookRoutesOptions {
  readonly db: Db
  readonly now: DbClock
  readonly keyring: Pick<Keyring, 'seal' | 'open'>
  readonly outbound: Outbound
  /** Sends soon what was queued. */
  readonly kick: () => void
}

/** The webhooks of the service, or those of a mesh: the same routes at two places. */
interface Place {
  readonly base: string
  readonly ofAll: TObject
  readonly ofOne: TObject
  readonly ofDelivery: TObject
  readonly summaryOf: (what: string) => string
  readonly actions: Readonly<
    Record<'create' | 'list' | 'delete' | 'test' | 'deliveries' | 'retry', Action>
  >
}

const Name = { name: Type.String({ maxLength: 63 }) }
const DeliveryId = { deliveryId: Type.String({ format: 'uuid' }) }

const SERVICE: Place = {
  base: '/webhooks',
  ofAll: Type.Object({}),
  ofOne: Type.Object(Name),
  ofDelivery: Type.Object({ ...Name, ...DeliveryId }),
  summaryOf: (what) => `${what}, told of the alerts of the service and of all meshes`,
  actions: {
    create: 'webhook.create',
    list: 'webhook.list',
    delete: 'webhook.delete',
    test: 'webhook.test',
    deliveries: 'webhook.deliveries',
    retry: 'webhook.retry',
  },
}

const MESH: Place = {
  base: '/meshes/:meshId/webhooks',
  ofAll: MeshParams,
  ofOne: Type.Object({ ...MeshParams.properties, ...Name }),
  ofDelivery: Type.Object({ ...MeshParams.properties, ...Name, ...DeliveryId }),
  summaryOf: (what) => `${what}, told of the alerts of this mesh`,
  actions: {
    create: 'mesh-webhook.create',
    list: 'mesh-webhook.list',
    delete: 'mesh-webhook.delete',
    test: 'mesh-webhook.test',
    deliveries: 'mesh-webhook.deliveries',
    retry: 'mesh-webhook.retry',
  },
}

/** Who is told of alerts, at both places: made, listed, deleted, tried; and what was sent. */
export const webhookRoutes = async (app: App, options: WebhookRoutesOptions): Promise<void> => {
  for (const place of [SERVICE, MESH]) {
    registerWebhooks(app, options, place)
    registerDeliveries(app, options, place)
  }
}

function registerWebhooks(app: App, options: WebhookRoutesOptions, place: Place): void {
  const { db, now, keyring } = options
  const { base, actions, summaryOf } = place
  const tags = ['alerts']

  app.post(
    base,
    {
      config: { action: actions.create, secretAnswer: true },
      schema: {
        tags,
        summary: summaryOf('Make a webhook'),
        params: place.ofAll,
        body: CreateWebhookBody,
        querystring: DryRunQuery,
        response: { 201: CreatedWebhookBody, 200: CreatedWebhookBody },
      },
    },
    async (request, reply) => {
      const scope = scopeOf(request)
      const actor = request.principal.name
      const { webhook, secret } = await inTransaction(
        db,
        async (trx) => {
          const context = { actor, now: await now(trx) }
          return createWebhook(trx, scope, { draft: request.body, keyring, context })
        },
        { dryRun: request.query.dryRun },
      )
      const next = [`entente webhook test ${webhook.name}${meshOption(scope)}`]
      const body = { ...viewWebhook(webhook), secret, next }
      if (request.query.dryRun === true) return reply.code(200).send(body)
      reply.header('location', `${placeUrl(scope)}/${webhook.name}`)
      return reply.code(201).send(body)
    },
  )

  app.get(
    base,
    {
      config: { action: actions.list },
      schema: {
        tags,
        summary: summaryOf('List webhooks'),
        params: place.ofAll,
        querystring: PageQuery,
        response: { 200: pageSchema(WebhookBody) },
      },
    },
    async (request) => {
      const scope = scopeOf(request)
      if (scope !== undefined) await loadMesh(db, scope)
      const { limit, cursor } = request.query
      const after = decodeCursor(cursor, 1)?.[0]
      const found = await listWebhooks(db, scope, { after, limit: limit + 1 })
      const page = pageOf(found, limit, ({ name }) => [name])
      return { items: page.items.map(viewWebhook), nextCursor: page.nextCursor }
    },
  )

  app.delete(
    `${base}/:name`,
    {
      config: { action: actions.delete },
      schema: {
        tags,
        summary: summaryOf('Delete a webhook'),
        params: place.ofOne,
        querystring: DryRunQuery,
        response: { 200: WebhookBody },
      },
    },
    async (request) => {
      const actor = request.principal.name
      const gone = await inTransaction(
        db,
        async (trx) => {
          const context = { actor, now: await now(trx) }
          return removeWebhook(trx, scopeOf(request), { name: nameOf(request), context })
        },
        { dryRun: request.query.dryRun },
      )
      return viewWebhook(gone)
    },
  )

  app.post(
    `${base}/:name/test`,
    {
      config: { action: actions.test },
      schema: {
        tags,
        summary: summaryOf('Send a test message now to a webhook'),
        params: place.ofOne,
        body: Type.Object({}, { additionalProperties: false }),
        querystring: DryRunQuery,
        response: { 200: TestedWebhookBody },
      },
    },
    async (request) => {
      const webhook = await loadWebhook(db, scopeOf(request), nameOf(request))
      const at = await now(db)
      const data = { webhook: webhook.name, meshId: webhook.meshId ?? null }
      const body = JSON.stringify({ type: 'webhook.test', timestamp: at.toISOString(), data })
      if (request.query.dryRun === true) {
        return { delivered: false, status: null, error: null, body }
      }
      const sent = await sendToWebhook(options, { webhook, message: { id: newId(), at, body } })
      return { ...viewSent(sent), body }
    },
  )
}

function registerDeliveries(app: App, options: WebhookRoutesOptions, place: Place): void {
  const { db, now } = options
  const { base, actions, summaryOf } = place
  const tags = ['alerts']

  app.get(
    `${base}/:name/deliveries`,
    {
      config: { action: actions.deliveries },
      schema: {
        tags,
        summary: summaryOf('List what was sent, waits or was given up, of a webhook'),
        params: place.ofOne,
        querystring: DeliveryQuery,
        response: { 200: pageSchema(DeliveryBody) },
      },
    },
    async (request) => {
      const { id } = await loadWebhook(db, scopeOf(request), nameOf(request))
      const { limit, cursor, state } = request.query
      const last = decodeIdCursor(cursor)
      const behind =
        last === undefined
          ? undefined
          : placeOrGone(await numberOfDelivery(db, { id: last, webhookId: id }))
      const found = await listDeliveries(db, id, { state, behind, limit: limit + 1 })
      const page = pageOf(found, limit, ({ id: delivery }) => [delivery])
      return { items: page.items.map(viewDelivery), nextCursor: page.nextCursor }
    },
  )

  app.post(
    `${base}/:name/deliveries/:deliveryId/retry`,
    {
      config: { action: actions.retry },
      schema: {
        tags,
        summary: summaryOf('Send a delivery again from the first try, of a webhook'),
        params: place.ofDelivery,
        body: Type.Object({}, { additionalProperties: false }),
        querystring: DryRunQuery,
        response: { 200: DeliveryBody },
      },
    },
    async (request) => {
      const actor = request.principal.name
      const { deliveryId: id } = request.params as { deliveryId: string }
      const delivery = await inTransaction(
        db,
        async (trx) => {
          const context = { actor, now: await now(trx) }
          return retryDelivery(trx, scopeOf(request), { name: nameOf(request), id, context })
        },
        { dryRun: request.query.dryRun },
      )
      if (request.query.dryRun !== true) options.kick()
      return viewDelivery(delivery)
    },
  )
}

function scopeOf({ params }: { readonly params: unknown }): WebhookScope {
  const { meshId } = params as { readonly meshId?: string }
  return meshId === undefined ? undefined : parseMeshId(meshId)
}

function nameOf({ params }: Pick<FastifyRequest, 'params'>): string {
  return (params as { readonly name: string }).name
}

function placeUrl(scope: WebhookScope): string {
  return scope === undefined ? '/v1/webhooks' : `/v1/meshes/${scope}/webhooks`
}

function meshOption(scope: WebhookScope): string {
  return scope === undefined ? '' : ` --mesh ${scope}`
}
