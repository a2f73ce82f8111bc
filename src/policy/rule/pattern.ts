import { isLabel } from '../../db/ids.ts'
import { isServiceError, quoted, ServiceError } from '../../errors.ts'
import { parseSpiffeId } from '../../spiffe/spiffe-id.ts'

/** What a rule may say of a name: all of it, or how it begins (`*` stands whole or last, nowhere else). */
export interface Pattern {
  readonly text: string
  /** The text without its star. */
  readonly literal: string
  readonly wild: boolean
}

const LABEL_BEGIN = /^([a-z0-9][a-z0-9-]{0,61})?$/

/**
 * A pattern for a namespace or service name: a DNS label, the beginning of one and `*`, or `*`.
 *
 * Throws RULE_INVALID.
 */
export function parseNamePattern(text: string): Pattern {
  const pattern = cut(text)
  const isOne = pattern.wild ? LABEL_BEGIN.test(pattern.literal) : isLabel(pattern.literal)
  if (!isOne) {
    throw new ServiceError(
      'RULE_INVALID',
      `${quoted(text)} is no name pattern; wanted a DNS label, a label's beginning and "*", or "*"`,
    )
  }
  return pattern
}

/**
 * A pattern for the path of a caller's SPIFFE ID: `/ns/shop/sa/cart`, `/ns/shop/*` or `*`.
 *
 * Paths follow SPIFFE-ID §2.2, so a pattern that no valid ID could ever fit is refused. Throws RULE_INVALID.
 */
export function parsePathPattern(text: string): Pattern {
  const pattern = cut(text)
  if (pattern.text !== '*' && !isPath(pattern.wild ? `${pattern.literal}x` : pattern.literal)) {
    throw new ServiceError(
      'RULE_INVALID',
      `${quoted(text)} is no path pattern; wanted a SPIFFE path, a path's beginning and "*", or "*"`,
    )
  }
  return pattern
}

/** Whether a value fits a pattern. */
export function fits(pattern: Pattern, value: string): boolean {
  return pattern.wild ? value.startsWith(pattern.literal) : value === pattern.literal
}

function cut(text: string): Pattern {
  return text.endsWith('*')
    ? { text, literal: text.slice(0, -1), wild: true }
    : { text, literal: text, wild: false }
}

function isPath(path: string): boolean {
  if (!path.startsWith('/')) return false
  try {
    parseSpiffeId(`spiffe://x${path}`)
    return true
  } catch (error) {
    if (isServiceError(error, 'SPIFFE_ID_INVALID')) return false
    throw error
  }
}
