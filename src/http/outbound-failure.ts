import { messageOf, ServiceError } from '../errors.ts'

/** What a failed connection was about, for a message that a person can act on. */
export interface FailureContext {
  /** `host:port` as the URL names it. */
  readonly target: string
  /** What the server had to prove: a public name, or one SPIFFE ID under one domain's stored bundle. */
  readonly wanted: { readonly kind: 'web' } | { readonly kind: 'spiffe'; readonly id: string }
  /** The URI SANs of the certificate it presented, if it came so far. */
  readonly presentedIds: readonly string[]
  readonly connectMs: number
  readonly totalMs: number
  readonly maxBytes: number
}

type Words = (context: FailureContext, detail: string) => ServiceError

const unreachable =
  (sentence: (context: FailureContext, detail: string) => string): Words =>
  (context, detail) =>
    new ServiceError('PEER_UNREACHABLE', sentence(context, detail))

const answerRefused =
  (sentence: (context: FailureContext, detail: string) => string): Words =>
  (context, detail) =>
    new ServiceError('PEER_ANSWER_REFUSED', sentence(context, detail))

const tooSlow = unreachable(
  ({ target, totalMs }) => `no complete answer from ${target} within ${totalMs / 1000} s`,
)
const notResolved = unreachable(({ target }) => `the host of ${target} does not resolve`)
const cut = unreachable(
  ({ target }) => `${target} cut the connection before the answer was complete`,
)
const notHttp = answerRefused(
  ({ target }, detail) => `${target} does not answer in HTTP/1.1: ${detail}`,
)

const BY_CODE: Readonly<Record<string, Words>> = {
  ENOTFOUND: notResolved,
  EAI_AGAIN: notResolved,
  ECONNREFUSED: unreachable(({ target }) => `nothing listens at ${target}`),
  EHOSTUNREACH: unreachable(({ target }) => `no route to ${target}`),
  ENETUNREACH: unreachable(({ target }) => `no route to ${target}`),
  ECONNRESET: cut,
  EPIPE: cut,
  UND_ERR_SOCKET: cut,
  ETIMEDOUT: unreachable(({ target }) => `no connection to ${target}: timed out`),
  UND_ERR_CONNECT_TIMEOUT: unreachable(
    ({ target, connectMs }) => `no connection to ${target} within ${connectMs / 1000} s`,
  ),
  UND_ERR_HEADERS_TIMEOUT: tooSlow,
  UND_ERR_BODY_TIMEOUT: tooSlow,
  UND_ERR_RES_EXCEEDED_MAX_SIZE: answerRefused(
    ({ target, maxBytes }) => `the answer of ${target} is larger than ${maxBytes} bytes`,
  ),
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: answerRefused(
    ({ target }) => `the answer of ${target} is not as long as its Content-Length says`,
  ),
  UND_ERR_HEADERS_OVERFLOW: answerRefused(({ target }) => `the headers of ${target} are too large`),
}

const EXPIRY: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'has expired',
  CERT_NOT_YET_VALID: 'is not valid yet',
}

const CHAIN_CODES = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

/** What else OpenSSL can find wrong with a chain, by the names that Node gives it. */
const OTHER_CERTIFICATE_CODES =
  /^(?:CERT_|CRL_|ERROR_IN_|INVALID_|PATH_LENGTH_|HOSTNAME_MISMATCH|UNABLE_TO_DEC|UNSPECIFIED)/

/** The refusal or failure behind whatever a connection threw; a ServiceError stays what it is. */
export function failureOf(thrown: unknown, context: FailureContext): ServiceError {
  const known = serviceErrorIn(thrown)
  if (known !== undefined) return known
  if (nameOf(thrown) === 'TimeoutError') return tooSlow(context, '')
  const code = codeOf(thrown)
  const words = BY_CODE[code]
  if (words !== undefined) return words(context, messageOf(thrown))
  return certificateFailure(code, context) ?? otherFailure(code, thrown, context)
}

function certificateFailure(code: string, context: FailureContext): ServiceError | undefined {
  const expiry = EXPIRY[code]
  const { target, wanted } = context
  if (expiry !== undefined) {
    return identityRefused(`a certificate presented by ${target} ${expiry}`)
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return identityRefused(
      `the certificate of ${target} does not name that host`,
      profileHint(context),
    )
  }
  if (OTHER_CERTIFICATE_CODES.test(code)) {
    const words = code.toLowerCase().replaceAll('_', ' ')
    return identityRefused(`a certificate presented by ${target} cannot be used: ${words}`)
  }
  if (!CHAIN_CODES.has(code)) return undefined
  return wanted.kind === 'web'
    ? identityRefused(
        `the certificate of ${target} does not chain to a public root that this machine trusts`,
        profileHint(context),
      )
    : identityRefused(
        `the certificate of ${target} does not chain to the stored bundle of the domain of ${wanted.id}${shown(context)}`,
        'if that domain replaced all its roots, hand in its newest bundle with: entente bundle set',
      )
}

function profileHint({ presentedIds }: FailureContext): string | undefined {
  return presentedIds.length === 0
    ? undefined
    : `the endpoint shows SPIFFE ID ${presentedIds.join(', ').slice(0, 200)}; is its profile https_spiffe?`
}

function shown({ presentedIds }: FailureContext): string {
  return presentedIds.length === 0 ? '' : ` (it shows ${presentedIds.join(', ').slice(0, 200)})`
}

function otherFailure(code: string, thrown: unknown, context: FailureContext): ServiceError {
  const detail = messageOf(thrown).split('\n', 1)[0]?.slice(0, 200) ?? ''
  if (code.startsWith('HPE_') || nameOf(thrown) === 'HTTPParserError')
    return notHttp(context, detail)
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_')) {
    return new ServiceError(
      'PEER_UNREACHABLE',
      `the TLS handshake with ${context.target} failed: ${code.startsWith('ERR_SSL_') ? code.slice(8).toLowerCase().replaceAll('_', ' ') : detail}`,
      { cause: thrown },
    )
  }
  return new ServiceError(
    'PEER_UNREACHABLE',
    `the connection to ${context.target} failed: ${detail || code}`,
    { cause: thrown },
  )
}

function identityRefused(message: string, next?: string): ServiceError {
  return new ServiceError('PEER_IDENTITY_REFUSED', message, next === undefined ? {} : { next })
}

function serviceErrorIn(thrown: unknown): ServiceError | undefined {
  if (thrown instanceof ServiceError) return thrown
  return thrown instanceof Error && thrown.cause instanceof ServiceError ? thrown.cause : undefined
}

function nameOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.name : ''
}

function codeOf(thrown: unknown): string {
  if (!(thrown instanceof Error) || !('code' in thrown)) return ''
  return typeof thrown.code === 'string' ? thrown.code : ''
}
