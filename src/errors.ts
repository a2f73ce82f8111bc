/**
 * The closed list of error codes a caller can meet; each has one HTTP status in `http/problem.ts`.
 *
 * A code is stable: clients may branch on it. Anything thrown that is not a {@link ServiceError} is a bug.
 */
export const ERROR_CODES = [
  'ALREADY_EXISTS',
  'AUTHENTICATION_REQUIRED',
  'BUNDLE_MALFORMED',
  'BUNDLE_SEQUENCE_REGRESSED',
  'CERTIFICATE_INVALID',
  'CONFIGURATION_INVALID',
  'CONFLICT',
  'CSR_REJECTED',
  'DATABASE_UNAVAILABLE',
  'DATA_FOLDER_LOCKED',
  'DER_INVALID',
  'EGRESS_REFUSED',
  'EGRESS_RULE_INVALID',
  'ENDPOINT_URL_INVALID',
  'ENTRY_INVALID',
  'EVIDENCE_REFUSED',
  'FINGERPRINT_DIFFERS',
  'FORBIDDEN',
  'IDEMPOTENCY_KEY_IN_USE',
  'IDEMPOTENCY_KEY_REUSED',
  'INTERNAL',
  'INVALID_REQUEST',
  'INVITE_INVALID',
  'INVITE_OVER',
  'INVITE_REFUSED',
  'ISSUER_ELSEWHERE',
  'ISSUER_UNAVAILABLE',
  'JSON_INVALID',
  'KEK_MALFORMED',
  'KEK_MISSING',
  'KEK_WRONG',
  'KEY_INVALID',
  'MEDIA_TYPE_UNSUPPORTED',
  'METHOD_NOT_ALLOWED',
  'MISDIRECTED_HOST',
  'NOT_FOUND',
  'ORIGIN_REFUSED',
  'OUTCOME_UNKNOWN',
  'PAYLOAD_TOO_LARGE',
  'PEER_ANSWER_REFUSED',
  'PEER_GROUP_INVALID',
  'PEER_IDENTITY_REFUSED',
  'PEER_UNREACHABLE',
  'PRECONDITION_FAILED',
  'PRECONDITION_REQUIRED',
  'QUOTA_EXCEEDED',
  'RATE_LIMITED',
  'RELATIONSHIP_INVALID',
  'REPORT_INVALID',
  'REPORT_OUTDATED',
  'REPORT_SHRINKS',
  'RULE_INVALID',
  'SEAL_BROKEN',
  'SECRET_SHOWN_ONCE',
  'SERVICE_INVALID',
  'SIGNED_BUNDLE_REFUSED',
  'SPIFFE_ID_INVALID',
  'SVID_INVALID',
  'SVID_REFUSED',
  'TRANSACTION_MISUSE',
  'TRUST_DOMAIN_INVALID',
] as const

/** One of {@link ERROR_CODES}. */
export type ErrorCode = (typeof ERROR_CODES)[number]

/** One field of a request that was refused: where it is (JSON pointer) and why. */
export interface FieldError {
  readonly in: 'body' | 'querystring' | 'params' | 'headers'
  readonly pointer: string
  readonly detail: string
}

/** What a {@link ServiceError} may carry beside its message. */
export interface ServiceErrorOptions {
  readonly cause?: unknown
  /** The command or act that helps, ready to paste. */
  readonly next?: string
  readonly fields?: readonly FieldError[]
  readonly retryAfterSeconds?: number
  /** The step of a longer act that failed; those before it succeeded. */
  readonly step?: string
}

/**
 * A refusal or failure that its reader can act on: found, wanted, and what to do next.
 *
 * Messages are lower case without a full stop, quote input cut short, and never hold a key, token or CSR.
 */
export class ServiceError extends Error {
  override readonly name = 'ServiceError'
  readonly code: ErrorCode
  readonly next: string | undefined
  readonly fields: readonly FieldError[]
  readonly retryAfterSeconds: number | undefined
  readonly step: string | undefined

  constructor(code: ErrorCode, message: string, options: ServiceErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.next = options.next
    this.fields = options.fields ?? []
    this.retryAfterSeconds = options.retryAfterSeconds
    this.step = options.step
  }
}

/** Whether something thrown is a {@link ServiceError}, of the given code if one is named. */
export function isServiceError(thrown: unknown, code?: ErrorCode): thrown is ServiceError {
  return thrown instanceof ServiceError && (code === undefined || thrown.code === code)
}

/** The message of anything thrown, for logs and status fields; never a stack. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}

/** Input as it may stand in a message: JSON-quoted and cut to `maxLength` characters (default 80). */
export function quoted(input: string, maxLength = 80): string {
  return JSON.stringify(input.length > maxLength ? `${input.slice(0, maxLength)}…` : input)
}

/**
 * A word as a shell takes it, whole and on one line, whatever is in it: quoted unless nothing in it means anything to
 * a shell, and with control characters escaped as `$'…'` does it (bash, zsh, ksh, POSIX 2024).
 */
export function inShell(word: string): string {
  if (/^[\w@%+:,./-]+$/.test(word)) return word
  if (!UNSEEN.test(word)) return `'${word.replaceAll("'", String.raw`'\''`)}'`
  const escaped = word
    .replaceAll(/[\\']/g, String.raw`\$&`)
    .replaceAll(new RegExp(UNSEEN, 'gu'), (char) =>
      [...Buffer.from(char)].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join(''),
    )
  return `$'${escaped}'`
}

/** Control and format characters and breaks of lines: what a terminal acts on and nobody sees. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u

/**
 * A command to be pasted into a shell: every value in the template is one word, or a list of them, quoted as
 * {@link inShell} does it; an empty list leaves nothing.
 */
export function command(
  texts: TemplateStringsArray,
  ...values: readonly (string | readonly string[])[]
): string {
  return values.reduce<string>((line, value, i) => {
    const words = (typeof value === 'string' ? [value] : value).map(inShell)
    return (words.length === 0 ? line.trimEnd() : line + words.join(' ')) + texts[i + 1]
  }, texts[0] ?? '')
}
