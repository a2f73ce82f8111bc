import { isLabel } from '../db/ids.ts'
import { quoted, ServiceError } from '../errors.ts'
import { type EndpointUrl, parseEndpointUrl } from '../spiffe/endpoint-profile.ts'
import { parseSpiffeId, pathOf, type SpiffeId, trustDomainOf } from '../spiffe/spiffe-id.ts'
import { parseTrustDomain, type TrustDomain } from '../spiffe/trust-domain.ts'
import { type ReadDocument, readDocument } from './poll/accept-bundle.ts'
import { anchorsIn, hasUsableAnchor } from './poll/anchors.ts'
import { effectiveBundle, type KeyDigests } from './trust/effective-bundle.ts'
import { givenDocument } from './peer-bundle/pem-bundle.ts'
import { parseRecovery } from './recovery/recovery.ts'
import {
  type DomainDraft,
  type DraftContext,
  type HintRange,
  type NewDomain,
  type RelationshipDraft,
} from './relationship.ts'
import { checkVouchers } from './poll/vouching.ts'

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
  const domains = draft.domains.map((domain, index) => {
    const parsed = parseDomain(domain, { at: `/domains/${index}`, context })
    refuseTaken(parsed.trustDomain, context, seen)
    seen.add(parsed.trustDomain)
    return parsed
  })
  checkLocal(draft, domains, context)
  checkVouchers(domains, context)
  return domains
}

/** A peer of this same service is one mesh, whose bundles are read and never fetched. */
function checkLocal(
  { changePolicy = 'auto' }: RelationshipDraft,
  domains: readonly NewDomain[],
  { local }: DraftContext,
): void {
  if (domains.every(({ source }) => source !== 'local')) return
  if (changePolicy !== 'auto') throw localIsAuto(changePolicy)
  const meshes = new Set(domains.map(({ trustDomain }) => local.get(trustDomain)))
  if (domains.every(({ source }) => source === 'local') && meshes.size === 1) return
  throw invalid(
    'a relationship with source local has the trust domains of one mesh of this service and no others',
    '/domains',
    'make one relationship for each mesh',
  )
}

