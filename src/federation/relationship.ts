import { isLabel, type MeshId } from '../db/ids.ts'
import {
  type BundleSource,
  type ChangePolicy,
  type Consent,
  type RelationshipState,
} from '../db/schema.ts'
import { quoted, ServiceError } from '../errors.ts'
import { type EndpointUrl, parseEndpointUrl } from '../spiffe/endpoint-profile.ts'
import { parseSpiffeId, pathOf, type SpiffeId, trustDomainOf } from '../spiffe/spiffe-id.ts'
import { parseTrustDomain, type TrustDomain } from '../spiffe/trust-domain.ts'
import { type ReadDocument, readDocument } from './accept-bundle.ts'
import { anchorsIn, hasUsableAnchor } from './anchors.ts'
import { type OwnerData, type OwnerDraft } from './owner-data.ts'

/** How one trust domain of a peer is fetched; pinned for the life of the relationship (FE-08). */
export interface RelationshipDomain {
  readonly trustDomain: TrustDomain
  readonly source: BundleSource
  readonly endpointUrl: EndpointUrl | undefined
  readonly endpointId: SpiffeId | undefined
  /** Our reader row for this peer, by which its fetches of our bundle show. */
  readonly readerId: string | undefined
  /** Names this domain in the relay URL for our own control planes. */
  readonly relayId: string
  /** SHA-256 of the first bundle that counted; pinned. */
  readonly firstDigest: Uint8Array | undefined
}

/** Who calls us on behalf of an Entente peer, and where it takes our calls. */
export interface Exchange {
  readonly id: SpiffeId
  readonly url: EndpointUrl
}

/** Our standing with one peer mesh; one-way (FE-09). */
export interface Relationship extends OwnerData {
  readonly meshId: MeshId
  readonly id: string
  /** Our name for the peer, unique in the mesh. */
  readonly name: string
  /** A peer, or the system that signs for a trust domain of this mesh, which is polled and judged alike. */
  readonly purpose: 'peer' | 'source'
  readonly generation: bigint
  readonly peerMeshName: string | undefined
  readonly ourConsent: Consent
  readonly theirConsent: Consent
  readonly state: RelationshipState
  readonly changePolicy: ChangePolicy
  /** Suspended by our own operator, apart from any consent. */
  readonly onHold: boolean
  /** Why it is suspended or terminated, for people. */
  readonly standingReason: string | undefined
  /** Absent for peers that do not speak Entente, and until the handshake. */
  readonly exchange: Exchange | undefined
  readonly hintMinSeconds: number | undefined
  readonly hintMaxSeconds: number | undefined
  readonly version: bigint
  readonly createdAt: Date
  readonly activatedAt: Date | undefined
  readonly terminatedAt: Date | undefined
  readonly domains: readonly RelationshipDomain[]
}

/** One trust domain of a relationship as somebody wrote it. */
export interface DomainDraft {
  readonly trustDomain: string
  readonly source: BundleSource
  readonly endpointUrl?: string
  readonly endpointSpiffeId?: string
  /** Text of a SPIFFE bundle, given by hand. */
  readonly bundle?: string
}

/** A relationship as somebody wrote it. */
export interface RelationshipDraft extends HintRange, OwnerDraft {
  readonly name: string
  readonly peerMeshName?: string
  /** Default `auto`. */
  readonly changePolicy?: ChangePolicy
  readonly domains: readonly DomainDraft[]
}

/** The limits within which a peer's hint counts. */
export interface HintRange {
  readonly hintMinSeconds?: number | null | undefined
  readonly hintMaxSeconds?: number | null | undefined
}

/** A domain that may become part of a relationship, with the bundle given by hand. */
export interface NewDomain extends Omit<
  RelationshipDomain,
  'readerId' | 'relayId' | 'firstDigest'
> {
  readonly given: ReadDocument | undefined
}

/** What a draft is judged against. */
export interface DraftContext {
  /** The trust domains of this mesh. */
  readonly own: ReadonlySet<TrustDomain>
  /** Domains that this mesh already federates with, and the relationship's name. */
  readonly federated: ReadonlyMap<TrustDomain, string>
  readonly now: Date
}

/**
 * Judges the domains of a draft. Nothing is inferred: not the domain from the URL, not the profile (FE-01, FE-02).
 *
 * Throws RELATIONSHIP_INVALID, ALREADY_EXISTS (FE-44), TRUST_DOMAIN_INVALID, ENDPOINT_URL_INVALID (FE-05),
 * SPIFFE_ID_INVALID or BUNDLE_MALFORMED.
 */
export function parseDomains(draft: RelationshipDraft, context: DraftContext): NewDomain[] {
  if (!isLabel(draft.name)) {
    throw invalid(
      `relationship name ${quoted(draft.name)} must be a DNS label: 1 to 63 of a-z, 0-9 and -`,
      '/name',
    )
  }
  checkHintRange(draft)
  const seen = new Set<TrustDomain>()
  return draft.domains.map((domain, index) => {
    const parsed = parseDomain(domain, { at: `/domains/${index}`, now: context.now })
    refuseTaken(parsed.trustDomain, context, seen)
    seen.add(parsed.trustDomain)
    return parsed
  })
}

/** Refuses hint limits of which the lower is above the upper. Throws RELATIONSHIP_INVALID. */
export function checkHintRange({ hintMinSeconds, hintMaxSeconds }: HintRange): void {
  if (typeof hintMinSeconds !== 'number' || typeof hintMaxSeconds !== 'number') return
  if (hintMinSeconds <= hintMaxSeconds) return
  throw invalid(
    `hintMinSeconds ${hintMinSeconds} is above hintMaxSeconds ${hintMaxSeconds}`,
    '/hintMinSeconds',
  )
}

