import { labelKeyFault, labelOf, type Labels, labelValueFault } from '../../catalog/label.ts'
import { type FieldError } from '../../errors.ts'

/** How one requirement compares (Kubernetes: labels, "Set-based requirement"). */
export const LABEL_OPERATORS = ['In', 'NotIn', 'Exists', 'DoesNotExist'] as const
/** One of {@link LABEL_OPERATORS}. */
export type LabelOperator = (typeof LABEL_OPERATORS)[number]

/** Most requirements of one selector, equalities included. */
export const MAX_REQUIREMENTS = 32
/** Most values of one requirement. */
export const MAX_REQUIREMENT_VALUES = 64

/** One requirement; `values` with `In` and `NotIn` only. */
export interface LabelRequirement {
  readonly key: string
  readonly operator: LabelOperator
  readonly values?: readonly string[]
}

/** Which labels are meant, in the shape that Kubernetes has; all requirements must hold. */
export interface LabelSelector {
  readonly matchLabels?: Labels
  readonly matchExpressions?: readonly LabelRequirement[]
}

/** Whether labels fit a selector; `NotIn` also fits where the key is absent, as in Kubernetes. */
export function selects(selector: LabelSelector, labels: Labels): boolean {
  const { matchLabels = {}, matchExpressions = [] } = selector
  return (
    Object.keys(matchLabels).every((key) => labelOf(labels, key) === labelOf(matchLabels, key)) &&
    matchExpressions.every((requirement) => holds(requirement, labelOf(labels, requirement.key)))
  )
}

/** What is wrong with a selector, one field error each. */
export function selectorErrors(selector: LabelSelector, pointer: string): FieldError[] {
  const { matchLabels = {}, matchExpressions = [] } = selector
  const equalities = Object.entries(matchLabels)
  const count = equalities.length + matchExpressions.length
  if (count === 0) return [refusal(pointer, 'labels select everything; leave them out')]
  if (count > MAX_REQUIREMENTS) {
    return [refusal(pointer, `at most ${MAX_REQUIREMENTS} requirements, found ${count}`)]
  }
  return [
    ...equalities.flatMap(([key, value]) =>
      faultAt(
        `${pointer}/matchLabels/${member(key)}`,
        labelKeyFault(key) ?? labelValueFault(value),
      ),
    ),
    ...matchExpressions.flatMap((one, index) =>
      requirementErrors(one, `${pointer}/matchExpressions/${index}`),
    ),
  ]
}

/** A selector in short, as kubectl writes one: `app=web,tier in (a,b),!canary`. */
export function selectorLine({ matchLabels = {}, matchExpressions = [] }: LabelSelector): string {
  return [
    ...Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`),
    ...matchExpressions.map(requirementLine),
  ].join(',')
}

function holds({ operator, values = [] }: LabelRequirement, found: string | undefined): boolean {
  if (operator === 'Exists') return found !== undefined
  if (operator === 'DoesNotExist') return found === undefined
  const isIn = found !== undefined && values.includes(found)
  return operator === 'In' ? isIn : !isIn
}

function requirementErrors(
  { key, operator, values = [] }: LabelRequirement,
  pointer: string,
): FieldError[] {
  const wantsValues = operator === 'In' || operator === 'NotIn'
  const atKey = faultAt(`${pointer}/key`, labelKeyFault(key))
  if (wantsValues !== values.length > 0) {
    const wanted = wantsValues ? 'needs values' : 'takes no values'
    return [...atKey, refusal(`${pointer}/values`, `${operator} ${wanted}`)]
  }
  if (values.length > MAX_REQUIREMENT_VALUES) {
    const detail = `at most ${MAX_REQUIREMENT_VALUES} values, found ${values.length}`
    return [...atKey, refusal(`${pointer}/values`, detail)]
  }
  return [
    ...atKey,
    ...values.flatMap((value, i) => faultAt(`${pointer}/values/${i}`, labelValueFault(value))),
  ]
}

function requirementLine({ key, operator, values = [] }: LabelRequirement): string {
  if (operator === 'Exists') return key
  if (operator === 'DoesNotExist') return `!${key}`
  return `${key} ${operator.toLowerCase()} (${values.join(',')})`
}

function member(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1')
}

function faultAt(pointer: string, detail: string | undefined): FieldError[] {
  return detail === undefined ? [] : [refusal(pointer, detail)]
}

function refusal(pointer: string, detail: string): FieldError {
  return { in: 'body', pointer, detail }
}
