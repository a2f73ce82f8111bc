import { inTransaction } from '../../db/connect.ts'
import { parseMeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type DbClock } from '../../db/time.ts'
import { DryRunQuery } from '../../http/dry-run.ts'
import { type App } from '../../http/listener.ts'
import { MeshParams } from '../../mesh/api.ts'
import { MoveBody, MoveStatusBody } from './move-api.ts'
import { type MoveDeps, moveFederation, moveStatus } from './move-federation.ts'

/** What the routes of moving need. */
export interface MoveRoutesOptions extends MoveDeps {
  readonly db: Db
  readonly now: DbClock
}

const TAGS = ['relationships']

/** Where a mesh is reached by its peers: move it, and see who has not followed. */
export const moveRoutes = async (app: App, options: MoveRoutesOptions): Promise<void> => {
  const { db, now } = options

  app.post(
    '/meshes/:meshId/move',
    {
      config: { action: 'mesh.move' },
      schema: {
        tags: TAGS,
        summary:
          'Have the mesh reached under another host; Entente peers get a proposal, the old host is answered under while somebody comes',
        params: MeshParams,
        body: MoveBody,
        querystring: DryRunQuery,
        response: { 200: MoveStatusBody },
      },
    },
    async (request) => {
      const meshId = parseMeshId(request.params.meshId)
      const { url } = request.body
      const actor = request.principal.name
      return inTransaction(
        db,
        async (trx) => {
          const context = { actor, now: await now(trx) }
          await moveFederation(trx, meshId, { ...options, url, context })
          return moveStatus(trx, meshId, options)
        },
        { dryRun: request.query.dryRun },
      )
    },
  )

  app.get(
    '/meshes/:meshId/move',
    {
      config: { action: 'mesh.read' },
      schema: {
        tags: TAGS,
        summary: 'Where the mesh is reached and was, and who still comes by a host that it left',
        params: MeshParams,
        response: { 200: MoveStatusBody },
      },
    },
    async (request) => moveStatus(db, parseMeshId(request.params.meshId), options),
  )
}
