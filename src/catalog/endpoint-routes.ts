import { ownerScopeOf } from '../access/owner-scope.ts'
import { Type } from 'typebox'
import { type Db } from '../db/connect.ts'
import { parseMeshId } from '../db/ids.ts'
import { type DbClock } from '../db/time.ts'
import { ServiceError } from '../errors.ts'
import { type App } from '../http/listener.ts'
import { decodeCursor, pageOf, PageQuery, pageSchema } from '../http/page.ts'
import { MeshParams } from '../mesh/api.ts'
import { loadMesh } from '../mesh/find-mesh.ts'
import { listEndpoints, PLACE } from './endpoint-store.ts'
import { type ReportedEndpoint } from './endpoint.ts'
import { EndpointBody } from './report-api.ts'
import { viewEndpoint } from './view-endpoint.ts'

/** What the routes of endpoints need. */
export interface EndpointRoutesOptions {
  readonly db: Db
  readonly now: DbClock
}

const Name = Type.Optional(Type.String({ minLength: 1, maxLength: 63 }))

const EndpointsQuery = Type.Object(
  {
    ...PageQuery.properties,
    namespace: Name,
    name: Name,
    cluster: Name,
    stale: Type.Optional(
      Type.Boolean({ description: 'also those whose reporter has been silent too long' }),
    ),
  },
  { additionalProperties: false },
)

/** The endpoints that clusters reported. */
export const endpointRoutes = async (
  app: App,
  { db, now }: EndpointRoutesOptions,
): Promise<void> => {
  app.get(
    '/meshes/:meshId/endpoints',
    {
      config: { action: 'endpoint.list', narrows: true },
      schema: {
        tags: ['services'],
        summary: 'List the endpoints that clusters reported, by service, cluster and workload',
        params: MeshParams,
        querystring: EndpointsQuery,
        response: { 200: pageSchema(EndpointBody) },
      },
    },
    async (request) => {
      const meshId = parseMeshId(request.params.meshId)
      await loadMesh(db, meshId)
      const { limit, cursor, namespace, name: service, cluster, stale } = request.query
      const among = ownerScopeOf(request.principal, 'endpoint.list', meshId)
      const rows = await listEndpoints(db, meshId, {
        among,
        namespace,
        service,
        cluster,
        freshAt: stale === true ? undefined : await now(db),
        after: placeOf(cursor),
        limit: limit + 1,
      })
      const page = pageOf(rows, limit, keyOf)
      return { items: page.items.map(viewEndpoint), nextCursor: page.nextCursor }
    },
  )
}

function keyOf(endpoint: ReportedEndpoint): string[] {
  const { namespace, service, cluster, reporter, workloadUid, port } = endpoint
  return [namespace, service, cluster, reporter, workloadUid, String(port)]
}

function placeOf(cursor: string | undefined): readonly string[] | undefined {
  const place = decodeCursor(cursor, PLACE)
  if (place === undefined || /^[0-9]{1,5}$/.test(place.at(-1) ?? '')) return place
  throw new ServiceError('INVALID_REQUEST', 'the cursor is not one that this list gave out', {
    next: 'leave the cursor out to begin with the first page',
  })
}
