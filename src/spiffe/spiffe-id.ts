import { quoted, ServiceError } from '../errors.ts'
import { parseTrustDomain, type TrustDomain, trustDomainFault } from './trust-domain.ts'

/** A whole SPIFFE ID (`spiffe://td/path`) that passed {@link parseSpiffeId}. */
export type SpiffeId = string & { readonly __brand: 'SpiffeId' }

/** Longest SPIFFE ID in bytes, scheme and `://` included (SPIFFE-ID §2.3, ID-12, ID-13). */
export const MAX_SPIFFE_ID_BYTES = 2048

const SCHEME = 'spiffe://'
const FOREIGN_CHARACTER = /[^a-zA-Z0-9._-]/
const RESERVED_PATH = '/entente'

/**
 * Reads a SPIFFE ID; every rule applies to the raw text and nothing is decoded, folded or normalised.
 *
 * No general URL parser is involved, because it would repair bad input before we see it (SPIFFE-ID §2, ID-01
 * to ID-18; ID-02). Upper case in scheme or host is refused as go-spiffe does (ID-08). Throws
 * `SPIFFE_ID_INVALID`.
 */
export function parseSpiffeId(text: string): SpiffeId {
  if (isSpiffeId(text)) return text
  throw new ServiceError('SPIFFE_ID_INVALID', `SPIFFE ID ${quoted(text)} ${faultOf(text)}`)
}

/** The trust domain of an ID, exactly as written in it. */
export function trustDomainOf(id: SpiffeId): TrustDomain {
  const slash = id.indexOf('/', SCHEME.length)
  return parseTrustDomain(id.slice(SCHEME.length, slash === -1 ? undefined : slash))
}

/** The path of an ID with its leading slash, or `''` for the ID of a trust domain. */
export function pathOf(id: SpiffeId): string {
  const slash = id.indexOf('/', SCHEME.length)
  return slash === -1 ? '' : id.slice(slash)
}

/** The ID with this path (`''` or `/a/b`) in this trust domain; throws `SPIFFE_ID_INVALID`. */
export function spiffeIdOf(trustDomain: TrustDomain, path: string): SpiffeId {
  if (path !== '' && !path.startsWith('/')) {
    throw new ServiceError('SPIFFE_ID_INVALID', `path ${quoted(path)} does not begin with "/"`, {
      next: `write ${quoted(`/${path}`)}`,
    })
  }
  return parseSpiffeId(`${SCHEME}${trustDomain}${path}`)
}

/** The ID of the trust domain itself, without a path or trailing slash (SPIFFE-ID §2.2, ID-17). */
export function trustDomainId(trustDomain: TrustDomain): SpiffeId {
  return parseSpiffeId(`${SCHEME}${trustDomain}`)
}

/** Whether an ID lies under `/entente`, the paths that belong to the service in every trust domain. */
export function isReserved(id: SpiffeId): boolean {
  const path = pathOf(id)
  return path === RESERVED_PATH || path.startsWith(`${RESERVED_PATH}/`)
}

/** The identity that a trust domain's bundle endpoint presents under https_spiffe. */
export function bundleEndpointId(trustDomain: TrustDomain): SpiffeId {
  return spiffeIdOf(trustDomain, `${RESERVED_PATH}/bundle-endpoint`)
}

/** The identity that the workload listener presents for a trust domain. */
export function workloadEndpointId(trustDomain: TrustDomain): SpiffeId {
  return spiffeIdOf(trustDomain, `${RESERVED_PATH}/workload-endpoint`)
}

/** The identity in whose name a mesh calls its peers. */
export function exchangeId(trustDomain: TrustDomain): SpiffeId {
  return spiffeIdOf(trustDomain, `${RESERVED_PATH}/exchange`)
}

function isSpiffeId(text: string): text is SpiffeId {
  return faultOf(text) === undefined
}

function faultOf(text: string): string | undefined {
  if (!text.startsWith(SCHEME)) return `does not begin with "${SCHEME}"`
  if (text.length > MAX_SPIFFE_ID_BYTES) {
    return `has ${text.length} characters, at most ${MAX_SPIFFE_ID_BYTES} are allowed`
  }
  const slash = text.indexOf('/', SCHEME.length)
  const host = text.slice(SCHEME.length, slash === -1 ? undefined : slash)
  const hostFault = trustDomainFault(host)
  if (hostFault !== undefined) return `has a trust domain that ${hostFault}`
  return slash === -1 ? undefined : pathFault(text.slice(slash + 1))
}

function pathFault(afterSlash: string): string | undefined {
  for (const segment of afterSlash.split('/')) {
    if (segment === '') return 'has an empty path segment or a trailing slash'
    if (segment === '.' || segment === '..') return `has the path segment "${segment}"`
    const foreign = FOREIGN_CHARACTER.exec(segment)
    if (foreign !== null) {
      return `has ${quoted(foreign[0])} in its path, wanted only a-z, A-Z, 0-9, ".", "-" and "_"`
    }
  }
  return undefined
}
