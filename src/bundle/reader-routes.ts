import { Type } from 'typebox'
import { type Db, inTransaction } from '../db/connect.ts'
import { parseMeshId } from '../db/ids.ts'
import type { DbClock } from '../db/time.ts'
import { ServiceError } from '../errors.ts'
import { DryRunQuery } from '../http/dry-run.ts'
import type { App } from '../http/listener.ts'
import { decodeCursor, pageOf, PageQuery, pageSchema } from '../http/page.ts'
import { MeshParams } from '../mesh/api.ts'
import { bundleEndpointOfDomain, chooseTrustDomain, loadMesh } from '../mesh/find-mesh.ts'
import type { MeshTrustDomain } from '../mesh/mesh.ts'
import {
  CreatedReaderBody,
  CreateReaderBody,
  ReaderBody,
  type ReaderView,
  TrustDomainQuery,
} from './api.ts'
import { activityOf, type Reader } from './reader.ts'
import { findReader, listReaders } from './reader-store.ts'
import { createReader, noSuchReader, readerUrl, removeReader } from './readers.ts'

/** What the reader routes need. */
export interface ReaderRoutesOptions {
  readonly db: Db
  readonly now: DbClock
  readonly publicUrl: string
  readonly readerSecret: Uint8Array
}

const ReaderParams = Type.Object({
  ...MeshParams.properties,
  label: Type.String({ maxLength: 63 }),
})
const ListQuery = Type.Object(
  { ...PageQuery.properties, ...TrustDomainQuery.properties },
  { additionalProperties: false },
)
const RemoveQuery = Type.Object(
  { ...DryRunQuery.properties, ...TrustDomainQuery.properties },
  { additionalProperties: false },
)

/** Who fetches our bundle by a URL of its own. */
export const readerRoutes = async (app: App, options: ReaderRoutesOptions): Promise<void> => {
  const { db, now } = options

  app.post(
    '/meshes/:meshId/bundle/readers',
    {
      config: { action: 'bundle-reader.create' },
      schema: {
        tags: ['bundles'],
        summary: 'Make a bundle URL for one reader, so that its fetches can be seen',
        params: MeshParams,
        body: CreateReaderBody,
        querystring: DryRunQuery,
        response: { 201: CreatedReaderBody, 200: CreatedReaderBody },
      },
    },
    async (request, reply) => {
      const meshId = parseMeshId(request.params.meshId)
      const { label } = request.body
      const actor = request.principal.name
      const created = await inTransaction(
        db,
        async (trx) => {
          const domain = await chooseTrustDomain(trx, meshId, request.body.trustDomain)
          const context = { actor, now: await now(trx) }
          const reader = await createReader(trx, meshId, {
            trustDomain: domain.name,
            label,
            context,
          })
          const about = await readAbout(trx, options, { domain, at: context.now })
          return viewReader(reader, about)
        },
        { dryRun: request.query.dryRun },
      )
      const body = { ...created, next: [`entente bundle reader list --mesh ${meshId}`] }
      if (request.query.dryRun === true) return reply.code(200).send(body)
      reply.header('location', `/v1/meshes/${meshId}/bundle/readers/${label}`)
      return reply.code(201).send(body)
    },
  )

  app.get(
    '/meshes/:meshId/bundle/readers',
    {
      config: { action: 'bundle-reader.list' },
      schema: {
        tags: ['bundles'],
        summary: 'List readers and what they fetched',
        params: MeshParams,
        querystring: ListQuery,
        response: { 200: pageSchema(ReaderBody) },
      },
    },
    async (request) => {
      const meshId = parseMeshId(request.params.meshId)
      const { limit, cursor, trustDomain } = request.query
      const domain = await chooseTrustDomain(db, meshId, trustDomain)
      const after = decodeCursor(cursor, 1)?.[0]
      const rows = await listReaders(db, meshId, {
        trustDomain: domain.name,
        after,
        limit: limit + 1,
      })
      const page = pageOf(rows, limit, ({ label }) => [label])
      const about = await readAbout(db, options, { domain, at: await now(db) })
      const items = page.items.map((reader) => viewReader(reader, about))
      return { items, nextCursor: page.nextCursor }
    },
  )

  app.delete(
    '/meshes/:meshId/bundle/readers/:label',
    {
      config: { action: 'bundle-reader.delete' },
      schema: {
        tags: ['bundles'],
        summary: 'Remove a reader; its URL then answers 404',
        params: ReaderParams,
        querystring: RemoveQuery,
        response: { 204: Type.Null(), 200: ReaderBody },
      },
    },
    async (request, reply) => {
      const meshId = parseMeshId(request.params.meshId)
      const { label } = request.params
      const { dryRun, trustDomain } = request.query
      const actor = request.principal.name
      const gone = await inTransaction(
        db,
        async (trx) => {
          const domain = await chooseTrustDomain(trx, meshId, trustDomain)
          const reader = await findReader(trx, meshId, { trustDomain: domain.name, label })
          if (reader === undefined) throw noSuchReader(label)
          if (reader.kind === 'relationship') throw belongsToRelationship(label)
          const context = { actor, now: await now(trx) }
          await removeReader(trx, meshId, { trustDomain: domain.name, id: reader.id, context })
          const about = await readAbout(trx, options, { domain, at: context.now })
          return viewReader(reader, about)
        },
        { dryRun },
      )
      if (dryRun === true) return reply.code(200).send(gone)
      return reply.code(204).send(null)
    },
  )
}

/** What the views of all readers of one bundle have in common. */
interface About {
  readonly bundleUrl: string
  readonly readerSecret: Uint8Array
  readonly hintSeconds: number
  readonly now: Date
}

async function readAbout(
  db: Db,
  { publicUrl, readerSecret }: ReaderRoutesOptions,
  { domain, at }: { readonly domain: MeshTrustDomain; readonly at: Date },
): Promise<About> {
  const { url: bundleUrl } = await bundleEndpointOfDomain(db, domain, publicUrl)
  const { settings } = await loadMesh(db, domain.meshId)
  return { bundleUrl, readerSecret, hintSeconds: settings.hintSeconds, now: at }
}

function viewReader(reader: Reader, about: About): ReaderView {
  return {
    label: reader.label,
    trustDomain: reader.trustDomain,
    kind: reader.kind,
    url: readerUrl(about.bundleUrl, about.readerSecret, reader),
    activity: activityOf(reader, about),
    fetches: reader.fetches.toString(),
    firstAt: reader.firstAt?.toISOString() ?? null,
    lastAt: reader.lastAt?.toISOString() ?? null,
    sequence: reader.sequence?.toString() ?? null,
    sources: reader.sources.map(({ address, lastAt }) => ({
      address,
      lastAt: lastAt.toISOString(),
    })),
    createdAt: reader.createdAt.toISOString(),
  }
}

function belongsToRelationship(label: string): ServiceError {
  return new ServiceError(
    'CONFLICT',
    `reader ${label} belongs to the relationship ${label} and ends with it`,
    { next: `entente federation show ${label}` },
  )
}
