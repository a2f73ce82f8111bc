import { type LabelRequirement, type LabelSelector } from '../rule/label-selector.ts'

/** What all requirements on one label come to. */
interface Wanted {
  /** undefined = any value. */
  readonly values: readonly string[] | undefined
  readonly not: readonly string[]
  readonly isPresent: boolean
  readonly isAbsent: boolean
}

/** A label for which no value can satisfy a selector, if there is one. */
export function contradictionIn(selector: LabelSelector): string | undefined {
  const byKey = new Map<string, Wanted>()
  for (const requirement of requirementsOf(selector)) {
    const before = byKey.get(requirement.key) ?? OPEN
    byKey.set(requirement.key, narrowed(before, requirement))
  }
  return [...byKey].find(([, wanted]) => isImpossible(wanted))?.[0]
}

const OPEN: Wanted = { values: undefined, not: [], isPresent: false, isAbsent: false }

function requirementsOf({ matchLabels = {}, matchExpressions = [] }: LabelSelector) {
  const equalities = Object.entries(matchLabels).map(([key, value]): LabelRequirement => ({
    key,
    operator: 'In',
    values: [value],
  }))
  return [...equalities, ...matchExpressions]
}

function narrowed(wanted: Wanted, { operator, values = [] }: LabelRequirement): Wanted {
  if (operator === 'NotIn') return { ...wanted, not: [...wanted.not, ...values] }
  if (operator === 'DoesNotExist') return { ...wanted, isAbsent: true }
  if (operator === 'Exists') return { ...wanted, isPresent: true }
  const among = wanted.values
  const left = among === undefined ? values : values.filter((value) => among.includes(value))
  return { ...wanted, isPresent: true, values: left }
}

function isImpossible({ values, not, isPresent, isAbsent }: Wanted): boolean {
  if (isAbsent) return isPresent
  return values?.every((value) => not.includes(value)) ?? false
}
