import type { Principal } from '../access/principal.ts'
import { type Db, inTransaction } from '../db/connect.ts'
import { parseMeshId } from '../db/ids.ts'
import type { DbClock } from '../db/time.ts'
import { DryRunQuery } from '../http/dry-run.ts'
import type { App } from '../http/listener.ts'
import { decodeCursor, pageOf, pageSchema } from '../http/page.ts'
import { type AppliedContext, forgetApplied, recordApplied, seenApplied } from './applied.ts'
import {
  AppliedBody,
  AppliedParams,
  AppliedQuery,
  type AppliedView,
  RecordAppliedBody,
} from './applied-api.ts'
import { type Applied, type AppliedKinds, hexOf } from './applied-object.ts'
import { MeshParams } from './api.ts'
import { loadMesh } from './find-mesh.ts'

/** What the routes of applied objects need. */
export interface AppliedRoutesOptions {
  readonly db: Db
  readonly now: DbClock
  readonly kinds: AppliedKinds
}

/** Who applied which object from a file, so that pruning touches only what is theirs. */
export const appliedRoutes = async (app: App, options: AppliedRoutesOptions): Promise<void> => {
  const { db, now, kinds } = options
  const contextOf = async (trx: Db, principal: Principal): Promise<AppliedContext> => ({
    actor: principal.name,
    now: await now(trx),
    principal,
    kinds,
  })

  app.get(
    '/meshes/:meshId/applied',
    {
      config: { action: 'applied.list' },
      schema: {
        tags: ['applied'],
        summary:
          'List the objects that were applied from files, still exist and are for the reader to see, by kind and name',
        params: MeshParams,
        querystring: AppliedQuery,
        response: { 200: pageSchema(AppliedBody) },
      },
    },
    async (request) => {
      const { meshId } = await loadMesh(db, parseMeshId(request.params.meshId))
      const { limit, cursor, owner } = request.query
      const [kind = '', name = '', objectId = ''] = decodeCursor(cursor, 3) ?? []
      const after = cursor === undefined ? undefined : { kind, name, objectId }
      const { principal } = request
      const page = { owner, after, limit: limit + 1 }
      const found = await seenApplied(db, meshId, { page, principal, kinds })
      const { items, nextCursor } = pageOf(found, limit, (one) => [
        one.kind,
        one.name,
        one.objectId,
      ])
      return { items: items.map(viewApplied), nextCursor }
    },
  )

  app.put(
    '/meshes/:meshId/applied/:kind/:name',
    {
      config: { action: 'applied.record' },
      schema: {
        tags: ['applied'],
        summary: 'Record who applied an object from a file',
        params: AppliedParams,
        body: RecordAppliedBody,
        querystring: DryRunQuery,
        response: { 200: AppliedBody },
      },
    },
    async (request) => {
      const meshId = parseMeshId(request.params.meshId)
      const { kind, name } = request.params
      const { owner, digest, takeOver = false } = request.body
      const applied = await inTransaction(
        db,
        async (trx) => {
          const bytes = Buffer.from(digest, 'hex')
          const stated = { key: { kind, name }, owner, digest: bytes, takeOver }
          const context = await contextOf(trx, request.principal)
          return recordApplied(trx, meshId, { stated, context })
        },
        { dryRun: request.query.dryRun },
      )
      return viewApplied(applied)
    },
  )

  app.delete(
    '/meshes/:meshId/applied/:kind/:name',
    {
      config: { action: 'applied.forget' },
      schema: {
        tags: ['applied'],
        summary: 'Forget who applied an object; the object stays',
        params: AppliedParams,
        querystring: DryRunQuery,
        response: { 200: AppliedBody },
      },
    },
    async (request) => {
      const meshId = parseMeshId(request.params.meshId)
      const { kind, name } = request.params
      const applied = await inTransaction(
        db,
        async (trx) => {
          const context = await contextOf(trx, request.principal)
          return forgetApplied(trx, meshId, { key: { kind, name }, context })
        },
        { dryRun: request.query.dryRun },
      )
      return viewApplied(applied)
    },
  )
}

function viewApplied({ digest, appliedAt, ...applied }: Applied): AppliedView {
  return { ...applied, digest: hexOf(digest), appliedAt: appliedAt.toISOString() }
}
