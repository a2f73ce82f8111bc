import { type Consent } from '../../db/schema.ts'
import { ServiceError } from '../../errors.ts'
import {
  isJsonArray,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  parseJson,
} from '../../spiffe/json.ts'
import { PROFILES } from '../../spiffe/endpoint-profile.ts'
import { parseTrustDomain, type TrustDomain } from '../../spiffe/trust-domain.ts'
import { digestOfParameters, type ProposedParameters } from '../proposal/proposal.ts'
import { writeRecovery } from '../recovery/recovery.ts'
import { recoveryIn } from '../recovery/recovery-json.ts'
import { type DomainDraft } from '../relationship.ts'

/** Largest answer to the question how a peer stands to us, in bytes. */
export const MAX_STATUS_BYTES = 256 * 1024

/** Consent as a peer is told of it: our own hold is nobody else's business and shows nowhere in it. */
export const TOLD_CONSENTS = ['given', 'pending', 'withdrawn'] as const
/** One of {@link TOLD_CONSENTS}. */
export type ToldConsent = (typeof TOLD_CONSENTS)[number]

/** The parameters of one side as they are now, by which the other reaches it. */
export interface ToldParameters {
  /** {@link digestOfParameters}: names these parameters on both sides. */
  readonly digest: string
  readonly parameters: ProposedParameters
}

/** How one side stands to the other, as it says itself. */
export interface PeerStatus {
  /** Its primary trust domain. */
  readonly trustDomain: TrustDomain
  readonly consent: ToldConsent
  /** Its bundles and their newest sequence. */
  readonly bundles: readonly { readonly trustDomain: TrustDomain; readonly sequence: bigint }[]
  /**
   * Its own parameters; where they differ from those that the other side has in force they are a proposal, with
   * its consent, and theirs is for a person. Absent where another system signs for it.
   */
  readonly parameters: ToldParameters | undefined
  /** Digest of the parameters that it has in force about the other side. */
  readonly holds: string | undefined
}

/** Our consent in the words of {@link TOLD_CONSENTS}. */
export function toldConsent(ours: Consent): ToldConsent {
  return ours === 'given' || ours === 'withdrawn' ? ours : 'pending'
}

/** The answer to a peer that asks. */
export function writeStatus(status: PeerStatus): Record<string, unknown> {
  const { trustDomain, consent, bundles, parameters, holds } = status
  return {
    trustDomain,
    consent,
    bundles: bundles.map((one) => ({
      trustDomain: one.trustDomain,
      sequence: one.sequence.toString(),
    })),
    parameters: parameters === undefined ? null : writeParameters(parameters),
    holds: holds ?? null,
  }
}

function writeParameters({ digest, parameters }: ToldParameters): Record<string, unknown> {
  const { domains, exchange } = parameters
  return {
    digest,
    domains: domains.map(({ trustDomain, source, endpointUrl, endpointSpiffeId, recovery }) => ({
      trustDomain,
      source,
      endpointUrl: endpointUrl ?? null,
      endpointSpiffeId: endpointSpiffeId ?? null,
      recovery: recovery ?? [],
    })),
    exchange: exchange === undefined ? null : { id: exchange.id, url: exchange.url },
  }
}

/**
 * Reads a peer's answer; members that we do not know are passed over, so that newer peers can say more. Throws
 * PEER_ANSWER_REFUSED.
 */
export function readStatus(bytes: Uint8Array): PeerStatus {
  const object = objectIn(parse(bytes), 'the answer')
  const consent = TOLD_CONSENTS.find((known) => known === object.get('consent'))
  if (consent === undefined) throw refused('consent is none of given, pending, withdrawn')
  return {
    trustDomain: domainIn(object),
    consent,
    bundles: listIn(object.get('bundles')).map((entry) => bundleIn(objectIn(entry, 'a bundle'))),
    parameters: parametersIn(object.get('parameters')),
    holds: digestIn(object.get('holds')),
  }
}

function parse(bytes: Uint8Array): JsonValue {
  try {
    return parseJson(bytes, { maxBytes: MAX_STATUS_BYTES, maxDepth: 12 })
  } catch (cause) {
    if (!(cause instanceof ServiceError)) throw cause
    throw new ServiceError('PEER_ANSWER_REFUSED', `the peer's answer: ${cause.message}`, { cause })
  }
}

function parametersIn(value: JsonValue | undefined): ToldParameters | undefined {
  if (value === undefined || value === null) return undefined
  const object = objectIn(value, 'parameters')
  const domains = listIn(object.get('domains')).map((entry) => draftIn(objectIn(entry, 'a domain')))
  const exchange = objectIn(object.get('exchange'), 'exchange')
  const parameters = {
    domains,
    exchange: { id: textIn(exchange, 'id'), url: textIn(exchange, 'url') },
  }
  const digest = digestOfParameters(parameters)
  if (digest === object.get('digest')) return { digest, parameters }
  throw refused('the digest of its parameters is another')
}

/** Never with a bundle: keys come by the bundle endpoint alone. */
function draftIn(object: JsonObject): DomainDraft {
  const source = PROFILES.find((known) => known === object.get('source'))
  if (source === undefined) throw refused('a domain has no profile')
  const endpointUrl = textIn(object, 'endpointUrl')
  const trustDomain = domainIn(object)
  const recovery = recoveryIn(object.get('recovery'), trustDomain, refused).map(writeRecovery)
  const draft = { trustDomain, source, endpointUrl, recovery }
  if (source === 'https_web') return draft
  return { ...draft, endpointSpiffeId: textIn(object, 'endpointSpiffeId') }
}

function textIn(object: JsonObject, name: string): string {
  const value = object.get(name)
  if (typeof value === 'string' && value.length <= MAX_TEXT) return value
  throw refused(`${name} is no text of at most ${MAX_TEXT} characters`)
}

function bundleIn(object: JsonObject) {
  const sequence = object.get('sequence')
  if (typeof sequence !== 'string' || !/^\d{1,20}$/.test(sequence)) {
    throw refused("a bundle's sequence is no decimal text")
  }
  return { trustDomain: domainIn(object), sequence: BigInt(sequence) }
}

function domainIn(object: JsonObject): TrustDomain {
  const name = object.get('trustDomain')
  try {
    if (typeof name === 'string') return parseTrustDomain(name)
  } catch (cause) {
    throw new ServiceError('PEER_ANSWER_REFUSED', `the peer's answer names no trust domain`, {
      cause,
    })
  }
  throw refused('names no trust domain')
}

function digestIn(value: JsonValue | undefined): string | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)) return value
  throw refused('a digest is no SHA-256 in hex')
}

/** Longest URL or SPIFFE ID. */
const MAX_TEXT = 2048

/** At most as many as a mesh has trust domains. */
const MOST_BUNDLES = 64

function listIn(value: JsonValue | undefined): readonly JsonValue[] {
  if (isJsonArray(value) && value.length <= MOST_BUNDLES) return value
  throw refused(`bundles is no list of at most ${MOST_BUNDLES}`)
}

function objectIn(value: JsonValue | undefined, what: string): JsonObject {
  if (isJsonObject(value)) return value
  throw refused(`${what} is no JSON object`)
}

function refused(what: string): ServiceError {
  return new ServiceError('PEER_ANSWER_REFUSED', `the peer's answer: ${what}`)
}
