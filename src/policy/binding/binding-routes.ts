import { ownerScopeOf } from '../../access/owner-scope.ts'
import { OffersParams } from '../../catalog/api.ts'
import { loadPeer } from '../../catalog/change-offers.ts'
import { offersPage } from '../../catalog/find-services.ts'
import { type Offer } from '../../catalog/service.ts'
import { type Db } from '../../db/connect.ts'
import { parseMeshId } from '../../db/ids.ts'
import { type DbClock } from '../../db/time.ts'
import { type App } from '../../http/listener.ts'
import { decodeCursor, pageOf, PageQuery } from '../../http/page.ts'
import { type Binding, bindingsOf, bound, offered } from './bindings.ts'
import { refusedIdentities, shownIdentities } from './identities.ts'
import {
  identifiedPageSchema,
  RefusedIdentitiesBody,
  ShownIdentitiesBody,
} from './identities-api.ts'
import { ExportBody, ImportedOfferBody } from './offers-api.ts'
import { seenBy } from '../snapshot/seen-rules.ts'
import { type Snapshot } from '../snapshot/snapshot.ts'
import { type Snapshots } from '../snapshot/snapshots.ts'
import { viewExport, viewImported } from './view-binding.ts'

/** What the routes of exports and imports need. */
export interface BindingRoutesOptions {
  readonly db: Db
  readonly now: DbClock
  readonly snapshots: Snapshots
}

/** What rules make of services between this mesh and its peers: shown to them, offered by them. */
export const bindingRoutes = async (app: App, options: BindingRoutesOptions): Promise<void> => {
  const { db, now, snapshots } = options

  app.get(
    '/meshes/:meshId/relationships/:relationship/exports',
    {
      config: { action: 'export.list', narrows: true },
      schema: {
        tags: ['relationships'],
        summary: 'What this mesh shows to a peer, as what, to which callers, and which identities',
        params: OffersParams,
        querystring: PageQuery,
        response: { 200: identifiedPageSchema(ExportBody, ShownIdentitiesBody) },
      },
    },
    async (request) => {
      const meshId = parseMeshId(request.params.meshId)
      const { limit, cursor } = request.query
      const peer = await loadPeer(db, meshId, request.params.relationship)
      const after = decodeCursor(cursor, 2)
      const scope = ownerScopeOf(request.principal, 'export.list', meshId)
      const snapshot = seenBy(await snapshots.current(meshId), scope)
      const at = await now(db)
      const all = offered(snapshot, peer.name, at)
      const rows = all.filter(
        ({ subject }) => isAfter(subject, after) && scope?.includes(subject.namespace) !== false,
      )
      const page = pageOf(rows.slice(0, limit + 1), limit, keyOf)
      const identities = shownIdentities(snapshot, peer.name, at)
      return { items: page.items.map(viewExport), nextCursor: page.nextCursor, identities }
    },
  )

  app.get(
    '/meshes/:meshId/relationships/:relationship/offers',
    {
      config: { action: 'offer.list' },
      schema: {
        tags: ['relationships'],
        summary: 'What a peer offers, what of it this mesh imports, and whom it does not hear',
        params: OffersParams,
        querystring: PageQuery,
        response: { 200: identifiedPageSchema(ImportedOfferBody, RefusedIdentitiesBody) },
      },
    },
    async (request) => {
      const meshId = parseMeshId(request.params.meshId)
      const { limit, cursor } = request.query
      const peer = await loadPeer(db, meshId, request.params.relationship)
      const after = decodeCursor(cursor, 2)
      const page = pageOf(
        await offersPage(db, meshId, { relationshipId: peer.id, after, limit: limit + 1 }),
        limit,
        (offer) => [offer.namespace, offer.name],
      )
      const scope = ownerScopeOf(request.principal, 'offer.list', meshId)
      const snapshot = seenBy(await snapshots.current(meshId), scope)
      const at = await now(db)
      const bindings = bindingsOfOffers(snapshot, page.items, { peer: peer.name, at })
      const items = page.items.map((offer) =>
        viewImported(snapshot, {
          offer,
          at,
          binding: bindings.get(`${offer.namespace}/${offer.name}`),
        }),
      )
      const identities = refusedIdentities(snapshot, peer.name, at)
      return { items, nextCursor: page.nextCursor, identities }
    },
  )
}

function keyOf({ subject }: Binding): string[] {
  return [subject.namespace, subject.name]
}

function isAfter({ namespace, name }: Binding['subject'], after: readonly string[] | undefined) {
  const [afterNamespace = '', afterName = ''] = after ?? []
  return namespace > afterNamespace || (namespace === afterNamespace && name > afterName)
}

// Only aliases can bring two offers of one peer to one name, so without any a page needs no look at the rest.
function bindingsOfOffers(
  snapshot: Snapshot,
  offers: readonly Offer[],
  { peer: name, at }: { readonly peer: string; readonly at: Date },
): Map<string, Binding> {
  const peer = snapshot.relationships.get(name)
  const services = offers.map((offer) => ({ ...offer, serverIds: offer.identities }))
  const bindings =
    peer === undefined || snapshot.rules.aliases.size > 0
      ? bound(snapshot, name, at)
      : bindingsOf(snapshot, { kind: 'import', peer }, { services, at })
  return new Map(bindings.map((one) => [keyOf(one).join('/'), one]))
}
