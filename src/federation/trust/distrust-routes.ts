import { Type } from 'typebox'
import { inTransaction } from '../../db/connect.ts'
import { isId, parseMeshId } from '../../db/ids.ts'
import { ServiceError } from '../../errors.ts'
import { DryRunQuery } from '../../http/dry-run.ts'
import { type App } from '../../http/listener.ts'
import { decodeCursor, pageOf, PageQuery, pageSchema } from '../../http/page.ts'
import { MeshParams } from '../../mesh/api.ts'
import { loadMesh } from '../../mesh/find-mesh.ts'
import { type DistrustChanged, distrustKey, liftDistrust, parseKeyDigest } from './distrust.ts'
import {
  DistrustBody,
  DistrustChangedBody,
  type DistrustChangedView,
  DistrustedKeyBody,
  type DistrustedKeyView,
  DistrustedQuery,
} from './distrust-api.ts'
import { type DistrustedKey, listDistrusted } from './distrust-store.ts'
import { type DistrustRoutesOptions } from '../route-options.ts'

const Params = Type.Object({
  ...MeshParams.properties,
  sha256: Type.String({ maxLength: 110 }),
})
const ListQuery = Type.Object(
  { ...PageQuery.properties, ...DistrustedQuery },
  { additionalProperties: false },
)

/** Distrusted keys of a mesh: distrust, list, lift. */
export const distrustRoutes = async (app: App, options: DistrustRoutesOptions): Promise<void> => {
  const { db, now } = options
  const path = '/meshes/:meshId/distrusted-keys'

  app.post(
    path,
    {
      config: { action: 'distrusted-key.create' },
      schema: {
        tags: ['distrusted keys'],
        summary:
          "Trust a peer's key nowhere in this mesh, until lifted; dryRun lists what it means",
        params: MeshParams,
        body: DistrustBody,
        querystring: DryRunQuery,
        response: { 201: DistrustChangedBody, 200: DistrustChangedBody },
      },
    },
    async (request, reply) => {
      const meshId = parseMeshId(request.params.meshId)
      const digest = parseKeyDigest(request.body.publicKeySha256)
      const { dryRun } = request.query
      const changed = await inTransaction(
        db,
        async (trx) =>
          distrustKey(trx, meshId, {
            digest,
            note: request.body.note,
            context: { actor: request.principal.name, now: await now(trx) },
            dependants: options.dependants,
          }),
        { dryRun },
      )
      const view = viewChanged(changed, nextAfterDistrust(changed, dryRun === true))
      if (dryRun === true) return reply.code(200).send(view)
      options.onChange(meshId)
      reply.header('location', `/v1/meshes/${meshId}/distrusted-keys/${digest}`)
      return reply.code(201).send(view)
    },
  )

  app.get(
    path,
    {
      config: { action: 'distrusted-key.list' },
      schema: {
        tags: ['distrusted keys'],
        summary: 'List distrusted keys, the newest first',
        params: MeshParams,
        querystring: ListQuery,
        response: { 200: pageSchema(DistrustedKeyBody) },
      },
    },
    async (request) => {
      const { meshId } = await loadMesh(db, parseMeshId(request.params.meshId))
      const { limit, cursor, lifted = false } = request.query
      const found = await listDistrusted(db, meshId, {
        before: placeOf(cursor),
        limit: limit + 1,
        withLifted: lifted,
      })
      const page = pageOf(found, limit, ({ since, id }) => [since.toISOString(), id])
      return { items: page.items.map(viewKey), nextCursor: page.nextCursor }
    },
  )

  app.delete(
    `${path}/:sha256`,
    {
      config: { action: 'distrusted-key.delete' },
      schema: {
        tags: ['distrusted keys'],
        summary: 'Lift the distrust of a key; the record of it stays',
        params: Params,
        querystring: DryRunQuery,
        response: { 200: DistrustChangedBody },
      },
    },
    async (request) => {
      const meshId = parseMeshId(request.params.meshId)
      const digest = parseKeyDigest(request.params.sha256)
      const { dryRun } = request.query
      const changed = await inTransaction(
        db,
        async (trx) =>
          liftDistrust(trx, meshId, {
            digest,
            context: { actor: request.principal.name, now: await now(trx) },
          }),
        { dryRun },
      )
      if (dryRun !== true) options.onChange(meshId)
      return viewChanged(changed, ['entente federation distrust list'])
    },
  )
}

function nextAfterDistrust({ key, places }: DistrustChanged, dryRun: boolean): string[] {
  if (dryRun) return [`entente federation distrust ${key.digest}`]
  const names = [...new Set(places.map(({ relationship }) => relationship))].slice(0, 5)
  return [
    ...names.map((name) => `entente federation show ${name}`),
    `entente federation distrust lift ${key.digest}`,
  ]
}

function viewChanged(
  { key, places, effects }: DistrustChanged,
  next: string[],
): DistrustChangedView {
  return { key: viewKey(key), places: [...places], effects: [...effects], next }
}

function viewKey(key: DistrustedKey): DistrustedKeyView {
  return {
    publicKeySha256: key.digest,
    note: key.note ?? null,
    since: key.since.toISOString(),
    by: key.by,
    liftedAt: key.liftedAt?.toISOString() ?? null,
    liftedBy: key.liftedBy ?? null,
  }
}

function placeOf(cursor: string | undefined): { since: Date; id: string } | undefined {
  const key = decodeCursor(cursor, 2)
  if (key === undefined) return undefined
  const since = new Date(key[0] ?? '')
  const id = key[1] ?? ''
  if (!Number.isNaN(since.getTime()) && isId(id)) return { since, id }
  throw new ServiceError('INVALID_REQUEST', 'cursor was not made by this list')
}
