import { Type } from 'typebox'
import { type Db, inTransaction } from '../db/connect.ts'
import type { DbClock } from '../db/time.ts'
import { DryRunQuery } from '../http/dry-run.ts'
import type { App } from '../http/listener.ts'
import { decodeIdCursor, pageOf, pageSchema } from '../http/page.ts'
import { CreateGrantBody, CreatedGrantBody, GrantsQuery, TokenGrantBody } from './api.ts'
import { listGrants } from './grant-store.ts'
import { contextOf, createGrant, deleteGrant, loadGrant } from './grants.ts'
import { ownerMeshesOf } from './owner-scope.ts'
import { readGrant } from './read-grant.ts'
import { viewTokenGrant } from './view.ts'

const Params = Type.Object({ grantId: Type.String({ format: 'uuid' }) })

/** What the routes of grants need. */
export interface GrantRoutesOptions {
  readonly db: Db
  readonly now: DbClock
}

/** What tokens may do: one more grant, the list, one less. */
export const grantRoutes = async (app: App, { db, now }: GrantRoutesOptions): Promise<void> => {
  app.post(
    '/grants',
    {
      config: { action: 'grant.create' },
      schema: {
        tags: ['access'],
        summary: 'Give a token one more grant; nobody gives more than they hold',
        body: CreateGrantBody,
        querystring: DryRunQuery,
        response: { 200: CreatedGrantBody, 201: CreatedGrantBody },
      },
    },
    async (request, reply) => {
      const { tokenId, ...draft } = request.body
      const wanted = { tokenId, grant: readGrant(draft) }
      const { principal, query } = request
      const grant = await inTransaction(
        db,
        async (trx) => createGrant(trx, wanted, contextOf(principal, await now(trx))),
        { dryRun: query.dryRun },
      )
      const next = [`entente grant list --token ${tokenId}`, `entente grant delete ${grant.id}`]
      const body = { ...viewTokenGrant(grant), next: query.dryRun === true ? [] : next }
      if (query.dryRun === true) return reply.code(200).send(body)
      return reply.code(201).header('location', `/v1/grants/${grant.id}`).send(body)
    },
  )

  app.get(
    '/grants',
    {
      config: { action: 'grant.list' },
      schema: {
        tags: ['access'],
        summary: 'List grants; a mesh-admin sees those in the own meshes',
        querystring: GrantsQuery,
        response: { 200: pageSchema(TokenGrantBody) },
      },
    },
    async (request) => {
      const { limit, cursor, tokenId } = request.query
      const meshes = ownerMeshesOf(request.principal, 'grant.list')
      const after = decodeIdCursor(cursor)
      const rows = await listGrants(db, { tokenId, after, meshes, limit: limit + 1 })
      const { items, nextCursor } = pageOf(rows, limit, (grant) => [grant.id])
      return { items: items.map(viewTokenGrant), nextCursor }
    },
  )

  app.get(
    '/grants/:grantId',
    {
      config: { action: 'grant.list' },
      schema: {
        tags: ['access'],
        summary: 'Read a grant',
        params: Params,
        response: { 200: TokenGrantBody },
      },
    },
    async (request) => {
      const meshes = ownerMeshesOf(request.principal, 'grant.list')
      return viewTokenGrant(await loadGrant(db, request.params.grantId, meshes))
    },
  )

  app.delete(
    '/grants/:grantId',
    {
      config: { action: 'grant.delete' },
      schema: {
        tags: ['access'],
        summary: 'Take a grant away; it ends at once',
        params: Params,
        querystring: DryRunQuery,
        response: { 200: TokenGrantBody },
      },
    },
    async (request) => {
      const { principal, params, query } = request
      const grant = await inTransaction(
        db,
        async (trx) => deleteGrant(trx, params.grantId, contextOf(principal, await now(trx))),
        { dryRun: query.dryRun },
      )
      return viewTokenGrant(grant)
    },
  )
}
