import { Type } from 'typebox'
import { isId, parseMeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type DbClock } from '../../db/time.ts'
import { ServiceError } from '../../errors.ts'
import { type App } from '../../http/listener.ts'
import { decodeCursor, encodeCursor } from '../../http/page.ts'
import { loadMesh } from '../../mesh/find-mesh.ts'
import { MeshParams } from '../../mesh/api.ts'
import { parseTrustDomain } from '../../spiffe/trust-domain.ts'
import { TrustBody, TrustQueryBody } from './trust-api.ts'
import { trustAt, type TrustPlace } from './trust-at.ts'
import { completeSince } from './trust-at-store.ts'
import { viewTrusted } from './view-trust.ts'

/** What the route of trust history needs. */
export interface TrustRoutesOptions {
  readonly db: Db
  readonly now: DbClock
}

/** Whom a mesh trusted at a moment. */
export const trustRoutes = async (app: App, { db, now }: TrustRoutesOptions): Promise<void> => {
  app.get(
    '/meshes/:meshId/trust',
    {
      config: { action: 'trust.read' },
      schema: {
        tags: ['trust'],
        summary:
          'Exactly which authorities of which trust domains, own and foreign, were trusted at a moment, and why',
        params: Type.Object(MeshParams.properties),
        querystring: TrustQueryBody,
        response: { 200: TrustBody },
      },
    },
    async (request) => {
      const { meshId, createdAt } = await loadMesh(db, parseMeshId(request.params.meshId))
      const { limit, cursor, trustDomain } = request.query
      const place = placeIn(cursor)
      const at = momentOf(place?.at ?? request.query.at, await now(db))
      const page = await trustAt(db, meshId, {
        at,
        trustDomain: trustDomain === undefined ? undefined : parseTrustDomain(trustDomain),
        after: place?.after,
        limit,
      })
      const since = (await completeSince(db, meshId)) ?? createdAt
      return {
        at: at.toISOString(),
        completeSince: since.toISOString(),
        items: page.items.map((item) => viewTrusted(item, at)),
        nextCursor: page.next === undefined ? null : cursorOf(at, page.next),
      }
    },
  )
}

function momentOf(wanted: string | undefined, now: Date): Date {
  if (wanted === undefined) return now
  const at = new Date(wanted)
  if (Number.isNaN(at.getTime()) || at > now) {
    throw new ServiceError(
      'INVALID_REQUEST',
      `trust can be told up to now, ${now.toISOString()}, found ${wanted}`,
      { fields: [{ in: 'querystring', pointer: '/at', detail: 'lies in the future' }] },
    )
  }
  return at
}

function cursorOf(at: Date, { section, trustDomain, key }: TrustPlace): string {
  return encodeCursor([at.toISOString(), section, trustDomain, key])
}

function placeIn(cursor: string | undefined): { at: string; after: TrustPlace } | undefined {
  const parts = decodeCursor(cursor, 4)
  if (parts === undefined) return undefined
  const [at = '', section, trustDomain = '', key = ''] = parts
  const isOurs = section === 'own' || (section === 'peer' && isId(key))
  if (isOurs && MOMENT.test(at)) return { at, after: { section, trustDomain, key } }
  throw new ServiceError('INVALID_REQUEST', 'the cursor is not one that this list gave out', {
    next: 'leave the cursor out to begin with the first page',
  })
}

const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
