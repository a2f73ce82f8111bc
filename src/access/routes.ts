import { Type } from 'typebox'
import { inTransaction } from '../db/connect.ts'
import type { Db } from '../db/schema.ts'
import type { DbClock } from '../db/time.ts'
import { DryRunQuery } from '../http/dry-run.ts'
import type { App } from '../http/listener.ts'
import { PageQuery, decodeIdCursor, pageOf, pageSchema } from '../http/page.ts'
import { ApiTokenBody, CreateApiTokenBody, CreatedApiTokenBody, WhoamiBody } from './api.ts'
import { createApiToken, loadApiToken, revokeApiToken } from './api-tokens.ts'
import { findGrantsOf } from './grant-store.ts'
import { contextOf, seenGrants } from './grants.ts'
import { ownerMeshesOf } from './owner-scope.ts'
import { readGrant } from './read-grant.ts'
import { listTokens } from './store.ts'
import { viewCreatedToken, viewPrincipal, viewToken } from './view.ts'

/** What the access routes need. */
export interface AccessRoutesOptions {
  readonly db: Db
  readonly now: DbClock
}

const Params = Type.Object({ tokenId: Type.String({ format: 'uuid' }) })

/** API tokens and whoami. */
export const accessRoutes = async (app: App, options: AccessRoutesOptions): Promise<void> => {
  const { db, now } = options

  app.get(
    '/whoami',
    {
      config: { action: 'whoami.read' },
      schema: {
        tags: ['access'],
        summary: 'Who the token stands for, and what it may do',
        response: { 200: WhoamiBody },
      },
    },
    async (request) => viewPrincipal(request.principal),
  )

  app.post(
    '/api-tokens',
    {
      config: { action: 'api-token.create', secretAnswer: true },
      schema: {
        tags: ['access'],
        summary: 'Make an API token; the answer shows its secret this once',
        body: CreateApiTokenBody,
        querystring: DryRunQuery,
        response: { 200: CreatedApiTokenBody, 201: CreatedApiTokenBody },
      },
    },
    async (request, reply) => {
      const { label, ttlSeconds, ...draft } = request.body
      const { principal } = request
      const grant = readGrant(draft)
      const dryRun = request.query.dryRun === true
      const created = await inTransaction(
        db,
        async (trx) =>
          createApiToken(trx, { label, ttlSeconds, grant }, contextOf(principal, await now(trx))),
        { dryRun },
      )
      reply.header('cache-control', 'no-store')
      const body = viewCreatedToken(created, { dryRun })
      if (dryRun) return reply.code(200).send(body)
      return reply.code(201).header('location', `/v1/api-tokens/${body.id}`).send(body)
    },
  )

  app.get(
    '/api-tokens',
    {
      config: { action: 'api-token.list' },
      schema: {
        tags: ['access'],
        summary: 'List API tokens that were not revoked',
        querystring: PageQuery,
        response: { 200: pageSchema(ApiTokenBody) },
      },
    },
    async (request) => {
      const { limit, cursor } = request.query
      const after = decodeIdCursor(cursor)
      const meshes = ownerMeshesOf(request.principal, 'api-token.list')
      const rows = await listTokens(db, { after, meshes, limit: limit + 1 })
      const { items, nextCursor } = pageOf(rows, limit, (token) => [token.id])
      const ids = items.map((token) => token.id)
      const grants = await findGrantsOf(db, ids)
      const views = items.map((token) =>
        viewToken({ token, grants: seenGrants(grants.get(token.id) ?? [], meshes) }),
      )
      return { items: views, nextCursor }
    },
  )

  app.get(
    '/api-tokens/:tokenId',
    {
      config: { action: 'api-token.list' },
      schema: {
        tags: ['access'],
        summary: 'Read an API token',
        params: Params,
        response: { 200: ApiTokenBody },
      },
    },
    async (request) => {
      const meshes = ownerMeshesOf(request.principal, 'api-token.list')
      return viewToken(await loadApiToken(db, request.params.tokenId, meshes))
    },
  )

  app.delete(
    '/api-tokens/:tokenId',
    {
      config: { action: 'api-token.delete' },
      schema: {
        tags: ['access'],
        summary: 'Revoke an API token',
        params: Params,
        querystring: DryRunQuery,
        response: { 200: ApiTokenBody },
      },
    },
    async (request) => {
      const { tokenId } = request.params
      const { principal } = request
      const revoked = await inTransaction(
        db,
        async (trx) => revokeApiToken(trx, tokenId, contextOf(principal, await now(trx))),
        { dryRun: request.query.dryRun },
      )
      return viewToken(revoked)
    },
  )
}
