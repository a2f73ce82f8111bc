import { type JsonRecord } from './json-schema.ts'
import { type Reference, type Step } from './kind.ts'
import { isNested, targetOf } from './kinds.ts'
import { type Planned } from './plan.ts'

/**
 * Objects in an order in which each comes after those that it names, else as they stand.
 *
 * Where objects name each other in a circle, one that can be made without is made without and completed at the end
 * ({@link Planned.later}). A circle that cannot be opened stays as it stands, and the service says what is missing.
 */
export function inMakingOrder(planned: readonly Planned[]): Planned[] {
  const needs = needsOf(planned)
  const ordered = new Map<Planned, Planned>()
  let pending = planned
  while (pending.length > 0) {
    const before = ordered.size
    for (const one of pending) {
      if (missingOf(needs, one, ordered).length === 0) ordered.set(one, one)
    }
    if (ordered.size === before) openCircle(pending, { needs, ordered })
    pending = pending.filter((one) => !ordered.has(one))
  }
  return [...ordered.values()]
}

/** Puts one of a circle in order, without what is not there yet if it can be. */
function openCircle(
  circle: readonly Planned[],
  { needs, ordered }: { readonly needs: Needs; readonly ordered: Map<Planned, Planned> },
): void {
  for (const one of circle) {
    const without = postponed(one, missingOf(needs, one, ordered))
    if (without === undefined) continue
    ordered.set(one, without)
    return
  }
  const [first] = circle
  if (first !== undefined) ordered.set(first, first)
}

/** Words of objects that a run makes, or sets before others need them. */
export function madeIn(planned: readonly Planned[]): Map<string, Planned> {
  const made = planned.filter(
    ({ action, document: { kind } }) =>
      action === 'create' || (kind.isSet === true && action === 'update'),
  )
  const makers = new Map(made.map((one) => [wordOf(one, nameOf(one)), one]))
  // What comes with another object is there once that is, whatever its own document adds.
  for (const one of made) {
    const { kind } = one.document
    for (const too of kind.makes?.(makingOf(one)) ?? []) makers.set(wordOf(one, too), one)
  }
  return makers
}

/** The word of what a document names, in its mesh. */
function wordOf({ document: { mesh } }: Planned, { kind, name }: Reference): string {
  return kind === 'Mesh' ? `Mesh ${mesh}` : `${kind} ${mesh}/${name}`
}

/** Whether an object, or one that it names, is only made by this very run. */
export function standsOn(one: Planned, made: ReadonlyMap<string, Planned>): boolean {
  const { kind, mesh, body } = one.document
  const references = [
    ...(isNested(kind) ? [{ kind: 'Mesh', name: mesh }] : []),
    ...(kind.refersTo?.(body) ?? []),
  ]
  return references.some((reference) => {
    const maker = made.get(wordOf(one, reference))
    return maker !== undefined && maker !== one
  })
}

type Needs = ReadonlyMap<Planned, readonly (Reference & { readonly maker: Planned })[]>

function needsOf(planned: readonly Planned[]): Needs {
  const makers = madeIn(planned)
  return new Map(
    planned.map((one) => {
      const { kind, body } = one.document
      const named = (kind.refersTo?.(body) ?? []).flatMap((reference) => {
        const maker = makers.get(wordOf(one, reference))
        return maker === undefined || maker === one ? [] : [{ ...reference, maker }]
      })
      return [one, named]
    }),
  )
}

function missingOf(needs: Needs, one: Planned, done: ReadonlyMap<Planned, Planned>) {
  return (needs.get(one) ?? []).filter(({ maker }) => !done.has(maker))
}

/** An object as it can be made without what is missing, and the change that completes it; undefined if it cannot. */
function postponed(one: Planned, missing: readonly Reference[]): Planned | undefined {
  const { action, document } = one
  const { kind, mesh, name } = document
  const whole = makingOf(one)
  const body = action === 'create' ? kind.without?.(whole, missing) : undefined
  const [step] = one.steps
  if (body === undefined || step === undefined) return undefined
  const left = Object.entries(whole).filter(([member, value]) => body[member] !== value)
  const completing: Step = {
    method: 'PATCH',
    target: targetOf(kind, mesh, name),
    body: Object.fromEntries(left),
  }
  return { ...one, steps: [{ ...step, body }], later: [completing] }
}

/** The body that makes the object. */
function makingOf({ steps: [step], document }: Planned): JsonRecord {
  return step === undefined ? document.body : (step.body as JsonRecord)
}

function nameOf({ document: { kind, name } }: Planned): Reference {
  return { kind: kind.kind, name }
}
