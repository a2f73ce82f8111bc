import { ownerClustersOf } from '../access/owner-scope.ts'
import { type Db, inTransaction } from '../db/connect.ts'
import { parseMeshId } from '../db/ids.ts'
import { type DbClock } from '../db/time.ts'
import { DryRunQuery } from '../http/dry-run.ts'
import { etagOf, matchIfSent } from '../http/etag.ts'
import { type App } from '../http/listener.ts'
import { decodeCursor, pageOf, pageSchema } from '../http/page.ts'
import { MeshParams } from '../mesh/api.ts'
import { loadMesh, trustDomainsOf } from '../mesh/find-mesh.ts'
import {
  ChangeEntryBody,
  CreatedEntryBody,
  CreateEntryBody,
  EndedEntryBody,
  EntriesQuery,
  EntryBody,
  EntryParams,
} from './api.ts'
import { changeEntry, createEntry, deleteEntry, loadEntry } from './change-entries.ts'
import { type Entry, type EntryDraft, parseEntryId } from './entry.ts'
import { listEntries } from './entry-store.ts'
import { viewEntry } from './view.ts'

/** What the routes of entries need. */
export interface EntryRoutesOptions {
  readonly db: Db
  readonly now: DbClock
}

/** Entries: who may have which identity. Create, list, read, change, delete. */
export const entryRoutes = async (app: App, { db, now }: EntryRoutesOptions): Promise<void> => {
  app.post(
    '/meshes/:meshId/entries',
    {
      config: { action: 'entry.create', narrows: true, etag: [201] },
      schema: {
        tags: ['entries'],
        summary: 'Add an entry; a join token of it then yields the identity',
        params: MeshParams,
        body: CreateEntryBody,
        querystring: DryRunQuery,
        response: { 201: CreatedEntryBody, 200: CreatedEntryBody },
      },
    },
    async (request, reply) => {
      const meshId = parseMeshId(request.params.meshId)
      const ownerClusters = ownerClustersOf(request.principal, 'entry.create', meshId)
      const { dryRun } = request.query
      const draft = { ...draftOf(request.body), spiffeId: request.body.spiffeId }
      const entry = await inTransaction(
        db,
        async (trx) => {
          const context = { actor: request.principal.name, now: await now(trx), ownerClusters }
          return createEntry(trx, meshId, { draft, context })
        },
        { dryRun },
      )
      const body = { ...viewEntry(entry), next: nextAfterCreate(entry) }
      if (dryRun === true) return reply.code(200).send(body)
      reply.header('location', `/v1/meshes/${meshId}/entries/${entry.id}`)
      return reply.code(201).header('etag', etagOf(entry.version)).send(body)
    },
  )

  app.get(
    '/meshes/:meshId/entries',
    {
      config: { action: 'entry.list', narrows: true },
      schema: {
        tags: ['entries'],
        summary: 'List entries by SPIFFE ID, or find the one of a SPIFFE ID',
        params: MeshParams,
        querystring: EntriesQuery,
        response: { 200: pageSchema(EntryBody) },
      },
    },
    async (request) => {
      const meshId = parseMeshId(request.params.meshId)
      const ownerClusters = ownerClustersOf(request.principal, 'entry.list', meshId)
      const { limit, cursor, spiffeId: wanted } = request.query
      await loadMesh(db, meshId)
      const trustDomains = await trustDomainsOf(db, meshId)
      const { spiffeId } =
        wanted === undefined ? { spiffeId: wanted } : parseEntryId(wanted, { meshId, trustDomains })
      const after = decodeCursor(cursor, 1)?.[0]
      const rows = await listEntries(db, meshId, {
        spiffeId,
        among: ownerClusters,
        after,
        limit: limit + 1,
      })
      const page = pageOf(rows, limit, (entry) => [entry.spiffeId])
      return { items: page.items.map(viewEntry), nextCursor: page.nextCursor }
    },
  )

  app.get(
    '/meshes/:meshId/entries/:entryId',
    {
      config: { action: 'entry.read', narrows: true, etag: [200] },
      schema: {
        tags: ['entries'],
        summary: 'Read an entry',
        params: EntryParams,
        response: { 200: EntryBody },
      },
    },
    async (request, reply) => {
      const meshId = parseMeshId(request.params.meshId)
      const ownerClusters = ownerClustersOf(request.principal, 'entry.read', meshId)
      await loadMesh(db, meshId)
      const entry = await loadEntry(db, meshId, { id: request.params.entryId, ownerClusters })
      reply.header('etag', etagOf(entry.version))
      return viewEntry(entry)
    },
  )

  app.patch(
    '/meshes/:meshId/entries/:entryId',
    {
      config: { action: 'entry.update', narrows: true, ifMatch: 'honoured', etag: [200] },
      schema: {
        tags: ['entries'],
        summary: 'Change what an entry yields from the next SVID on',
        params: EntryParams,
        body: ChangeEntryBody,
        querystring: DryRunQuery,
        response: { 200: EntryBody },
      },
    },
    async (request, reply) => {
      const meshId = parseMeshId(request.params.meshId)
      const ownerClusters = ownerClustersOf(request.principal, 'entry.update', meshId)
      const { entryId: id } = request.params
      const change = draftOf(request.body)
      const entry = await inTransaction(
        db,
        async (trx) => {
          const context = { actor: request.principal.name, now: await now(trx), ownerClusters }
          const requireVersion = matchIfSent(request)
          return changeEntry(trx, meshId, { id, change, context, requireVersion })
        },
        { dryRun: request.query.dryRun },
      )
      reply.header('etag', etagOf(entry.version))
      return viewEntry(entry)
    },
  )

  app.delete(
    '/meshes/:meshId/entries/:entryId',
    {
      config: { action: 'entry.delete', narrows: true, ifMatch: 'honoured' },
      schema: {
        tags: ['entries'],
        summary: 'Delete an entry and its join tokens; its SVIDs live on until they end',
        params: EntryParams,
        querystring: DryRunQuery,
        response: { 200: EndedEntryBody },
      },
    },
    async (request) => {
      const meshId = parseMeshId(request.params.meshId)
      const ownerClusters = ownerClustersOf(request.principal, 'entry.delete', meshId)
      const { entryId: id } = request.params
      const ended = await inTransaction(
        db,
        async (trx) => {
          const context = { actor: request.principal.name, now: await now(trx), ownerClusters }
          return deleteEntry(trx, meshId, { id, context, requireVersion: matchIfSent(request) })
        },
        { dryRun: request.query.dryRun },
      )
      const { entry, ...endings } = ended
      return { ...viewEntry(entry), ...endings }
    },
  )
}

interface WireContent extends Omit<EntryDraft, 'spiffeId' | 'expiresAt'> {
  readonly expiresAt?: string | null
}

/** Moments of the wire as dates; only what was sent, so that a change leaves the rest as it is. */
function draftOf({ expiresAt, ...rest }: WireContent): Omit<EntryDraft, 'spiffeId'> {
  if (expiresAt === undefined) return rest
  return { ...rest, expiresAt: expiresAt === null ? null : new Date(expiresAt) }
}

function nextAfterCreate({ spiffeId }: Entry): string[] {
  return [`entente join-token create --id ${spiffeId}`]
}
