import { messageOf, quoted, ServiceError } from '../errors.ts'
import { type Bundle, readBundle, writeBundleText } from './bundle.ts'
import { isJsonObject, type JsonObject, parseJson } from './json.ts'
import { parseTrustDomain, type TrustDomain } from './trust-domain.ts'

/** Largest bundle map we read: room for some ten thousand trust domains of ordinary size. */
export const MAX_BUNDLE_MAP_BYTES = 64 * 1024 * 1024

/**
 * The canonical bytes of a SPIFFE bundle map, domains in byte order, without refresh hints (Trust Domain and
 * Bundle §5.1.1, BU-18, BU-20).
 *
 * Throws `BUNDLE_MALFORMED` when two bundles belong to one trust domain.
 */
export function writeBundleMap(bundles: readonly Bundle[]): Uint8Array {
  const sorted = bundles.toSorted((one, other) => (one.trustDomain < other.trustDomain ? -1 : 1))
  const seen = new Set<TrustDomain>()
  const members = sorted.map((bundle) => {
    if (seen.has(bundle.trustDomain)) {
      throw malformed(`has two bundles of ${quoted(bundle.trustDomain)}`)
    }
    seen.add(bundle.trustDomain)
    const text = writeBundleText({ ...bundle, refreshHintSeconds: undefined })
    return `${JSON.stringify(bundle.trustDomain)}:${text}`
  })
  return new TextEncoder().encode(`{"trust_domains":{${members.join(',')}}}`)
}

/**
 * Reads a SPIFFE bundle map as one state of the world: all of it or nothing (BU-22).
 *
 * Duplicate domains, names that are no trust domains and malformed bundles refuse the whole map (BU-18,
 * BU-19); hints inside it count for nothing (BU-21). Throws `BUNDLE_MALFORMED`.
 */
export function parseBundleMap(bytes: Uint8Array): Map<TrustDomain, Bundle> {
  const bundles = new Map<TrustDomain, Bundle>()
  for (const [name, document] of trustDomainsIn(bytes)) {
    const trustDomain = parseName(name)
    const { bundle } = readBundle(trustDomain, document)
    bundles.set(trustDomain, { ...bundle, refreshHintSeconds: undefined })
  }
  return bundles
}

function trustDomainsIn(bytes: Uint8Array): JsonObject {
  const document = parseDocument(bytes)
  if (!isJsonObject(document)) throw malformed('is no JSON object')
  const trustDomains = document.get('trust_domains')
  if (!isJsonObject(trustDomains)) throw malformed('has no object "trust_domains"')
  return trustDomains
}

function parseDocument(bytes: Uint8Array): ReturnType<typeof parseJson> {
  try {
    return parseJson(bytes, { maxBytes: MAX_BUNDLE_MAP_BYTES })
  } catch (cause) {
    throw malformed(messageOf(cause), cause)
  }
}

function parseName(name: string): TrustDomain {
  try {
    return parseTrustDomain(name)
  } catch (cause) {
    throw malformed(messageOf(cause), cause)
  }
}

function malformed(what: string, cause?: unknown): ServiceError {
  const options = cause === undefined ? {} : { cause }
  return new ServiceError('BUNDLE_MALFORMED', `bundle map: ${what}`, options)
}
