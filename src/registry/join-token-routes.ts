import { ownerClustersOf } from '../access/owner-scope.ts'
import { type Db, inTransaction } from '../db/connect.ts'
import { type MeshId, parseMeshId } from '../db/ids.ts'
import { type DbClock } from '../db/time.ts'
import { DryRunQuery } from '../http/dry-run.ts'
import { type App } from '../http/listener.ts'
import { decodeIdCursor, pageOf, pageSchema } from '../http/page.ts'
import { MeshParams } from '../mesh/api.ts'
import { loadMesh } from '../mesh/find-mesh.ts'
import {
  CreatedJoinTokenBody,
  type CreatedJoinTokenView,
  CreateJoinTokenBody,
  JoinTokenBody,
  JoinTokenParams,
  JoinTokensQuery,
} from './api.ts'
import { createJoinToken, type CreatedJoinToken, deleteJoinToken } from './join-tokens.ts'
import { listTokens } from './token-store.ts'
import { viewToken } from './view.ts'

/** What the routes of join tokens need. */
export interface JoinTokenRoutesOptions {
  readonly db: Db
  readonly now: DbClock
  /** Base URL of the workload listener, for the command to run on the other machine. */
  readonly workloadUrl: string
}

/** Join tokens: make one for an identity, list, delete. */
export const joinTokenRoutes = async (
  app: App,
  { db, now, workloadUrl }: JoinTokenRoutesOptions,
): Promise<void> => {
  const address = addressOf(workloadUrl)
  app.post(
    '/meshes/:meshId/join-tokens',
    {
      config: { action: 'join-token.create', secretAnswer: true, narrows: true },
      schema: {
        tags: ['join-tokens'],
        summary: 'Make a join token, and the entry if there is none; the token is shown once',
        params: MeshParams,
        body: CreateJoinTokenBody,
        querystring: DryRunQuery,
        response: { 201: CreatedJoinTokenBody, 200: CreatedJoinTokenBody },
      },
    },
    async (request, reply) => {
      const meshId = parseMeshId(request.params.meshId)
      const ownerClusters = ownerClustersOf(request.principal, 'join-token.create', meshId)
      const { dryRun } = request.query
      const { created, at } = await inTransaction(
        db,
        async (trx) => {
          const context = { actor: request.principal.name, now: await now(trx), ownerClusters }
          const wanted = { ...request.body, address }
          return {
            created: await createJoinToken(trx, meshId, { wanted, context }),
            at: context.now,
          }
        },
        { dryRun },
      )
      const body = viewCreated(created, { at, address })
      reply.header('cache-control', 'no-store')
      // A token of a dry run was never stored: showing it would only mislead.
      if (dryRun === true) return reply.code(200).send({ ...body, token: '(none in a dry run)' })
      reply.header('location', `/v1/meshes/${meshId}/join-tokens/${created.id}`)
      return reply.code(201).send(body)
    },
  )

  app.get(
    '/meshes/:meshId/join-tokens',
    {
      config: { action: 'join-token.list', narrows: true },
      schema: {
        tags: ['join-tokens'],
        summary: 'List join tokens; used and ended ones are kept for 30 days',
        params: MeshParams,
        querystring: JoinTokensQuery,
        response: { 200: pageSchema(JoinTokenBody) },
      },
    },
    async (request) => {
      const meshId = parseMeshId(request.params.meshId)
      const ownerClusters = ownerClustersOf(request.principal, 'join-token.list', meshId)
      const { limit, cursor, entryId } = request.query
      await loadMesh(db, meshId)
      const after = decodeIdCursor(cursor)
      const rows = await listTokens(db, meshId, {
        entryId,
        among: ownerClusters,
        after,
        limit: limit + 1,
      })
      const page = pageOf(rows, limit, (token) => [token.id])
      const at = await now(db)
      const items = page.items.map((token) => viewToken(token, at))
      return { items, nextCursor: page.nextCursor }
    },
  )

  app.delete(
    '/meshes/:meshId/join-tokens/:tokenId',
    {
      config: { action: 'join-token.delete', narrows: true },
      schema: {
        tags: ['join-tokens'],
        summary: 'Delete a join token; whoever holds it can use it no more',
        params: JoinTokenParams,
        querystring: DryRunQuery,
        response: { 200: JoinTokenBody },
      },
    },
    async (request) => {
      const meshId: MeshId = parseMeshId(request.params.meshId)
      const ownerClusters = ownerClustersOf(request.principal, 'join-token.delete', meshId)
      const { tokenId: id } = request.params
      return inTransaction(
        db,
        async (trx) => {
          const context = { actor: request.principal.name, now: await now(trx), ownerClusters }
          return viewToken(await deleteJoinToken(trx, meshId, { id, context }), context.now)
        },
        { dryRun: request.query.dryRun },
      )
    },
  )
}

interface Shown {
  readonly at: Date
  readonly address: string
}

/** `host:port`, the port also where it is the usual one. */
function addressOf(url: string): string {
  const { hostname, port } = new URL(url)
  return `${hostname}:${port === '' ? '443' : port}`
}

function viewCreated(created: CreatedJoinToken, { at, address }: Shown): CreatedJoinTokenView {
  const { entry, expiresAt, id, madeEntry, token } = created
  const stored = {
    id,
    entryId: entry.id,
    spiffeId: entry.spiffeId,
    expiresAt,
    usedAt: undefined,
    createdAt: at,
  }
  const command = `./bin/entente svid fetch --address ${address} --token-file join.token --out svid`
  return { ...viewToken(stored, at), madeEntry, token, command, next: [command] }
}
