import { createHash } from 'node:crypto'
import { messageOf, quoted, ServiceError } from '../../errors.ts'
import {
  type EndpointUrl,
  parseEndpointUrl,
  type ProfileName,
  PROFILES,
} from '../../spiffe/endpoint-profile.ts'
import { isJsonArray, isJsonObject, type JsonObject, type JsonValue } from '../../spiffe/json.ts'
import { exchangeId, parseSpiffeId, type SpiffeId, trustDomainOf } from '../../spiffe/spiffe-id.ts'
import { parseTrustDomain, type TrustDomain } from '../../spiffe/trust-domain.ts'
import { type ReadDocument, readDocument } from '../poll/accept-bundle.ts'
import { type RecoveryPath, writeRecovery } from '../recovery/recovery.ts'
import { recoveryIn } from '../recovery/recovery-json.ts'
import { type DomainDraft, type Exchange } from '../relationship.ts'

/** Most trust domains of one side. */
export const MAX_SIDE_DOMAINS = 16

/** Longest name of a mesh that is shown. */
const MAX_MESH_NAME = 200

/** One trust domain of a side: where the other side fetches its bundle, and the bundle as it is now. */
export interface SideDomain {
  readonly trustDomain: TrustDomain
  readonly profile: ProfileName
  /** A URL of the other side's own. */
  readonly url: EndpointUrl
  /** Present with https_spiffe. */
  readonly endpointId: SpiffeId | undefined
  /** How the other side may renew the bundle once the endpoint cannot be authenticated. */
  readonly recovery: readonly RecoveryPath[]
  readonly document: Uint8Array
}

/** One side of a federation as it tells the other about itself; the first domain is its primary one. */
export interface Side<D extends SideDomain = SideDomain> {
  readonly meshName: string
  readonly domains: readonly D[]
  readonly exchange: Exchange
}

/** A domain of a side that somebody sent, its bundle read. */
export interface PeerDomain extends SideDomain {
  readonly read: ReadDocument
}

/** A side that somebody sent: a claim until more is proven. */
export type PeerSide = Side<PeerDomain>

/** A side as it is written, every bundle as the text of its document so that no number in it loses digits. */
export function writeSide(side: Side): Record<string, unknown> {
  return writeWith(side, ({ document }) => ({ bundle: new TextDecoder().decode(document) }))
}

/** The same without the bundles: their digests stand for them. */
export function outlineOf(side: Side): Record<string, unknown> {
  return writeWith(side, ({ document }) => ({
    bundleSha256: createHash('sha256').update(document).digest('hex'),
  }))
}

function writeWith(
  { meshName, domains, exchange }: Side,
  bundleOf: (domain: SideDomain) => Record<string, string>,
): Record<string, unknown> {
  return {
    mesh: meshName,
    domains: domains.map((domain) => ({
      trustDomain: domain.trustDomain,
      profile: domain.profile,
      url: domain.url,
      ...(domain.endpointId === undefined ? {} : { endpointSpiffeId: domain.endpointId }),
      ...(domain.recovery.length === 0 ? {} : { recovery: domain.recovery.map(writeRecovery) }),
      ...bundleOf(domain),
    })),
    exchange: { id: exchange.id, url: exchange.url },
  }
}

/**
 * Reads a side strictly: nothing missing, nothing unknown, no domain twice, and every endpoint and the exchange
 * identity in a domain of this side. Throws INVITE_INVALID.
 */
export function readSide(value: JsonValue | undefined): PeerSide {
  const side = objectOf(value, ['mesh', 'domains', 'exchange'])
  const domains = domainsOf(side.get('domains'))
  const meshName = textOf(side, 'mesh', MAX_MESH_NAME)
  if (!/^[\x20-\x7e]+$/.test(meshName)) throw inviteInvalid('has a mesh name that cannot be shown')
  return { meshName, domains, exchange: exchangeOf(side.get('exchange'), domains) }
}

/** The drafts of a relationship with a side; under https_spiffe with its bundle, which proves the first fetch. */
export function draftsOf({ domains }: PeerSide): DomainDraft[] {
  return domains.map(({ trustDomain, profile, url, endpointId, recovery, document }) => ({
    trustDomain,
    source: profile,
    endpointUrl: url,
    recovery: recovery.map(writeRecovery),
    ...(endpointId === undefined ? {} : { endpointSpiffeId: endpointId }),
    // An endpoint in another domain of this side is proven by that domain's bundle (FE-24).
    ...(endpointId !== undefined && trustDomainOf(endpointId) === trustDomain
      ? { bundle: new TextDecoder().decode(document) }
      : {}),
  }))
}

