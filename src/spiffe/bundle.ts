import { messageOf, quoted, ServiceError } from '../errors.ts'
import { decodeBase64, encodeBase64 } from './base64.ts'
import { isJsonArray, isJsonObject, type JsonObject, type JsonValue, parseJson } from './json.ts'
import { isSameJwk, type Outcome, type PublicJwk, readPublicJwk } from './jwk.ts'
import { type TrustDomain } from './trust-domain.ts'

export { type PublicJwk } from './jwk.ts'

/** One X.509 anchor of a trust domain: its certificate in DER and the JWK published beside it. */
export interface X509Authority {
  readonly certificate: Uint8Array
  readonly jwk: PublicJwk
}

/** One key that signs JWT-SVIDs of a trust domain. */
export interface JwtAuthority {
  readonly kid: string
  readonly jwk: PublicJwk
}

/** The authorities of exactly one trust domain, never without its name (Trust Domain and Bundle §3, BU-16). */
export interface Bundle {
  readonly trustDomain: TrustDomain
  readonly sequence: bigint | undefined
  readonly refreshHintSeconds: number | undefined
  readonly x509Authorities: readonly X509Authority[]
  readonly jwtAuthorities: readonly JwtAuthority[]
}

/** An entry of `keys` that is not used, and why; `index` counts from 0. */
export interface SkippedKey {
  readonly index: number
  readonly reason: string
}

/** Largest bundle we read: 1 MiB holds over a thousand authorities (FE-43). */
export const MAX_BUNDLE_BYTES = 1024 * 1024

/** Largest sequence: an unsigned 64-bit integer (BU-04). */
export const MAX_SEQUENCE = 2n ** 64n - 1n

/** Largest refresh hint that counts as one: a year in seconds (BU-14). */
export const MAX_HINT_SECONDS = 365 * 24 * 3600

/** Most skipped entries that are named one by one; the last one then tells how many more there are. */
export const MAX_NAMED_SKIPS = 100

/**
 * Reads the bundle of a trust domain, keeping the sequence exact to 64 bits.
 *
 * Entries of unknown or missing kind, malformed keys and odd certificates are skipped one by one and named
 * in `skipped` (BU-11, BU-13, X5-31, JW-23); a hint of odd shape counts as absent (BU-14). A bundle from
 * which nothing survives is a valid bundle that trusts nobody (BU-15). Throws `BUNDLE_MALFORMED` when the
 * document as a whole is no bundle (BU-12) or exceeds {@link MAX_BUNDLE_BYTES}.
 */
export function parseBundle(
  trustDomain: TrustDomain,
  bytes: Uint8Array,
): { bundle: Bundle; skipped: SkippedKey[] } {
  try {
    return readBundle(trustDomain, parseJson(bytes, { maxBytes: MAX_BUNDLE_BYTES }))
  } catch (cause) {
    if (cause instanceof ServiceError && cause.code === 'JSON_INVALID') {
      throw malformed(trustDomain, messageOf(cause), cause)
    }
    throw cause
  }
}

/** Reads a bundle out of a parsed document; see {@link parseBundle}. Throws `BUNDLE_MALFORMED`. */
export function readBundle(
  trustDomain: TrustDomain,
  document: JsonValue,
): { bundle: Bundle; skipped: SkippedKey[] } {
  if (!isJsonObject(document)) throw malformed(trustDomain, 'document is no JSON object')
  const keys = document.get('keys')
  if (!isJsonArray(keys)) throw malformed(trustDomain, 'member "keys" is no array')
  const collected = collectKeys(keys)
  const bundle: Bundle = {
    trustDomain,
    sequence: readSequence(trustDomain, document),
    refreshHintSeconds: readHint(document.get('spiffe_refresh_hint')),
    x509Authorities: collected.x509Authorities,
    jwtAuthorities: collected.jwtAuthorities,
  }
  return { bundle, skipped: summarise(collected.skipped) }
}

