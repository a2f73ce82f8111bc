import { type Static, Type } from 'typebox'
import { inTransaction } from '../../db/connect.ts'
import { type MeshId, parseMeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { quoted, ServiceError } from '../../errors.ts'
import { DryRunQuery } from '../../http/dry-run.ts'
import { type App } from '../../http/listener.ts'
import { decodeNumberCursor, pageOf, PageQuery, pageSchema } from '../../http/page.ts'
import { MeshParams } from '../../mesh/api.ts'
import { parseTrustDomain, type TrustDomain } from '../../spiffe/trust-domain.ts'
import {
  BundleSetBody,
  PeerBundleBody,
  PeerRevisionBody,
  SetBundleBody,
} from './peer-bundle-api.ts'
import { loadRelationship } from '../find-relationship.ts'
import { listRevisions } from './history-store.ts'
import { givenDocument } from './pem-bundle.ts'
import { type DomainKey, findCurrent } from './revision-store.ts'
import { type PeerBundleRoutesOptions } from '../route-options.ts'
import { setBundle } from './set-bundle.ts'
import { hexOf } from '../hex.ts'
import { viewRevision } from './view-revision.ts'

const Params = Type.Object({
  ...MeshParams.properties,
  name: Type.String({ maxLength: 63 }),
  trustDomain: Type.String({ maxLength: 255 }),
})

/** Bundles of peers: the one in use, its history, and setting one by hand. */
export const peerBundleRoutes = async (
  app: App,
  options: PeerBundleRoutesOptions,
): Promise<void> => {
  const { db, now } = options
  const path = '/meshes/:meshId/relationships/:name/bundles/:trustDomain'

  app.get(
    path,
    {
      config: { action: 'relationship.read' },
      schema: {
        tags: ['relationships'],
        summary: "Read the bundle of a peer's domain that is in use, as it was received",
        params: Params,
        response: { 200: PeerBundleBody },
      },
    },
    async (request) => {
      const { meshId, key, name } = await keyOf(db, request.params)
      const current = await findCurrent(db, meshId, key)
      if (current === undefined) throw noBundle(name, key.trustDomain)
      const document = new TextDecoder().decode(current.document)
      return { ...viewRevision(current), document }
    },
  )

  app.get(
    `${path}/revisions`,
    {
      config: { action: 'relationship.read' },
      schema: {
        tags: ['relationships'],
        summary: "List the bundles of a peer's domain that were in use, the newest first",
        params: Params,
        querystring: PageQuery,
        response: { 200: pageSchema(PeerRevisionBody) },
      },
    },
    async (request) => {
      const { meshId, key } = await keyOf(db, request.params)
      const { limit, cursor } = request.query
      const before = decodeNumberCursor(cursor)
      const found = await listRevisions(db, meshId, { key, before, limit: limit + 1 })
      const page = pageOf(found, limit, ({ n }) => [n.toString()])
      return { items: page.items.map(viewRevision), nextCursor: page.nextCursor }
    },
  )

  app.post(
    path,
    {
      config: { action: 'relationship.set-bundle' },
      // A document of 1 MiB grows when its quotes are escaped.
      bodyLimit: 3 * 1024 * 1024,
      schema: {
        tags: ['relationships'],
        summary: 'Set the bundle of a peer by hand; it counts until the next successful fetch',
        params: Params,
        body: SetBundleBody,
        querystring: DryRunQuery,
        response: { 200: BundleSetBody },
      },
    },
    async (request) => {
      const meshId = parseMeshId(request.params.meshId)
      const { name } = request.params
      const trustDomain = parseTrustDomain(request.params.trustDomain)
      const document = documentOf(trustDomain, request.body)
      const actor = request.principal.name
      const dryRun = request.query.dryRun ?? false
      const { read, diff } = await inTransaction(
        db,
        async (trx) => {
          const context = { actor, now: await now(trx) }
          const { fingerprint } = request.body
          return setBundle(trx, meshId, { name, trustDomain, document, fingerprint, context })
        },
        { dryRun },
      )
      if (!dryRun) {
        options.peerBundles.invalidate(meshId)
        options.scheduler.kick()
      }
      return {
        trustDomain,
        sequence: read.bundle.sequence?.toString() ?? null,
        digest: hexOf(read.digest),
        added: [...diff.added],
        removed: [...diff.removed],
        kept: diff.kept,
        skipped: read.skipped.map((skipped) => ({ ...skipped })),
        next: [`entente federation show ${name}`],
      }
    },
  )
}

async function keyOf(
  db: Db,
  params: { readonly meshId: string; readonly name: string; readonly trustDomain: string },
): Promise<{ meshId: MeshId; name: string; key: DomainKey }> {
  const meshId = parseMeshId(params.meshId)
  const trustDomain = parseTrustDomain(params.trustDomain)
  const relationship = await loadRelationship(db, meshId, params.name)
  if (relationship.domains.some((domain) => domain.trustDomain === trustDomain)) {
    return {
      meshId,
      name: relationship.name,
      key: { relationshipId: relationship.id, trustDomain },
    }
  }
  throw new ServiceError(
    'NOT_FOUND',
    `relationship ${relationship.name} has no trust domain ${quoted(trustDomain)}`,
    { next: `entente federation show ${relationship.name}` },
  )
}

function noBundle(name: string, trustDomain: TrustDomain): ServiceError {
  return new ServiceError(
    'NOT_FOUND',
    `relationship ${name} has no bundle of ${trustDomain} in use`,
    {
      next: `entente federation show ${name}`,
    },
  )
}

function documentOf(
  trustDomain: TrustDomain,
  { document, bundlePem }: Static<typeof SetBundleBody>,
): Uint8Array {
  const given = givenDocument(trustDomain, { bundle: document, bundlePem })
  if (given !== undefined) return given
  throw new ServiceError('INVALID_REQUEST', 'give the bundle as document, or as bundlePem', {
    fields: [{ in: 'body', pointer: '/document', detail: 'is missing' }],
  })
}
