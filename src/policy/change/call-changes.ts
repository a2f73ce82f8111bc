import { leftOf, meet, type Narrowing } from './narrowing.ts'

/** Which calls applicable rules allow and deny. */
export interface Applicable {
  readonly allows: readonly Narrowing[]
  readonly denies: readonly Narrowing[]
}

/** Which calls become allowed and denied, in words of {@link leftOf}, one list a rule. */
export interface CallChanges {
  readonly allowed: readonly (readonly string[])[]
  readonly denied: readonly (readonly string[])[]
}

/**
 * Which calls of a service that stays visible become allowed and denied, by the rules that come and go.
 *
 * Every call that is decided otherwise lies in what is told: it is among those of an allow or a deny that came or
 * went, and of no other rule that says the same before or after.
 */
export function callChanges(before: Applicable, after: Applicable): CallChanges {
  return {
    allowed: [
      ...told(without(after.allows, before.allows), before.allows),
      ...told(someMeet(without(before.denies, after.denies), after.allows), after.denies),
    ],
    denied: [
      ...told(without(before.allows, after.allows), after.allows),
      ...told(someMeet(without(after.denies, before.denies), before.allows), before.denies),
    ],
  }
}

function told(some: readonly Narrowing[], others: readonly Narrowing[]): string[][] {
  return some.flatMap((one) => {
    const words = leftOf(one, others)
    return words === undefined ? [] : [words]
  })
}

// A deny of what nobody could do denies nothing.
function someMeet(denies: readonly Narrowing[], allows: readonly Narrowing[]): Narrowing[] {
  return denies.filter((deny) => allows.some((allow) => meet(deny, allow)))
}

function without(some: readonly Narrowing[], others: readonly Narrowing[]): Narrowing[] {
  return some.length === 0 ? [] : [...new Set(some)].filter((one) => !others.includes(one))
}
