import { type Static, Type } from 'typebox'
import { type Db, inTransaction } from '../db/connect.ts'
import { type MeshId, parseMeshId } from '../db/ids.ts'
import type { Keyring } from '../db/keyring.ts'
import type { DbClock } from '../db/time.ts'
import { DryRunQuery } from '../http/dry-run.ts'
import type { App } from '../http/listener.ts'
import { decodeIdCursor, pageOf, PageQuery, pageSchema } from '../http/page.ts'
import { MeshParams } from '../mesh/api.ts'
import { chooseTrustDomain, loadMesh } from '../mesh/find-mesh.ts'
import { FIRST_CLUSTER } from '../mesh/mesh.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import {
  ActivateAuthorityBody,
  AuthorityBody,
  type AuthorityView,
  ChangedAuthorityBody,
  PrepareAuthorityBody,
} from './api.ts'
import type { Slot } from './authority.ts'
import { activateByHand, noSuchAuthority, prepareByHand } from './manual.ts'
import { type FullSituation, readSituation } from './situation.ts'
import { findAuthority, listPage } from './store.ts'
import { viewAuthority } from './view.ts'

/** What the authority routes need. */
export interface AuthorityRoutesOptions {
  readonly db: Db
  readonly now: DbClock
  readonly keyring: Keyring
}

const AuthorityParams = Type.Object({
  ...MeshParams.properties,
  authorityId: Type.String({ format: 'uuid' }),
})
const ListQuery = Type.Object(
  {
    ...PageQuery.properties,
    trustDomain: Type.Optional(Type.String({ maxLength: 255 })),
    removed: Type.Optional(Type.Boolean({ description: 'also those that were removed' })),
  },
  { additionalProperties: false },
)

/** Authorities: list, read, prepare a successor, activate it. */
export const authorityRoutes = async (app: App, options: AuthorityRoutesOptions): Promise<void> => {
  const { db, now, keyring } = options

  app.get(
    '/meshes/:meshId/authorities',
    {
      config: { action: 'authority.list' },
      schema: {
        tags: ['authorities'],
        summary: 'List authorities and where they are in their lives',
        params: MeshParams,
        querystring: ListQuery,
        response: { 200: pageSchema(AuthorityBody) },
      },
    },
    async (request) => {
      const { meshId } = await loadMesh(db, parseMeshId(request.params.meshId))
      const { limit, cursor, trustDomain, removed = false } = request.query
      const after = decodeIdCursor(cursor)
      const named =
        trustDomain === undefined ? undefined : await chooseTrustDomain(db, meshId, trustDomain)
      const page = { trustDomain: named?.name, after, limit: limit + 1, removed }
      const rows = await listPage(db, meshId, page)
      const { items, nextCursor } = pageOf(rows, limit, ({ id }) => [id])
      const situations = new Map<TrustDomain, FullSituation>()
      const at = await now(db)
      for (const name of new Set(items.map((one) => one.trustDomain))) {
        situations.set(name, await readSituation(db, meshId, { trustDomain: name, now: at }))
      }
      const views = items.map((one) => viewAuthority(one, situations.get(one.trustDomain)))
      return { items: views, nextCursor }
    },
  )

  app.get(
    '/meshes/:meshId/authorities/:authorityId',
    {
      config: { action: 'authority.read' },
      schema: {
        tags: ['authorities'],
        summary: 'Read an authority',
        params: AuthorityParams,
        response: { 200: AuthorityBody },
      },
    },
    async (request, reply) => {
      const meshId = parseMeshId(request.params.meshId)
      const at = await now(db)
      reply.header('cache-control', 'no-store')
      return readView(db, meshId, { id: request.params.authorityId, at })
    },
  )

  app.post(
    '/meshes/:meshId/authorities',
    {
      config: { action: 'authority.prepare' },
      schema: {
        tags: ['authorities'],
        summary: 'Prepare a successor: it is published now and signs once it is known',
        params: MeshParams,
        body: PrepareAuthorityBody,
        querystring: DryRunQuery,
        response: { 201: ChangedAuthorityBody, 200: ChangedAuthorityBody },
      },
    },
    async (request, reply) => {
      const meshId = parseMeshId(request.params.meshId)
      const actor = request.principal.name
      const view = await inTransaction(
        db,
        async (trx) => {
          const domain = await chooseTrustDomain(trx, meshId, request.body.trustDomain)
          const context = { actor, now: await now(trx) }
          const id = await prepareByHand(trx, meshId, {
            trustDomain: domain.name,
            slot: slotOf(request.body),
            deps: { keyring, context },
          })
          return readView(trx, meshId, { id, at: context.now })
        },
        { dryRun: request.query.dryRun },
      )
      const body = { ...view, next: nextFor(meshId, view) }
      if (request.query.dryRun === true) return reply.code(200).send(body)
      reply.header('location', `/v1/meshes/${meshId}/authorities/${view.id}`)
      return reply.code(201).send(body)
    },
  )

  app.post(
    '/meshes/:meshId/authorities/:authorityId/activate',
    {
      config: { action: 'authority.activate' },
      schema: {
        tags: ['authorities'],
        summary: 'Let a prepared authority sign; its predecessor retires',
        params: AuthorityParams,
        body: ActivateAuthorityBody,
        querystring: DryRunQuery,
        response: { 200: ChangedAuthorityBody },
      },
    },
    async (request, reply) => {
      const meshId = parseMeshId(request.params.meshId)
      const { authorityId: id } = request.params
      const { force = false } = request.body
      const actor = request.principal.name
      const view = await inTransaction(
        db,
        async (trx) => {
          const context = { actor, now: await now(trx) }
          await activateByHand(trx, meshId, { id, force, deps: { keyring, context } })
          return readView(trx, meshId, { id, at: context.now })
        },
        { dryRun: request.query.dryRun },
      )
      return reply.code(200).send({ ...view, next: nextFor(meshId, view) })
    },
  )
}

async function readView(
  db: Db,
  meshId: MeshId,
  { id, at }: { readonly id: string; readonly at: Date },
): Promise<AuthorityView> {
  const authority = await findAuthority(db, meshId, id)
  if (authority === undefined) throw noSuchAuthority(id)
  const { trustDomain } = authority
  return viewAuthority(authority, await readSituation(db, meshId, { trustDomain, now: at }))
}

function slotOf(body: Static<typeof PrepareAuthorityBody>): Slot {
  if (body.kind !== 'x509_intermediate') return { kind: body.kind, cluster: undefined }
  return { kind: body.kind, cluster: body.cluster ?? FIRST_CLUSTER }
}

function nextFor(meshId: MeshId, view: AuthorityView): string[] {
  if (view.state !== 'prepared') return [`entente authority list --mesh ${meshId}`]
  const waits = view.waitingFor.map(({ detail }) => `# waits: ${detail}`)
  return [...waits, `entente authority activate ${view.id} --mesh ${meshId}`]
}
