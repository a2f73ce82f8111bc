import { createHash } from 'node:crypto'
import { canonicalJson } from '../audit/canonical-json.ts'
import { type Consent } from '../db/schema.ts'
import { ServiceError } from '../errors.ts'
import {
  isJsonArray,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  parseJson,
} from '../spiffe/json.ts'
import { parseTrustDomain, type TrustDomain } from '../spiffe/trust-domain.ts'

/** Largest answer to the question how a peer stands to us, in bytes. */
export const MAX_STATUS_BYTES = 256 * 1024

/** Consent as a peer is told of it: our own hold is nobody else's business and shows nowhere in it. */
export const TOLD_CONSENTS = ['given', 'pending', 'withdrawn'] as const
/** One of {@link TOLD_CONSENTS}. */
export type ToldConsent = (typeof TOLD_CONSENTS)[number]

/** A change of its own parameters that a side wants and the other has not agreed to. */
export interface ToldProposal {
  /** SHA-256, hex, over the parameters in canonical form; names the proposal on both sides. */
  readonly digest: string
  readonly parameters: Readonly<Record<string, unknown>>
  readonly note: string | null
}

/** How one side stands to the other, as it says itself. */
export interface PeerStatus {
  /** Its primary trust domain. */
  readonly trustDomain: TrustDomain
  readonly consent: ToldConsent
  /** Its bundles and their newest sequence. */
  readonly bundles: readonly { readonly trustDomain: TrustDomain; readonly sequence: bigint }[]
  readonly proposal: ToldProposal | undefined
  /** Digest of the other side's proposal that it has agreed to last. */
  readonly agreedTo: string | undefined
}

/** Our consent in the words of {@link TOLD_CONSENTS}. */
export function toldConsent(ours: Consent): ToldConsent {
  return ours === 'given' || ours === 'withdrawn' ? ours : 'pending'
}

/** The answer to a peer that asks. */
export function writeStatus(status: PeerStatus): Record<string, unknown> {
  const { trustDomain, consent, bundles, proposal, agreedTo } = status
  return {
    trustDomain,
    consent,
    bundles: bundles.map((one) => ({
      trustDomain: one.trustDomain,
      sequence: one.sequence.toString(),
    })),
    proposal: proposal ?? null,
    agreedTo: agreedTo ?? null,
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
    proposal: proposalIn(object.get('proposal')),
    agreedTo: digestIn(object.get('agreedTo')),
  }
}

/** SHA-256, hex, over parameters written with sorted members. */
export function parametersDigest(parameters: unknown): string {
  return createHash('sha256').update(canonicalJson(parameters)).digest('hex')
}

function parse(bytes: Uint8Array): JsonValue {
  try {
    return parseJson(bytes, { maxBytes: MAX_STATUS_BYTES, maxDepth: 12 })
  } catch (cause) {
    if (!(cause instanceof ServiceError)) throw cause
    throw new ServiceError('PEER_ANSWER_REFUSED', `the peer's answer: ${cause.message}`, { cause })
  }
}

function proposalIn(value: JsonValue | undefined): ToldProposal | undefined {
  if (value === undefined || value === null) return undefined
  const object = objectIn(value, 'the proposal')
  const parameters = plain(objectIn(object.get('parameters'), "the proposal's parameters"))
  const note = object.get('note')
  const digest = digestIn(object.get('digest'))
  if (digest === undefined || digest !== parametersDigest(parameters)) {
    throw refused("the proposal's digest is not that of its parameters")
  }
  return {
    digest,
    parameters: parameters as Record<string, unknown>,
    note: typeof note === 'string' ? note.slice(0, 2000) : null,
  }
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

/** JSON as plain values; `__proto__` becomes a member like any other. */
function plain(value: JsonValue): unknown {
  if (isJsonArray(value)) return value.map(plain)
  if (!isJsonObject(value)) return typeof value === 'bigint' ? Number(value) : value
  return Object.fromEntries([...value].map(([name, member]) => [name, plain(member)]))
}

function refused(what: string): ServiceError {
  return new ServiceError('PEER_ANSWER_REFUSED', `the peer's answer: ${what}`)
}
