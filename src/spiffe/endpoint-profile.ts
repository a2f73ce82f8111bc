import { quoted, ServiceError } from '../errors.ts'

/** The two bundle endpoint profiles (SPIFFE Federation §5.2, FE-04); there is no default (FE-02). */
export const PROFILES = ['https_web', 'https_spiffe'] as const

/** One of {@link PROFILES}. */
export type ProfileName = (typeof PROFILES)[number]

/** A bundle endpoint URL that passed {@link parseEndpointUrl}, exactly as it was written. */
export type EndpointUrl = string & { readonly __brand: 'EndpointUrl' }

/** Longest endpoint URL in characters; our own bound, well above what peers hand out. */
export const MAX_ENDPOINT_URL_LENGTH = 2048

const SCHEME = 'https://'
const VISIBLE_ASCII = /^[\x21-\x7e]+$/
const AUTHORITY = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?$/

/**
 * Reads the URL of a bundle endpoint, the same rule for both profiles: scheme https and no userinfo, judged
 * on the raw text (SPIFFE Federation §5.2.1.1 and §5.2.2.1, FE-05).
 *
 * Host kind, port, path and query are free; a fragment never travels and is refused. Throws
 * `ENDPOINT_URL_INVALID`.
 */
export function parseEndpointUrl(text: string): EndpointUrl {
  if (isEndpointUrl(text)) return text
  throw new ServiceError('ENDPOINT_URL_INVALID', `endpoint URL ${quoted(text)} ${faultOf(text)}`)
}

function isEndpointUrl(text: string): text is EndpointUrl {
  return faultOf(text) === undefined
}

function faultOf(text: string): string | undefined {
  if (text.length > MAX_ENDPOINT_URL_LENGTH) {
    return `has ${text.length} characters, at most ${MAX_ENDPOINT_URL_LENGTH} are allowed`
  }
  if (!text.startsWith(SCHEME)) return `does not begin with "${SCHEME}"`
  if (!VISIBLE_ASCII.test(text)) return 'contains a blank, control or non-ASCII character'
  if (/[#\\]/.test(text)) return 'contains a fragment or a backslash'
  const authority = /^[^/?]*/.exec(text.slice(SCHEME.length))?.[0] ?? ''
  if (authority.includes('@')) return 'carries userinfo before its host'
  return authorityFault(authority) ?? (URL.canParse(text) ? undefined : 'is not a URL')
}

function authorityFault(authority: string): string | undefined {
  const match = AUTHORITY.exec(authority)
  if (match === null) return `has ${quoted(authority)} where host and port are wanted`
  const port = match[1]
  if (port === undefined) return undefined
  return Number(port) >= 1 && Number(port) <= 65535 ? undefined : `has the impossible port ${port}`
}
