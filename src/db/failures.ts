import { ServiceError, messageOf } from '../errors.ts'

/** SQLSTATE codes of a transaction that may simply be run again (PostgreSQL appendix A, class 40). */
const RETRYABLE = new Set(['40001', '40P01'])

/** SQLSTATE codes and Node error codes that mean: the database cannot be used right now. */
const AWAY = new Set([
  '53300',
  '57P01',
  '57P02',
  '57P03',
  '08000',
  '08001',
  '08003',
  '08004',
  '08006',
  '25P03',
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOENT',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
])

const AWAY_TEXT =
  /Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|not queryable|Cannot use a pool after|instance is (already )?closed|is closed/

/** The SQLSTATE or Node error code of something thrown, if it has one. */
export function codeOf(thrown: unknown): string | undefined {
  if (typeof thrown !== 'object' || thrown === null || !('code' in thrown)) return undefined
  return typeof thrown.code === 'string' ? thrown.code : undefined
}

/** Whether a transaction that failed so may be run again as it is. */
export function isRetryable(thrown: unknown): boolean {
  return RETRYABLE.has(codeOf(thrown) ?? '')
}

/** Whether the failure means that the database is away (and not that the statement was wrong). */
export function isDatabaseAway(thrown: unknown): boolean {
  if (thrown instanceof ServiceError) return thrown.code === 'DATABASE_UNAVAILABLE'
  if (AWAY.has(codeOf(thrown) ?? '')) return true
  if (thrown instanceof AggregateError) return thrown.errors.some(isDatabaseAway)
  return thrown instanceof Error && AWAY_TEXT.test(thrown.message)
}

/** Whether the failure is a violation of a unique or primary key; `constraint` narrows it to one. */
export function isUniqueViolation(thrown: unknown, constraint?: string): boolean {
  if (codeOf(thrown) !== '23505') return false
  return constraint === undefined || constraintOf(thrown) === constraint
}

/** Whether the failure is a reference to a row that does not exist. */
export function isForeignKeyViolation(thrown: unknown): boolean {
  return codeOf(thrown) === '23503'
}

function constraintOf(thrown: unknown): string | undefined {
  if (typeof thrown !== 'object' || thrown === null || !('constraint' in thrown)) return undefined
  return typeof thrown.constraint === 'string' ? thrown.constraint : undefined
}

/** A database failure as the error its reader can act on; anything else is returned as it is. */
export function translateDatabaseFailure(thrown: unknown): unknown {
  if (thrown instanceof ServiceError || !isDatabaseFailure(thrown)) return thrown
  return new ServiceError(
    'DATABASE_UNAVAILABLE',
    `the database cannot be used now: ${brief(thrown)}`,
    {
      cause: thrown,
      retryAfterSeconds: 5,
      next: 'nothing was changed; try again when the database is back',
    },
  )
}

/** Cancelled by a time limit of ours (57014, 55P03) counts as away too: the caller may try again. */
function isDatabaseFailure(thrown: unknown): boolean {
  return isDatabaseAway(thrown) || ['57014', '55P03'].includes(codeOf(thrown) ?? '')
}

function brief(thrown: unknown): string {
  return (codeOf(thrown) ?? messageOf(thrown)).slice(0, 120)
}