/**
 * The canonical bytes of a bundle: stable member order, keys sorted by use and then by kid or certificate
 * bytes, no blanks; the sequence stands as a bare number (BU-01 to BU-08, X5-27 to X5-29, JW-20).
 *
 * Equal bundles give equal bytes whatever the order of their authorities. Throws `BUNDLE_MALFORMED` for a
 * sequence or hint that no consumer could read.
 */
export function writeBundle(bundle: Bundle): Uint8Array {
  return new TextEncoder().encode(writeBundleText(bundle))
}

/** The text of {@link writeBundle}. */
export function writeBundleText(bundle: Bundle): string {
  const { trustDomain, sequence, refreshHintSeconds: hint } = bundle
  if (sequence !== undefined && (sequence < 0n || sequence > MAX_SEQUENCE)) {
    throw malformed(trustDomain, `sequence ${sequence} does not fit 64 bits`)
  }
  if (hint !== undefined && (!Number.isInteger(hint) || hint < 1 || hint > MAX_HINT_SECONDS)) {
    throw malformed(trustDomain, `refresh hint ${hint} is not 1 to ${MAX_HINT_SECONDS} seconds`)
  }
  const members = [
    ...(sequence === undefined ? [] : [`"spiffe_sequence":${sequence}`]),
    ...(hint === undefined ? [] : [`"spiffe_refresh_hint":${hint}`]),
    `"keys":[${writeKeys(bundle).join(',')}]`,
  ]
  return `{${members.join(',')}}`
}

function writeKeys(bundle: Bundle): string[] {
  const encoder = new TextEncoder()
  const jwt = bundle.jwtAuthorities
    .map(({ kid, jwk }) => ({ order: encoder.encode(kid), text: writeKey(jwk, { kid }) }))
    .toSorted((one, other) => compareBytes(one.order, other.order))
  const x509 = bundle.x509Authorities
    .map(({ certificate, jwk }) => ({ order: certificate, text: writeKey(jwk, { certificate }) }))
    .toSorted((one, other) => compareBytes(one.order, other.order))
  return [...jwt, ...x509].map(({ text }) => text)
}

function writeKey(jwk: PublicJwk, of: { kid: string } | { certificate: Uint8Array }): string {
  const { kty, crv, x, y, n, e } = jwk
  const key = { crv, x, y, n, e }
  return JSON.stringify(
    'kid' in of
      ? { kty, use: 'jwt-svid', kid: of.kid, ...key }
      : { kty, use: 'x509-svid', ...key, x5c: [encodeBase64(of.certificate)] },
  )
}

function compareBytes(one: Uint8Array, other: Uint8Array): number {
  const shared = Math.min(one.length, other.length)
  for (let index = 0; index < shared; index += 1) {
    const difference = (one[index] ?? 0) - (other[index] ?? 0)
    if (difference !== 0) return difference
  }
  return one.length - other.length
}

function readSequence(trustDomain: TrustDomain, document: JsonObject): bigint | undefined {
  const sequence = document.get('spiffe_sequence') ?? undefined
  if (sequence === undefined) return undefined
  if (typeof sequence === 'bigint' && sequence >= 0n && sequence <= MAX_SEQUENCE) return sequence
  throw malformed(trustDomain, `member "spiffe_sequence" is no integer from 0 to ${MAX_SEQUENCE}`)
}

function readHint(hint: JsonValue | undefined): number | undefined {
  const counts = typeof hint === 'bigint' && hint >= 1n && hint <= BigInt(MAX_HINT_SECONDS)
  return counts ? Number(hint) : undefined
}

interface Collected {
  readonly x509Authorities: X509Authority[]
  readonly jwtAuthorities: JwtAuthority[]
  readonly skipped: SkippedKey[]
}

function collectKeys(keys: readonly JsonValue[]): Collected {
  const x509 = new Map<string, X509Authority>()
  const jwt = new JwtKeys()
  const skipped: SkippedKey[] = []
  for (const [index, entry] of keys.entries()) {
    const kind = readEntry(entry)
    if ('skip' in kind) skipped.push({ index, reason: kind.skip })
    else if ('kid' in kind.value) jwt.add(index, kind.value)
    else if (x509.has(kind.value.x5c)) {
      skipped.push({ index, reason: 'repeats the certificate of an earlier entry' })
    } else x509.set(kind.value.x5c, kind.value.authority)
  }
  skipped.push(...jwt.skipped())
  skipped.sort((one, other) => one.index - other.index)
  return { x509Authorities: [...x509.values()], jwtAuthorities: jwt.usable(), skipped }
}