/** Whether a bundle endpoint is authenticated by the very bundle that it serves. */
function isSelfServing(domain: { trustDomain: TrustDomain; endpointId: SpiffeId }): boolean {
  return trustDomainOf(domain.endpointId) === domain.trustDomain
}

interface Place {
  readonly at: string
  readonly now: Date
}

function parseDomain(draft: DomainDraft, place: Place): NewDomain {
  const trustDomain = parseTrustDomain(draft.trustDomain)
  const common = {
    trustDomain,
    source: draft.source,
    endpointUrl: undefined,
    endpointId: undefined,
  }
  if (draft.source === 'https_spiffe') {
    return { ...common, ...parseSpiffeEndpoint(draft, trustDomain, place) }
  }
  if (draft.source === 'https_web') {
    refuseExtra(draft, ['endpointSpiffeId', 'bundle'], place)
    return { ...common, endpointUrl: urlOf(draft, place), given: undefined }
  }
  refuseExtra(draft, ['endpointUrl', 'endpointSpiffeId'], place)
  return { ...common, given: staticBundle(draft, trustDomain, place) }
}

function parseSpiffeEndpoint(draft: DomainDraft, trustDomain: TrustDomain, place: Place) {
  const endpointUrl = urlOf(draft, place)
  const endpointId = endpointIdOf(draft, place)
  if (!isSelfServing({ trustDomain, endpointId })) {
    throw invalid(
      `the endpoint of ${trustDomain} has an ID of ${trustDomainOf(endpointId)}; an endpoint in another trust domain than the one it serves cannot be used yet`,
      `${place.at}/endpointSpiffeId`,
      `use an endpoint whose SPIFFE ID is in ${trustDomain}, or profile https_web`,
    )
  }
  return { endpointUrl, endpointId, given: bootstrapBundle(draft, trustDomain, place) }
}

function urlOf({ endpointUrl, source }: DomainDraft, { at }: Place): EndpointUrl {
  if (endpointUrl === undefined) {
    throw invalid(`profile ${source} needs the URL of the bundle endpoint`, `${at}/endpointUrl`)
  }
  return parseEndpointUrl(endpointUrl)
}

function endpointIdOf({ endpointSpiffeId }: DomainDraft, { at }: Place): SpiffeId {
  const pointer = `${at}/endpointSpiffeId`
  if (endpointSpiffeId === undefined) {
    throw invalid('profile https_spiffe needs the SPIFFE ID of the bundle endpoint', pointer)
  }
  const id = parseSpiffeId(endpointSpiffeId)
  if (pathOf(id) !== '') return id
  throw invalid(
    `the endpoint's SPIFFE ID ${quoted(id)} has no path, so no server can present it`,
    pointer,
  )
}

/** FE-22: the first fetch is authenticated by a bundle that somebody brought over another way. */
function bootstrapBundle(draft: DomainDraft, trustDomain: TrustDomain, place: Place): ReadDocument {
  const pointer = `${place.at}/bundle`
  const next = 'get the bundle from the peer out of band and hand it in with --bundle-file'
  if (draft.bundle === undefined) {
    throw invalid(
      `profile https_spiffe needs one bundle of ${trustDomain} to authenticate the first fetch`,
      pointer,
      next,
    )
  }
  const read = readDocument(trustDomain, new TextEncoder().encode(draft.bundle))
  if (read.bundle.x509Authorities.length === 0) {
    throw invalid(`the bundle given for ${trustDomain} has no X.509 authority`, pointer, next)
  }
  if (hasUsableAnchor(anchorsIn(read.bundle.x509Authorities), place.now)) return read
  throw invalid(
    `no X.509 authority in the bundle given for ${trustDomain} is valid now`,
    pointer,
    next,
  )
}

function staticBundle(draft: DomainDraft, trustDomain: TrustDomain, place: Place): ReadDocument {
  const pointer = `${place.at}/bundle`
  if (draft.bundle === undefined) {
    throw invalid(`source static needs the bundle of ${trustDomain}`, pointer)
  }
  const read = readDocument(trustDomain, new TextEncoder().encode(draft.bundle))
  const { x509Authorities, jwtAuthorities } = read.bundle
  if (x509Authorities.length + jwtAuthorities.length > 0) return read
  throw invalid(`the bundle given for ${trustDomain} has no authority that can be used`, pointer)
}

function refuseExtra(
  draft: DomainDraft,
  members: readonly ('endpointUrl' | 'endpointSpiffeId' | 'bundle')[],
  { at }: Place,
): void {
  const extra = members.find((member) => draft[member] !== undefined)
  if (extra === undefined) return
  throw invalid(`${extra} does not belong to source ${draft.source}`, `${at}/${extra}`)
}

/** FE-44: names are not globally unique, and colliding domains cannot federate. */
function refuseTaken(
  trustDomain: TrustDomain,
  { own, federated }: DraftContext,
  seen: ReadonlySet<TrustDomain>,
): void {
  if (own.has(trustDomain)) {
    throw invalid(`${trustDomain} is a trust domain of this mesh itself`, '/domains')
  }
  if (seen.has(trustDomain)) throw invalid(`${trustDomain} is named twice`, '/domains')
  const taken = federated.get(trustDomain)
  if (taken === undefined) return
  throw new ServiceError(
    'ALREADY_EXISTS',
    `relationship ${taken} already federates with ${trustDomain}`,
    { next: `entente federation show ${taken}` },
  )
}

function invalid(message: string, pointer: string, next?: string): ServiceError {
  return new ServiceError('RELATIONSHIP_INVALID', message, {
    fields: [{ in: 'body', pointer, detail: message }],
    ...(next === undefined ? {} : { next }),
  })
}