/** The anchors by which a side's endpoint is authenticated: those of the endpoint ID's own domain (FE-21). */
export function anchorsFor(side: PeerSide, id: SpiffeId): readonly Uint8Array[] | undefined {
  const owner = side.domains.find(({ trustDomain }) => trustDomain === trustDomainOf(id))
  return owner?.read.bundle.x509Authorities.map(({ certificate }) => certificate)
}

function domainsOf(value: JsonValue | undefined): readonly [PeerDomain, ...PeerDomain[]] {
  if (!isJsonArray(value) || value.length === 0 || value.length > MAX_SIDE_DOMAINS) {
    throw inviteInvalid(`needs 1 to ${MAX_SIDE_DOMAINS} trust domains`)
  }
  const domains = value.map(domainOf)
  const names = new Set(domains.map(({ trustDomain }) => trustDomain))
  if (names.size < domains.length) throw inviteInvalid('names a trust domain twice')
  for (const { endpointId } of domains) {
    if (endpointId === undefined || names.has(trustDomainOf(endpointId))) continue
    throw inviteInvalid(`has the endpoint ID ${quoted(endpointId)} outside its trust domains`)
  }
  return domains as unknown as readonly [PeerDomain, ...PeerDomain[]]
}

const DOMAIN = ['trustDomain', 'profile', 'url', 'endpointSpiffeId', 'recovery', 'bundle']

function domainOf(value: JsonValue): PeerDomain {
  const domain = objectOf(value, DOMAIN)
  const profile = PROFILES.find((name) => name === domain.get('profile'))
  if (profile === undefined) throw inviteInvalid('has a profile not known here')
  const hasId = domain.has('endpointSpiffeId')
  if (hasId !== (profile === 'https_spiffe')) {
    throw inviteInvalid('needs an endpoint SPIFFE ID with https_spiffe, and only there')
  }
  return asInvite(() => {
    const trustDomain = parseTrustDomain(textOf(domain, 'trustDomain', 255))
    const document = new TextEncoder().encode(textOf(domain, 'bundle'))
    return {
      trustDomain,
      profile,
      url: parseEndpointUrl(textOf(domain, 'url')),
      endpointId: hasId ? parseSpiffeId(textOf(domain, 'endpointSpiffeId')) : undefined,
      recovery: recoveryIn(domain.get('recovery'), trustDomain, inviteInvalid),
      document,
      read: readDocument(trustDomain, document),
    }
  })
}

function exchangeOf(value: JsonValue | undefined, domains: readonly PeerDomain[]): Exchange {
  const exchange = objectOf(value, ['id', 'url'])
  return asInvite(() => {
    const id = parseSpiffeId(textOf(exchange, 'id'))
    if (!domains.some(({ trustDomain }) => exchangeId(trustDomain) === id)) {
      throw inviteInvalid(`has ${quoted(id)} where an exchange identity of its own is wanted`)
    }
    return { id, url: parseEndpointUrl(textOf(exchange, 'url')) }
  })
}

/** The object in a value, without members other than these. Throws INVITE_INVALID. */
export function objectOf(value: JsonValue | undefined, members: readonly string[]): JsonObject {
  if (!isJsonObject(value)) throw inviteInvalid('lacks a part')
  const foreign = [...value.keys()].find((name) => !members.includes(name))
  if (foreign !== undefined) throw inviteInvalid(`has the unknown member ${quoted(foreign)}`)
  return value
}

/** The text of a member. Throws INVITE_INVALID. */
export function textOf(object: JsonObject, name: string, maxCharacters = Infinity): string {
  const value = object.get(name)
  if (typeof value === 'string' && value.length > 0 && value.length <= maxCharacters) return value
  throw inviteInvalid(`has no usable ${name}`)
}

/** The whole number of a member, at most 2^53. Throws INVITE_INVALID. */
export function secondsOf(object: JsonObject, name: string): number {
  const value = object.get(name)
  if (typeof value === 'bigint' && value >= 0n && value <= BigInt(Number.MAX_SAFE_INTEGER)) {
    return Number(value)
  }
  throw inviteInvalid(`has no usable ${name}`)
}

/** Runs a reader; what it throws is INVITE_INVALID with its reason. */
export function asInvite<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (cause instanceof ServiceError && cause.code === 'INVITE_INVALID') throw cause
    throw inviteInvalid(`is not readable: ${messageOf(cause)}`, cause)
  }
}

/** The refusal of an invite or handshake that is not what it should be. */
export function inviteInvalid(what: string, cause?: unknown): ServiceError {
  return new ServiceError('INVITE_INVALID', `invite ${what}`, cause === undefined ? {} : { cause })
}
