import type { Db } from '../db/connect.ts'
import { parseMeshId } from '../db/ids.ts'
import type { App } from '../http/listener.ts'
import { decodeCursor, pageOf, PageQuery, pageSchema } from '../http/page.ts'
import { MeshParams, TrustDomainBody } from './api.ts'
import { loadMesh, trustDomainsOf } from './find-mesh.ts'
import { viewTrustDomains } from './view.ts'

/** What the trust domain routes need. */
export interface TrustDomainRoutesOptions {
  readonly db: Db
  readonly publicUrl: string
}

/** The trust domains of a mesh. */
export const trustDomainRoutes = async (
  app: App,
  { db, publicUrl }: TrustDomainRoutesOptions,
): Promise<void> => {
  app.get(
    '/meshes/:meshId/trust-domains',
    {
      config: { action: 'trust-domain.list' },
      schema: {
        tags: ['meshes'],
        summary: 'List the trust domains of a mesh',
        params: MeshParams,
        querystring: PageQuery,
        response: { 200: pageSchema(TrustDomainBody) },
      },
    },
    async (request) => {
      const mesh = await loadMesh(db, parseMeshId(request.params.meshId))
      const domains = await trustDomainsOf(db, mesh.meshId)
      const after = decodeCursor(request.query.cursor, 1)?.[0]
      const rest = viewTrustDomains(domains, publicUrl)
        .toSorted((one, other) => (one.name < other.name ? -1 : 1))
        .filter(({ name }) => after === undefined || name > after)
      return pageOf(rest, request.query.limit, ({ name }) => [name])
    },
  )
}
