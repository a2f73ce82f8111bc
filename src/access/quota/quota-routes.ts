import { type Db, inTransaction } from '../../db/connect.ts'
import { parseMeshId } from '../../db/ids.ts'
import type { DbClock } from '../../db/time.ts'
import { DryRunQuery } from '../../http/dry-run.ts'
import { etagOf, matchIfSent } from '../../http/etag.ts'
import type { App } from '../../http/listener.ts'
import { decodeCursor, pageOf, pageSchema } from '../../http/page.ts'
import { noSuchMesh } from '../no-such-mesh.ts'
import { ownerScopeOf, requireOwned } from '../owner-scope.ts'
import { hasMesh } from '../store.ts'
import { setQuotas } from './change-quotas.ts'
import { type QuotaLimits, versionOf } from './quota.ts'
import {
  MeshQuotasBody,
  NamespaceQuotasBody,
  QuotaBody,
  QuotaMeshParams,
  QuotaNamespaceParams,
  QuotasQuery,
  type QuotaView,
  UsageBody,
  UsageQuery,
} from './quota-api.ts'
import { findLimits, listOwners } from './quota-store.ts'
import { usageOf } from './usage.ts'
import { viewUsage } from './view-usage.ts'

/** What the routes of quotas need. */
export interface QuotaRoutesOptions {
  readonly db: Db
  readonly now: DbClock
}

const TAGS = ['tenancy']

/** How much meshes and namespaces may have, and have. */
export const quotaRoutes = async (app: App, { db, now }: QuotaRoutesOptions): Promise<void> => {
  app.get(
    '/meshes/:meshId/quotas',
    {
      config: { action: 'quota.list', narrows: true },
      schema: {
        tags: TAGS,
        summary: 'List the quotas of a mesh and of its namespaces',
        params: QuotaMeshParams,
        querystring: QuotasQuery,
        response: { 200: pageSchema(QuotaBody) },
      },
    },
    async (request) => {
      const meshId = await existing(db, request.params.meshId)
      const { limit, cursor } = request.query
      const among = ownerScopeOf(request.principal, 'quota.list', meshId)
      const after = decodeCursor(cursor, 1)?.[0]
      const owners = await listOwners(db, meshId, { after, among, limit: limit + 1 })
      const page = pageOf(owners, limit, (owner) => [owner])
      const items: QuotaView[] = []
      for (const owner of page.items) {
        const namespace = owner === '' ? undefined : owner
        items.push(viewQuotas(namespace, await findLimits(db, { meshId, namespace })))
      }
      return { items, nextCursor: page.nextCursor }
    },
  )

  app.put(
    '/meshes/:meshId/quotas',
    {
      config: { action: 'quota.set', ifMatch: 'honoured', etag: [200] },
      schema: {
        tags: TAGS,
        summary: 'Set all quotas of a mesh; what is there already stays',
        params: QuotaMeshParams,
        body: MeshQuotasBody,
        querystring: DryRunQuery,
        response: { 200: QuotaBody },
      },
    },
    async (request, reply) => {
      const requireVersion = matchIfSent(request)
      const owner = { meshId: parseMeshId(request.params.meshId), namespace: undefined }
      const { body: limits, principal, query } = request
      await inTransaction(
        db,
        async (trx) => {
          const context = { actor: principal.name, now: await now(trx) }
          return setQuotas(trx, owner, { limits, context, requireVersion })
        },
        { dryRun: query.dryRun },
      )
      reply.header('etag', etagOf(versionOf(limits)))
      return viewQuotas(undefined, limits)
    },
  )

  app.get(
    '/meshes/:meshId/quotas/:namespace',
    {
      config: { action: 'quota.list', narrows: true, etag: [200] },
      schema: {
        tags: TAGS,
        summary: 'Read the quotas of a namespace; nobody has to have set any',
        params: QuotaNamespaceParams,
        response: { 200: QuotaBody },
      },
    },
    async (request, reply) => {
      const meshId = await existing(db, request.params.meshId)
      const { namespace } = request.params
      const ownerScope = ownerScopeOf(request.principal, 'quota.list', meshId)
      requireOwned(ownerScope, { title: 'the question', within: [namespace] })
      const limits = await findLimits(db, { meshId, namespace })
      reply.header('etag', etagOf(versionOf(limits)))
      return viewQuotas(namespace, limits)
    },
  )

  app.put(
    '/meshes/:meshId/quotas/:namespace',
    {
      config: { action: 'namespace-quota.set', ifMatch: 'honoured', etag: [200] },
      schema: {
        tags: TAGS,
        summary: "Set all quotas of a namespace, within its mesh's",
        params: QuotaNamespaceParams,
        body: NamespaceQuotasBody,
        querystring: DryRunQuery,
        response: { 200: QuotaBody },
      },
    },
    async (request, reply) => {
      const requireVersion = matchIfSent(request)
      const { namespace } = request.params
      const owner = { meshId: parseMeshId(request.params.meshId), namespace }
      const { body: limits, principal, query } = request
      await inTransaction(
        db,
        async (trx) => {
          const context = { actor: principal.name, now: await now(trx) }
          return setQuotas(trx, owner, { limits, context, requireVersion })
        },
        { dryRun: query.dryRun },
      )
      reply.header('etag', etagOf(versionOf(limits)))
      return viewQuotas(namespace, limits)
    },
  )

  app.get(
    '/meshes/:meshId/usage',
    {
      config: { action: 'usage.read', narrows: true },
      schema: {
        tags: TAGS,
        summary: 'What a mesh or one of its namespaces uses, beside its quotas',
        params: QuotaMeshParams,
        querystring: UsageQuery,
        response: { 200: UsageBody },
      },
    },
    async (request) => {
      const meshId = await existing(db, request.params.meshId)
      const { namespace } = request.query
      const within = namespace === undefined ? [] : [namespace]
      const ownerScope = ownerScopeOf(request.principal, 'usage.read', meshId)
      requireOwned(ownerScope, { title: 'the question', within })
      const owner = { meshId, namespace }
      return viewUsage(owner, await usageOf(db, owner, await now(db)))
    },
  )
}

async function existing(db: Db, text: string): Promise<string> {
  const meshId = parseMeshId(text)
  if (await hasMesh(db, meshId)) return meshId
  throw noSuchMesh(meshId)
}

function viewQuotas(namespace: string | undefined, limits: QuotaLimits): QuotaView {
  return { namespace: namespace ?? null, limits, version: versionOf(limits) }
}