type Entry = JwtAuthority | { readonly x5c: string; readonly authority: X509Authority }

function readEntry(entry: JsonValue): Outcome<Entry> {
  if (!isJsonObject(entry)) return { skip: 'is no JSON object' }
  const use = entry.get('use')
  if (use === 'x509-svid') return readX509Entry(entry)
  if (use === 'jwt-svid') return readJwtEntry(entry)
  if (use === undefined) return { skip: 'has no use' }
  return { skip: typeof use === 'string' ? `has the unknown use ${quoted(use)}` : 'has an odd use' }
}

function readX509Entry(entry: JsonObject): Outcome<Entry> {
  const jwk = readPublicJwk(entry)
  if ('skip' in jwk) return jwk
  const chain = entry.get('x5c')
  const x5c = isJsonArray(chain) ? chain[0] : undefined // only the first value counts (X5-32)
  if (x5c === undefined) return { skip: 'has a missing or empty x5c' }
  const certificate = typeof x5c === 'string' ? decodeBase64(x5c) : undefined
  if (typeof x5c !== 'string' || certificate === undefined || certificate.byteLength === 0) {
    return { skip: 'has an x5c that is not standard base64 with padding' }
  }
  return { value: { x5c, authority: { certificate, jwk: jwk.value } } }
}

function readJwtEntry(entry: JsonObject): Outcome<Entry> {
  const kid = entry.get('kid')
  if (typeof kid !== 'string' || kid === '') return { skip: 'has no kid' }
  const jwk = readPublicJwk(entry)
  return 'skip' in jwk ? jwk : { value: { kid, jwk: jwk.value } }
}

/** JWT keys by kid; two different keys under one kid make that kid unusable (JW-23). */
class JwtKeys {
  readonly #first = new Map<string, JwtAuthority>()
  readonly #ambiguous = new Set<string>()
  readonly #entries: { readonly index: number; readonly kid: string }[] = []

  add(index: number, authority: JwtAuthority): void {
    const known = this.#first.get(authority.kid)
    this.#entries.push({ index, kid: authority.kid })
    if (known === undefined) this.#first.set(authority.kid, authority)
    else if (!isSameJwk(known.jwk, authority.jwk)) this.#ambiguous.add(authority.kid)
  }

  usable(): JwtAuthority[] {
    return [...this.#first.values()].filter(({ kid }) => !this.#ambiguous.has(kid))
  }

  skipped(): SkippedKey[] {
    const seen = new Set<string>()
    return this.#entries.flatMap(({ index, kid }) => {
      if (this.#ambiguous.has(kid)) {
        return [{ index, reason: `shares the kid ${quoted(kid)} with a different key` }]
      }
      if (seen.has(kid)) return [{ index, reason: 'repeats an earlier entry' }]
      seen.add(kid)
      return []
    })
  }
}

/** At most {@link MAX_NAMED_SKIPS} of them, and a line that tells how many more there are. */
export function summarise(skipped: readonly SkippedKey[]): SkippedKey[] {
  const next = skipped[MAX_NAMED_SKIPS]
  if (next === undefined) return [...skipped]
  const rest = skipped.length - MAX_NAMED_SKIPS
  const summary = { index: next.index, reason: `and ${rest} entries from here on are skipped` }
  return [...skipped.slice(0, MAX_NAMED_SKIPS), summary]
}

function malformed(trustDomain: TrustDomain, what: string, cause?: unknown): ServiceError {
  const message = `bundle of ${quoted(trustDomain)} is malformed: ${what}`
  return new ServiceError('BUNDLE_MALFORMED', message, cause === undefined ? {} : { cause })
}
