import { STATUS_CODES } from 'node:http'
import type { ErrorCode, FieldError, ServiceError } from '../errors.ts'

/** The one table from error code to HTTP status (RFC 9110 §15). */
export const STATUS = {
  ALREADY_EXISTS: 409,
  AUTHENTICATION_REQUIRED: 401,
  BUNDLE_MALFORMED: 422,
  BUNDLE_SEQUENCE_REGRESSED: 409,
  CERTIFICATE_INVALID: 422,
  CONFIGURATION_INVALID: 500,
  CONFLICT: 409,
  CSR_REJECTED: 422,
  DATABASE_UNAVAILABLE: 503,
  DATA_FOLDER_LOCKED: 503,
  DER_INVALID: 422,
  EGRESS_REFUSED: 422,
  EGRESS_RULE_INVALID: 422,
  ENDPOINT_URL_INVALID: 422,
  ENTRY_INVALID: 422,
  EVIDENCE_REFUSED: 403,
  FINGERPRINT_DIFFERS: 422,
  FORBIDDEN: 403,
  IDEMPOTENCY_KEY_IN_USE: 409,
  IDEMPOTENCY_KEY_REUSED: 422,
  INTERNAL: 500,
  INVALID_REQUEST: 400,
  INVITE_INVALID: 422,
  INVITE_OVER: 409,
  INVITE_REFUSED: 403,
  ISSUER_ELSEWHERE: 409,
  ISSUER_UNAVAILABLE: 503,
  JSON_INVALID: 400,
  KEK_MALFORMED: 500,
  KEK_MISSING: 500,
  KEK_WRONG: 500,
  KEY_INVALID: 422,
  MEDIA_TYPE_UNSUPPORTED: 415,
  METHOD_NOT_ALLOWED: 405,
  MISDIRECTED_HOST: 421,
  NOT_FOUND: 404,
  ORIGIN_REFUSED: 403,
  OUTCOME_UNKNOWN: 503,
  PAYLOAD_TOO_LARGE: 413,
  PEER_ANSWER_REFUSED: 502,
  PEER_GROUP_INVALID: 422,
  PEER_IDENTITY_REFUSED: 502,
  PEER_UNREACHABLE: 502,
  PRECONDITION_FAILED: 412,
  PRECONDITION_REQUIRED: 428,
  QUOTA_EXCEEDED: 409,
  RATE_LIMITED: 429,
  RELATIONSHIP_INVALID: 422,
  REPORT_INVALID: 422,
  REPORT_OUTDATED: 409,
  REPORT_SHRINKS: 409,
  RULE_INVALID: 422,
  SEAL_BROKEN: 500,
  SECRET_SHOWN_ONCE: 409,
  SERVICE_INVALID: 422,
  SIGNED_BUNDLE_REFUSED: 422,
  SPIFFE_ID_INVALID: 422,
  SVID_INVALID: 401,
  SVID_REFUSED: 422,
  TRANSACTION_MISUSE: 500,
  TRUST_DOMAIN_INVALID: 422,
} as const satisfies Record<ErrorCode, number>

/** An error answer as RFC 9457 has it, with our stable `code` and the next useful act. */
export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly code: ErrorCode
  readonly detail: string
  readonly instance?: string
  readonly next?: string
  /** The step of a longer act that failed; those before it succeeded. */
  readonly failedStep?: string
  readonly errors?: readonly FieldError[]
}

/** The problem document of an error; `instance` is the request's id, never its URL (which may hold a secret). */
export function problemOf(error: ServiceError, instance?: string): Problem {
  const status = STATUS[error.code]
  return {
    type: `urn:entente:problem:${error.code.toLowerCase().replaceAll('_', '-')}`,
    title: STATUS_CODES[status] ?? 'Error',
    status,
    code: error.code,
    detail: status === 500 ? 'internal error; the log has it under this instance' : error.message,
    ...(instance === undefined ? {} : { instance }),
    ...(error.next === undefined ? {} : { next: error.next }),
    ...(error.step === undefined ? {} : { failedStep: error.step }),
    ...(error.fields.length === 0 ? {} : { errors: error.fields }),
  }
}
