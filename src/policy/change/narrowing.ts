import { callerFacts, type Callers } from '../rule/callers.ts'
import { type RuleContent } from '../rule/rule.ts'

const PARTS = ['callers', 'ports', 'clusters', 'namespaces'] as const
type Part = (typeof PARTS)[number]

/** The calls that a rule speaks of: those that every part fits; an absent part is all of it, also what a call leaves out. */
export type Narrowing = Readonly<Record<Part, readonly string[] | undefined>>

/** A rule that narrows nothing. */
export const EVERYTHING: Narrowing = {
  callers: undefined,
  ports: undefined,
  clusters: undefined,
  namespaces: undefined,
}

const KNOWN = new WeakMap<RuleContent, Narrowing>()

/** What a rule narrows its subject to; the path of an identity stands for callers. */
export function narrowingOf(rule: RuleContent): Narrowing {
  const known = KNOWN.get(rule)
  if (known !== undefined) return known
  const { subject, audience, clusters, visibleTo } = rule
  const narrowing = {
    callers:
      subject.kind === 'identity'
        ? [subject.path.text]
        : audience.callers && pathsOf(audience.callers),
    ports: subject.kind === 'service' ? subject.ports : undefined,
    clusters,
    namespaces: visibleTo?.map(({ text }) => text),
  }
  KNOWN.set(rule, narrowing)
  return narrowing
}

/** Whether some call can be among both. */
export function meet(one: Narrowing, other: Narrowing): boolean {
  return PARTS.every((part) => {
    const [these, those] = [one[part], other[part]]
    if (these === undefined || those === undefined) return true
    return these.some((a) => those.some((b) => overlaps(a, b)))
  })
}

/**
 * What is left of calls without those of others, in words: `/web`, `* but /ns/web/*`, `port http`, `cluster east`.
 *
 * Undefined when nothing is. What others take only together, or in several parts at once, stays: so more may be named
 * than changes, never less.
 */
export function leftOf(narrowing: Narrowing, others: readonly Narrowing[]): string[] | undefined {
  let left = narrowing
  const words: string[] = []
  for (const part of PARTS) {
    const beside = others.filter((other) => isInside(left, other, part))
    if (beside.some((other) => other[part] === undefined)) return undefined
    const taken = beside.flatMap((other) => other[part] ?? [])
    const rest = left[part]?.filter((one) => !taken.some((other) => covers(other, one)))
    if (rest?.length === 0) return undefined
    left = { ...left, [part]: rest }
    words.push(...wordsOf(part, rest, taken))
  }
  return words
}

// Whether one lies in another, whatever they have of one part.
function isInside(one: Narrowing, other: Narrowing, except: Part): boolean {
  return PARTS.every((part) => part === except || isWithin(one[part], other[part]))
}

function isWithin(these: Narrowing[Part], those: Narrowing[Part]): boolean {
  if (those === undefined) return true
  return these?.every((one) => those.some((other) => covers(other, one))) === true
}

const WORD: Readonly<Record<Part, string>> = {
  callers: '',
  ports: 'port ',
  clusters: 'cluster ',
  namespaces: 'namespace ',
}

function wordsOf(part: Part, rest: Narrowing[Part], taken: readonly string[]): string[] {
  if (rest === undefined && taken.length === 0) return part === 'callers' ? ['*'] : []
  return (rest ?? ['*']).map((one) => {
    const inside = taken.filter((other) => one !== other && covers(one, other))
    const but = inside.length === 0 ? '' : ` but ${inside.map(wordOf).join(', ')}`
    return `${WORD[part]}${wordOf(one)}${but}`
  })
}

// A beginning of a namespace is one of `/ns/<namespace>/…`, so it keeps its star: `/ns/web*/*`.
function pathsOf({ namespaces, paths }: Callers): string[] {
  return [...namespaces, ...paths].map((pattern, index) =>
    index < namespaces.length ? `/ns/${pattern.text}/*` : pattern.text,
  )
}

function wordOf(pattern: string): string {
  return pattern.endsWith(IN_NAMESPACE) ? pattern.slice(0, -IN_NAMESPACE.length + 1) : pattern
}

const IN_NAMESPACE = '*/*'

function covers(wide: string, pattern: string): boolean {
  if (wide === pattern) return true
  if (!wide.endsWith('*')) return false
  const [begin, inner] = [beginning(wide), beginning(pattern)]
  if (!wide.endsWith(IN_NAMESPACE) || pattern.endsWith(IN_NAMESPACE)) return inner.startsWith(begin)
  const { namespace } = callerFacts(inner)
  return namespace?.startsWith(begin.slice('/ns/'.length)) === true
}

function overlaps(one: string, other: string): boolean {
  if (covers(one, other) || covers(other, one)) return true
  const [a, b] = [beginning(one), beginning(other)]
  return one.endsWith('*') && other.endsWith('*') && (a.startsWith(b) || b.startsWith(a))
}

function beginning(pattern: string): string {
  const star = pattern.indexOf('*')
  return star < 0 ? pattern : pattern.slice(0, star)
}
