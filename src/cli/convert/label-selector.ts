import { type JsonRecord } from '../declarative/json-schema.ts'
import { type InputNode } from './input-node.ts'

const OPERATORS = ['In', 'NotIn', 'Exists', 'DoesNotExist']

/**
 * A Kubernetes label selector as rules have it; undefined when it is empty, which selects everything.
 *
 * Throws a refusal where Kubernetes would (`In` without values, an unknown operator).
 */
export function labelSelectorAt(node: InputNode): JsonRecord | undefined {
  const matchLabels = node
    .member('matchLabels')
    .members()
    .map(([key, value]) => [key, value.text()] as const)
  const matchExpressions = node.member('matchExpressions').items().map(expressionAt)
  if (matchLabels.length + matchExpressions.length === 0) return undefined
  return {
    ...(matchLabels.length > 0 && { matchLabels: Object.fromEntries(matchLabels) }),
    ...(matchExpressions.length > 0 && { matchExpressions }),
  }
}

function expressionAt(node: InputNode): JsonRecord {
  const key = node.member('key').text()
  const operator = node.member('operator').text()
  const values = node.member('values')
  if (key === '') throw node.refused('a key is missing')
  if (!OPERATORS.includes(operator)) {
    throw node.member('operator').refused(`wanted one of ${OPERATORS.join(', ')}`)
  }
  const texts = values.items().map((value) => value.text())
  const wantsValues = operator === 'In' || operator === 'NotIn'
  if (wantsValues !== texts.length > 0) {
    throw values.refused(`${operator} takes ${wantsValues ? 'values' : 'no values'}`)
  }
  return { key, operator, ...(wantsValues && { values: texts }) }
}
