import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { primaryTrustDomain } from '../../mesh/find-mesh.ts'
import { trustDomainOf } from '../../spiffe/spiffe-id.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { readDocument } from '../poll/accept-bundle.ts'
import { type AnchorCache, type Anchors, anchorsIn } from '../poll/anchors.ts'
import { type ForecastDomain, type ForecastFacts, type ForecastOwn } from './forecast.ts'
import {
  type HeldSequence,
  listHeldSequences,
  listOwnRevisions,
  listSigningKeys,
  listVouchingHeads,
  type SigningKey,
} from './forecast-store.ts'
import { type Relationship, type RelationshipDomain } from '../relationship.ts'

/** Our certificate of the https_web profile, as this replica presents it. */
export interface OwnWebCertificate {
  readonly endsAt: Date
  readonly covers: (host: string) => boolean
}

/** What forecasts are read with. */
export interface ForecastDeps {
  readonly db: Db
  readonly anchors: AnchorCache
  readonly webCertificate: OwnWebCertificate | undefined
}

/** What is in force of one domain of a relationship. */
export interface DomainInForce {
  readonly receivedAt: Date | undefined
  readonly anchors: Anchors
}

/** Answers what is in force of a domain of a relationship; known to the caller already. */
export type InForce = (
  relationship: Relationship,
  domain: RelationshipDomain,
) => DomainInForce | undefined

/** What the forecasts of relationships of one mesh follow from, by the relationship's id; a few statements in all. */
export async function readForecastFacts(
  deps: ForecastDeps,
  relationships: readonly Relationship[],
  inForce: InForce,
): Promise<ReadonlyMap<string, ForecastFacts>> {
  const meshId = relationships[0]?.meshId
  if (meshId === undefined) return new Map()
  const vouching = await vouchersOf(deps, meshId, relationships)
  const own = await ownFacts(deps, meshId, relationships)
  return new Map(
    relationships.map((relationship) => [
      relationship.id,
      {
        expiresAt: relationship.expiresAt,
        domains: relationship.domains.map((domain) =>
          domainFacts(domain, {
            inForce: inForce(relationship, domain),
            vouching,
          }),
        ),
        own: own(relationship.id),
      },
    ]),
  )
}

interface Known {
  readonly inForce: DomainInForce | undefined
  /** Anchors of other domains that authenticate endpoints. */
  readonly vouching: ReadonlyMap<TrustDomain, Anchors>
}

function domainFacts(domain: RelationshipDomain, known: Known): ForecastDomain {
  const { trustDomain, source } = domain
  const authorities = known.inForce?.anchors.windows ?? []
  const receivedAt = known.inForce?.receivedAt
  return {
    trustDomain,
    source,
    bundle: receivedAt === undefined ? undefined : { receivedAt, authorities },
    endpoint: endpointOf(domain, { authorities, vouching: known.vouching }),
  }
}

/** Who authenticates an https_spiffe endpoint; undefined where that is not known here. */
function endpointOf(
  { trustDomain, endpointId }: RelationshipDomain,
  known: { readonly authorities: Anchors['windows']; readonly vouching: Known['vouching'] },
): ForecastDomain['endpoint'] {
  if (endpointId === undefined) return undefined
  const endpointDomain = trustDomainOf(endpointId)
  const authorities =
    endpointDomain === trustDomain ? known.authorities : known.vouching.get(endpointDomain)?.windows
  return authorities === undefined ? undefined : { trustDomain: endpointDomain, authorities }
}

const NONE: Anchors = { certificates: [], windows: [] }

/** The anchors of the other domains in which endpoints stand; none while their relationship is not active (FE-24). */
async function vouchersOf(
  { db, anchors }: ForecastDeps,
  meshId: MeshId,
  relationships: readonly Relationship[],
): Promise<ReadonlyMap<TrustDomain, Anchors>> {
  const others = relationships.flatMap(({ domains }) =>
    domains.flatMap(({ trustDomain, endpointId }) => {
      const endpointDomain = endpointId === undefined ? trustDomain : trustDomainOf(endpointId)
      return endpointDomain === trustDomain ? [] : [endpointDomain]
    }),
  )
  const found = new Map<TrustDomain, Anchors>()
  for (const { head, isInForce } of await listVouchingHeads(db, meshId, others)) {
    found.set(head.trustDomain, isInForce ? await anchors.of(db, meshId, head) : NONE)
  }
  return found
}

async function ownFacts(
  { db, webCertificate }: ForecastDeps,
  meshId: MeshId,
  relationships: readonly Relationship[],
): Promise<(relationshipId: string) => ForecastOwn> {
  const ids = relationships.map(({ id }) => id)
  const held = new Map(
    (await listHeldSequences(db, meshId, ids)).map((one) => [one.relationshipId, one]),
  )
  const revisions = await listOwnRevisions(db, meshId, [...held.values()])
  const authorities = new Map(
    revisions.map(({ trustDomain, sequence, document }) => [
      keyOf({ trustDomain, sequence }),
      anchorsOf(trustDomain, document).windows,
    ]),
  )
  const signing = held.size === 0 ? [] : await listSigningKeys(db, meshId)
  const web = await webFacts(db, meshId, webCertificate)
  return (relationshipId) => {
    const holds = held.get(relationshipId)
    const windows = holds === undefined ? undefined : authorities.get(keyOf(holds))
    return {
      webCertificate: web,
      held:
        holds === undefined || windows === undefined
          ? undefined
          : { ...holds, authorities: windows, unknownSince: unknownSince(holds, signing) },
    }
  }
}

function unknownSince(holds: HeldSequence, signing: readonly SigningKey[]): Date | undefined {
  const unknown = signing.filter(
    ({ trustDomain, publishedSequence }) =>
      trustDomain === holds.trustDomain && publishedSequence > holds.sequence,
  )
  const moments = unknown.map(({ activatedAt }) => activatedAt.getTime())
  return moments.length === 0 ? undefined : new Date(Math.min(...moments))
}

async function webFacts(
  db: Db,
  meshId: MeshId,
  certificate: OwnWebCertificate | undefined,
): Promise<ForecastOwn['webCertificate']> {
  if (certificate === undefined) return undefined
  const { profile, bundleHost: host } = await primaryTrustDomain(db, meshId)
  if (profile !== 'https_web' || host === undefined) return undefined
  return { endsAt: certificate.endsAt, host, isCovered: certificate.covers(host) }
}

function keyOf({ trustDomain, sequence }: Pick<HeldSequence, 'trustDomain' | 'sequence'>): string {
  return `${trustDomain} ${sequence}`
}

function anchorsOf(trustDomain: TrustDomain, document: Uint8Array): Anchors {
  return anchorsIn(readDocument(trustDomain, document).bundle.x509Authorities)
}
