import { type ChangeContext } from '../../audit/record.ts'
import { type Reader } from '../../bundle/reader.ts'
import { readersOfMesh } from '../../bundle/readers.ts'
import { addSeconds } from '../../clock.ts'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { bundleEndpointOfDomain, primaryTrustDomain } from '../../mesh/find-mesh.ts'
import { type FormerHost, formerHostsOf, moveMesh, SILENT_SECONDS } from '../../mesh/move-mesh.ts'
import { type MovedPeerView, type MoveStatusView } from './move-api.ts'
import { insertNoticesForAll } from './notice-store.ts'
import { type OurSide } from '../invite/our-side.ts'
import { ownParameters } from './own-parameters.ts'
import { listPeerExchanges, type PeerExchangeView } from './peer-exchange-store.ts'
import { type ToldParameters } from './peer-status.ts'
import { type Relationship } from '../relationship.ts'
import { listRelationships } from '../store.ts'

/** What moving needs. */
export interface MoveDeps {
  readonly publicUrl: string
  readonly side: OurSide
}

/**
 * Has a mesh reached under another host, in the caller's transaction: what it tells its Entente peers of itself
 * changes with that and is a proposal on their side, of which they get a notice. Throws what {@link moveMesh} throws.
 */
export async function moveFederation(
  trx: Db,
  meshId: MeshId,
  move: MoveDeps & { readonly url: string; readonly context: ChangeContext },
): Promise<void> {
  const { url, publicUrl, context } = move
  await moveMesh(trx, meshId, { url, publicUrl, context })
  const { name: trustDomain } = await primaryTrustDomain(trx, meshId)
  const news = { meshId, trustDomain, sequence: undefined, now: context.now }
  await insertNoticesForAll(trx, { ...news, kind: 'proposal' })
}

/** Where a mesh is reached and was, who still comes by a host that it left, and what each peer must do. */
export async function moveStatus(db: Db, meshId: MeshId, deps: MoveDeps): Promise<MoveStatusView> {
  const domain = await primaryTrustDomain(db, meshId)
  const { url } = await bundleEndpointOfDomain(db, domain, deps.publicUrl)
  const readers = await readersOfMesh(db, meshId)
  const all = await listRelationships(db, meshId)
  const relationships = all.filter(({ state, purpose }) => {
    return state !== 'terminated' && purpose === 'peer'
  })
  const names = new Map(relationships.map(({ id, name }) => [id, name]))
  const formerHosts = await formerHostsOf(db, meshId)
  const exchanges = await listPeerExchanges(db, meshId, [...names.keys()])
  const peers: MovedPeerView[] = []
  for (const relationship of relationships) {
    if (relationship.domains.some(({ source }) => source === 'local')) continue
    const exchange = exchanges.find(({ relationshipId }) => relationshipId === relationship.id)
    peers.push(await viewPeer(db, { relationship, readers, exchange, side: deps.side }))
  }
  return {
    url,
    formerHosts: formerHosts.map((former) => viewHost(former, { readers, names })),
    peers,
    next: nextOf(formerHosts, peers),
  }
}

async function viewPeer(
  db: Db,
  about: {
    readonly relationship: Relationship
    readonly readers: readonly Reader[]
    readonly exchange: PeerExchangeView | undefined
    readonly side: OurSide
  },
): Promise<MovedPeerView> {
  const { relationship, readers, exchange, side } = about
  const { meshId, id: relationshipId, name, state } = relationship
  const own = await ownParameters(db, meshId, { side, relationshipId })
  const speaksEntente = relationship.exchange !== undefined
  return {
    relationship: name,
    state,
    speaksEntente,
    hasOurParameters: holdsOurs(exchange, own),
    askedAt: exchange?.askedAt?.toISOString() ?? null,
    lastError: exchange?.lastError ?? null,
    lastHost: lastHostOf(readers, relationshipId) ?? null,
    tell: speaksEntente ? [] : whatToTell(own),
  }
}

function holdsOurs(
  exchange: PeerExchangeView | undefined,
  own: ToldParameters | undefined,
): boolean | null {
  const holds = exchange?.told?.['holds']
  return typeof holds === 'string' && own !== undefined ? holds === own.digest : null
}

function whatToTell(own: ToldParameters | undefined): string[] {
  const domains = own?.parameters.domains ?? []
  return domains.map(({ trustDomain, endpointUrl }) => {
    return `the bundle of ${trustDomain} is now at ${endpointUrl}`
  })
}

function lastHostOf(readers: readonly Reader[], relationshipId: string): string | undefined {
  const theirs = readers.filter((reader) => reader.relationshipId === relationshipId)
  const newest = theirs.toSorted((one, other) => momentOf(other) - momentOf(one))
  return newest[0]?.lastHost
}

function momentOf({ lastAt }: Reader): number {
  return lastAt?.getTime() ?? 0
}

function viewHost(
  former: FormerHost,
  about: { readonly readers: readonly Reader[]; readonly names: ReadonlyMap<string, string> },
): MoveStatusView['formerHosts'][number] {
  const { host, baseUrl, since, lastFetchAt } = former
  const last = lastFetchAt !== undefined && lastFetchAt > since ? lastFetchAt : since
  return {
    host,
    url: baseUrl,
    since: since.toISOString(),
    lastFetchAt: lastFetchAt?.toISOString() ?? null,
    endsAt: addSeconds(last, SILENT_SECONDS).toISOString(),
    readers: about.readers
      .filter(({ lastHost }) => lastHost === host)
      .map(({ label, relationshipId, lastAt }) => ({
        label,
        relationship: about.names.get(relationshipId ?? '') ?? null,
        lastAt: lastAt?.toISOString() ?? null,
      })),
  }
}

function nextOf(formerHosts: readonly FormerHost[], peers: readonly MovedPeerView[]): string[] {
  if (formerHosts.length === 0) return ['entente federation move --url https://HOST[:PORT]']
  const waiting = peers.filter(({ hasOurParameters }) => hasOurParameters === false)
  const others = peers.filter(({ speaksEntente }) => !speaksEntente)
  return [
    ...waiting.map(({ relationship }) => {
      return `# ${relationship} approves there: entente federation proposal list NAME, then entente federation proposal approve NAME ID`
    }),
    ...others.map(({ relationship, tell }) => `# tell ${relationship}: ${tell.join('; ')}`),
    'entente federation move status',
  ]
}
