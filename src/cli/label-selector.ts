import { usageFailure } from './failure.ts'

/** A label selector in the shape of the API. */
export interface SelectorBody {
  readonly matchLabels?: Readonly<Record<string, string>>
  readonly matchExpressions?: readonly {
    readonly key: string
    readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist'
    readonly values?: readonly string[]
  }[]
}

const SET = /^(\S+) +(in|notin) +\(([^()]*)\)$/
const EQUALITY = /^([^=!\s]+) *(?:==|=) *([^=!\s]*)$/
const INEQUALITY = /^([^=!\s]+) *!= *([^=!\s]*)$/
const PRESENCE = /^(!?) *([^=!\s()]+)$/

/**
 * A label selector as kubectl takes one: `app=web,tier in (a,b),env!=dev,canary,!old`; all must hold.
 *
 * Throws a usage failure that names the part which is none; the service judges keys and values.
 */
export function readSelector(text: string): SelectorBody {
  const parts = text.split(/,(?![^(]*\))/).map((part) => part.trim())
  const equalities = parts.map((part) => EQUALITY.exec(part))
  const expressions = parts.filter((_, index) => equalities[index] === null).map(readExpression)
  const labels = equalities.flatMap((match) =>
    match === null ? [] : [[match[1] ?? '', match[2] ?? ''] as const],
  )
  const twice = labels.find(([key], index) => labels.findIndex(([other]) => other === key) < index)
  if (twice !== undefined) {
    throw usageFailure(
      `label ${twice[0]} is given twice`,
      `write '${twice[0]} in (a,b)' for either`,
    )
  }
  return {
    ...(labels.length > 0 && { matchLabels: Object.fromEntries(labels) }),
    ...(expressions.length > 0 && { matchExpressions: expressions }),
  }
}

function readExpression(part: string): NonNullable<SelectorBody['matchExpressions']>[number] {
  const [, setKey = '', word, list = ''] = SET.exec(part) ?? []
  if (word !== undefined) {
    const values = list.split(',').map((value) => value.trim())
    return { key: setKey, operator: word === 'in' ? 'In' : 'NotIn', values }
  }
  const [, unequalKey, value = ''] = INEQUALITY.exec(part) ?? []
  if (unequalKey !== undefined) return { key: unequalKey, operator: 'NotIn', values: [value] }
  const [, not, key] = PRESENCE.exec(part) ?? []
  if (key !== undefined) return { key, operator: not === '!' ? 'DoesNotExist' : 'Exists' }
  throw usageFailure(
    `"${part}" selects no label`,
    "write 'app=web', 'tier in (a,b)', 'env!=dev', 'canary' or '!canary', divided by commas",
  )
}