/** The refusal of a change policy for a peer of this same service. */
export function localIsAuto(changePolicy: string): ServiceError {
  return invalid(
    `policy ${changePolicy} cannot hold for source local: its bundle is read where it is published, so policy is auto`,
    '/changePolicy',
  )
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

interface Place {
  readonly at: string
  readonly context: Pick<DraftContext, 'local' | 'held' | 'now' | 'distrusted'>
}

function parseDomain(draft: DomainDraft, place: Place): NewDomain {
  const trustDomain = parseTrustDomain(draft.trustDomain)
  const { recovery = [] } = draft
  const common = {
    trustDomain,
    source: draft.source,
    endpointUrl: undefined,
    endpointId: undefined,
    recovery: parseRecovery(recovery, { trustDomain, at: `${place.at}/recovery` }),
  }
  if (draft.source === 'https_spiffe') {
    return { ...common, ...parseSpiffeEndpoint(draft, trustDomain, place) }
  }
  if (draft.source === 'https_web') {
    refuseExtra(draft, ['endpointSpiffeId', 'bundle', 'bundlePem'], place)
    return { ...common, endpointUrl: urlOf(draft, place), given: undefined }
  }
  if (draft.source === 'local') return { ...common, given: localDomain(draft, trustDomain, place) }
  refuseExtra(draft, ['endpointUrl', 'endpointSpiffeId'], place)
  return { ...common, given: staticBundle(draft, trustDomain, place) }
}

function parseSpiffeEndpoint(draft: DomainDraft, trustDomain: TrustDomain, place: Place) {
  const endpointUrl = urlOf(draft, place)
  const endpointId = endpointIdOf(draft, place)
  const endpointDomain = trustDomainOf(endpointId)
  if (endpointDomain !== trustDomain) {
    refuseUseless(draft, { trustDomain, endpointDomain, ...place })
    return { endpointUrl, endpointId, given: undefined }
  }
  return { endpointUrl, endpointId, given: bootstrapBundle(draft, trustDomain, place) }
}

/** FE-24: what authenticates the fetch is another domain's bundle, so one of this domain would never be used. */
function refuseUseless(
  draft: DomainDraft,
  about: { readonly trustDomain: TrustDomain; readonly endpointDomain: TrustDomain } & Place,
): void {
  const member = (['bundle', 'bundlePem'] as const).find((name) => draft[name] !== undefined)
  if (member === undefined) return
  const { trustDomain, endpointDomain, at } = about
  throw invalid(
    `the endpoint of ${trustDomain} stands in ${endpointDomain}, whose bundle authenticates the fetch; a first bundle of ${trustDomain} would never be used`,
    `${at}/${member}`,
    'leave the bundle out',
  )
}

/** A trust domain of another mesh of this service; that it is one its public bundle endpoint tells anybody. */
function localDomain(draft: DomainDraft, trustDomain: TrustDomain, place: Place): undefined {
  refuseExtra(draft, ['endpointUrl', 'endpointSpiffeId', 'bundle', 'bundlePem'], place)
  if (place.context.local.has(trustDomain)) return undefined
  throw invalid(
    `this service publishes no bundle of ${trustDomain}, so source local has nothing to read`,
    `${place.at}/source`,
    'use https_spiffe or https_web with its bundle endpoint',
  )
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

const NOTHING: KeyDigests = new Set()

/** FE-22: the first fetch is authenticated by a bundle that somebody brought over another way. */
function bootstrapBundle(
  draft: DomainDraft,
  trustDomain: TrustDomain,
  place: Place,
): ReadDocument | undefined {
  const pointer = `${place.at}/bundle`
  const next = 'get the bundle from the peer out of band and hand it in with --bundle-file'
  const read = givenBundle(draft, trustDomain)
  if (read === undefined) {
    if (place.context.held.has(trustDomain)) return undefined
    throw invalid(
      `profile https_spiffe needs one bundle of ${trustDomain} to authenticate the first fetch`,
      pointer,
      next,
    )
  }
  if (read.bundle.x509Authorities.length === 0) {
    throw invalid(`the bundle given for ${trustDomain} has no X.509 authority`, pointer, next)
  }
  const { now, distrusted = NOTHING } = place.context
  const trusted = effectiveBundle(read.bundle, distrusted).x509Authorities
  if (trusted.length === 0) {
    const found = `every X.509 authority in the bundle given for ${trustDomain} is distrusted here`
    throw invalid(found, pointer, 'entente federation distrust list')
  }
  if (hasUsableAnchor(anchorsIn(trusted), now)) return read
  throw invalid(
    `no X.509 authority in the bundle given for ${trustDomain} is valid now`,
    pointer,
    next,
  )
}

function staticBundle(
  draft: DomainDraft,
  trustDomain: TrustDomain,
  place: Place,
): ReadDocument | undefined {
  const pointer = `${place.at}/bundle`
  const read = givenBundle(draft, trustDomain)
  if (read === undefined) {
    if (place.context.held.has(trustDomain)) return undefined
    throw invalid(`source static needs the bundle of ${trustDomain}`, pointer)
  }
  const { x509Authorities, jwtAuthorities } = read.bundle
  if (x509Authorities.length + jwtAuthorities.length > 0) return read
  throw invalid(`the bundle given for ${trustDomain} has no authority that can be used`, pointer)
}

function givenBundle(draft: DomainDraft, trustDomain: TrustDomain): ReadDocument | undefined {
  const document = givenDocument(trustDomain, draft)
  return document === undefined ? undefined : readDocument(trustDomain, document)
}

function refuseExtra(
  draft: DomainDraft,
  members: readonly ('endpointUrl' | 'endpointSpiffeId' | 'bundle' | 'bundlePem')[],
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
