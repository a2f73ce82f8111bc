import { type Static } from 'typebox'
import { type MeshId, parseMeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type App } from '../../http/listener.ts'
import { decodeIdCursor, pageOf, pageSchema, placeOrGone } from '../../http/page.ts'
import { MeshParams } from '../../mesh/api.ts'
import { loadMesh } from '../../mesh/find-mesh.ts'
import { AlertBody, AlertQuery } from './alert-api.ts'
import { severitiesFrom, viewAlert } from './alert-events.ts'
import { listAlerts, numberOfAlert } from './alert-store.ts'

/** What the alert routes need. */
export interface AlertRoutesOptions {
  readonly db: Db
}

/** Alerts, of the whole service and of one mesh; any replica answers the same. */
export const alertRoutes = async (app: App, { db }: AlertRoutesOptions): Promise<void> => {
  app.get(
    '/alerts',
    {
      config: { action: 'alert.list' },
      schema: {
        tags: ['alerts'],
        summary: 'List alerts of the service and of all meshes, the newest first',
        querystring: AlertQuery,
        response: { 200: pageSchema(AlertBody) },
      },
    },
    async (request) => pageOfAlerts(db, undefined, request.query),
  )

  app.get(
    '/meshes/:meshId/alerts',
    {
      config: { action: 'mesh-alert.list' },
      schema: {
        tags: ['alerts'],
        summary: 'List alerts of a mesh, the newest first',
        params: MeshParams,
        querystring: AlertQuery,
        response: { 200: pageSchema(AlertBody) },
      },
    },
    async (request) => {
      const { meshId } = await loadMesh(db, parseMeshId(request.params.meshId))
      return pageOfAlerts(db, meshId, request.query)
    },
  )
}

async function pageOfAlerts(db: Db, meshId: MeshId | undefined, query: Static<typeof AlertQuery>) {
  const { limit, cursor, state, minSeverity, code } = query
  const last = decodeIdCursor(cursor)
  const behind =
    last === undefined ? undefined : placeOrGone(await numberOfAlert(db, { id: last, meshId }))
  const found = await listAlerts(db, {
    meshId,
    severities: severitiesFrom(minSeverity ?? 'info'),
    code,
    state,
    behind,
    limit: limit + 1,
  })
  const page = pageOf(found, limit, ({ id }) => [id])
  return { items: page.items.map(viewAlert), nextCursor: page.nextCursor }
}
