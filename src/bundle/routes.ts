import { Type } from 'typebox'
import type { Db } from '../db/connect.ts'
import { parseMeshId } from '../db/ids.ts'
import { ServiceError } from '../errors.ts'
import type { App } from '../http/listener.ts'
import { decodeNumberCursor, pageOf, PageQuery, pageSchema } from '../http/page.ts'
import { MeshParams } from '../mesh/api.ts'
import { bundleEndpointOfDomain, chooseTrustDomain } from '../mesh/find-mesh.ts'
import type { MeshTrustDomain } from '../mesh/mesh.ts'
import {
  BundleBody,
  RevisionBody,
  RevisionDocumentBody,
  type RevisionView,
  TrustDomainQuery,
} from './api.ts'
import type { BundleRevision, BundleRevisionHead } from './revision.ts'
import { findCurrent, findRevision, listRevisions } from './store.ts'

/** What the bundle routes of the admin API need. */
export interface BundleRoutesOptions {
  readonly db: Db
  readonly publicUrl: string
}

const RevisionParams = Type.Object({
  ...MeshParams.properties,
  sequence: Type.String({ pattern: '^[0-9]{1,18}$' }),
})
const RevisionsQuery = Type.Object(
  { ...PageQuery.properties, ...TrustDomainQuery.properties },
  { additionalProperties: false },
)

/** Our own bundle and its history, for administrators. */
export const bundleRoutes = async (app: App, options: BundleRoutesOptions): Promise<void> => {
  const { db } = options

  app.get(
    '/meshes/:meshId/bundle',
    {
      config: { action: 'bundle.read', etag: [200] },
      schema: {
        tags: ['bundles'],
        summary: 'Read the current bundle and where it is published',
        params: MeshParams,
        querystring: TrustDomainQuery,
        response: { 200: BundleBody },
      },
    },
    async (request, reply) => {
      const meshId = parseMeshId(request.params.meshId)
      const domain = await chooseTrustDomain(db, meshId, request.query.trustDomain)
      const revision = await findCurrent(db, meshId, domain.name)
      if (revision === undefined) throw noRevision(domain)
      const endpoint = await bundleEndpointOfDomain(db, domain, options.publicUrl)
      reply.header('etag', `"${revision.sequence}"`)
      return {
        ...viewDocument(revision),
        url: endpoint.url,
        profile: endpoint.profile,
        endpointSpiffeId: endpoint.endpointSpiffeId ?? null,
      }
    },
  )

  app.get(
    '/meshes/:meshId/bundle/revisions',
    {
      config: { action: 'bundle.read' },
      schema: {
        tags: ['bundles'],
        summary: 'List what was published, the newest first',
        params: MeshParams,
        querystring: RevisionsQuery,
        response: { 200: pageSchema(RevisionBody) },
      },
    },
    async (request) => {
      const meshId = parseMeshId(request.params.meshId)
      const { limit, cursor, trustDomain } = request.query
      const domain = await chooseTrustDomain(db, meshId, trustDomain)
      const rows = await listRevisions(db, meshId, {
        trustDomain: domain.name,
        before: decodeNumberCursor(cursor),
        limit: limit + 1,
      })
      return pageOf(rows.map(viewRevision), limit, ({ sequence }) => [sequence])
    },
  )

  app.get(
    '/meshes/:meshId/bundle/revisions/:sequence',
    {
      config: { action: 'bundle.read', etag: [200] },
      schema: {
        tags: ['bundles'],
        summary: 'Read one published state of the bundle',
        params: RevisionParams,
        querystring: TrustDomainQuery,
        response: { 200: RevisionDocumentBody },
      },
    },
    async (request, reply) => {
      const meshId = parseMeshId(request.params.meshId)
      const domain = await chooseTrustDomain(db, meshId, request.query.trustDomain)
      const sequence = BigInt(request.params.sequence)
      const revision = await findRevision(db, meshId, { trustDomain: domain.name, sequence })
      if (revision === undefined) throw noRevision(domain)
      reply.header('etag', `"${revision.sequence}"`)
      return viewDocument(revision)
    },
  )
}

function viewRevision(revision: BundleRevisionHead): RevisionView {
  return {
    trustDomain: revision.trustDomain,
    sequence: revision.sequence.toString(),
    sha256: Buffer.from(revision.digest).toString('hex'),
    hintSeconds: revision.hintSeconds,
    cause: revision.cause,
    createdAt: revision.createdAt.toISOString(),
  }
}

function viewDocument(revision: BundleRevision): RevisionView & { document: string } {
  return { ...viewRevision(revision), document: Buffer.from(revision.document).toString('utf8') }
}

function noRevision(domain: MeshTrustDomain): ServiceError {
  return new ServiceError('NOT_FOUND', `there is no such revision of the bundle of ${domain.name}`)
}
