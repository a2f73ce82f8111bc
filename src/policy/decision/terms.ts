import { type Port } from '../../catalog/service.ts'
import { callerPaths } from '../rule/callers.ts'
import { type HalfQuestion, openRules, type OpenVerdict } from './judge.ts'
import { type RuleIndex } from '../snapshot/rule-index.ts'
import { type RuleContent } from '../rule/rule.ts'

/**
 * On what terms a visible service may be called: the most that rules let in.
 *
 * Rules that narrow several things at once (these callers on that port) can make less of it: whether one call is
 * allowed is a question of its own.
 */
export interface Terms {
  /** Ports that some rule opens and none closes for everybody. */
  readonly ports: readonly Port[]
  /** Paths of SPIFFE IDs that a server must admit; `*` = all. */
  readonly callers: readonly string[]
  /** Paths of SPIFFE IDs that it must refuse all the same. */
  readonly refused: readonly string[]
  /** Clusters of ours that serve it to a peer, or whose workloads may call it; `*` = all. */
  readonly clusters: readonly string[]
  /** Namespaces of ours that see it (imports); `*` = all. */
  readonly visibleTo: readonly string[]
}

/** The terms of what is not visible. */
export const NO_TERMS: Terms = { ports: [], callers: [], refused: [], clusters: [], visibleTo: [] }

const ALL: readonly string[] = ['*']

/** The terms of a service that is visible by this half, which must leave open what terms tell. */
export function termsOf(index: RuleIndex, half: HalfQuestion, ports: readonly Port[]): Terms {
  const { allows, denies } = openRules(index, half)
  if (denies.length === 0 && allows.some(isPlain)) return plainTerms(ports)
  const open = portsOf(allows)
  const closed = portsOf(denies.filter((rule) => narrowed(rule) === 'ports'))
  const isOpen = (name: string): boolean => open.includes('*') || open.includes(name)
  return {
    ports: ports.filter(({ name }) => isOpen(name) && !closed.includes(name)),
    callers: merged(allows.flatMap(({ audience }) => callerPaths(audience.callers))),
    refused: merged(
      denies
        .filter((rule) => narrowed(rule) === 'callers')
        .flatMap(({ audience }) => callerPaths(audience.callers)),
    ),
    clusters: merged(allows.flatMap(({ clusters }) => clusters ?? ALL)),
    visibleTo: merged(allows.flatMap(({ visibleTo }) => visibleTo?.map(({ text }) => text) ?? ALL)),
  }
}

/** The terms of a service with this verdict, as {@link termsOf}; found without another pass where nothing narrows it. */
export function termsUnder(
  { allow, keepsSomeOut }: OpenVerdict,
  service: { readonly ports: readonly Port[] },
  slowly: () => Terms,
): Terms {
  const isEasy = !keepsSomeOut && allow !== undefined && isPlain(allow.rule)
  return isEasy ? plainTerms(service.ports) : slowly()
}

/** Patterns sorted, each once, without those that another one covers. */
export function merged(patterns: readonly string[]): readonly string[] {
  const all = [...new Set(patterns)].toSorted()
  const wide = all.filter((pattern) => pattern.endsWith('*')).map((pattern) => pattern.slice(0, -1))
  return all.filter(
    (pattern) => !wide.some((begin) => pattern !== `${begin}*` && pattern.startsWith(begin)),
  )
}

// What a rule comes to that narrows none of it, whatever others add; most lists have hardly anything else.
function plainTerms(ports: readonly Port[]): Terms {
  return { ports, callers: ALL, refused: NO_TERMS.refused, clusters: ALL, visibleTo: ALL }
}

function isPlain({ subject, audience, clusters, visibleTo }: RuleContent): boolean {
  if (subject.kind !== 'service' || subject.ports !== undefined) return false
  return audience.callers === undefined && clusters === undefined && visibleTo === undefined
}

function portsOf(rules: readonly RuleContent[]): readonly string[] {
  return rules.flatMap(({ subject }) => (subject.kind === 'service' ? (subject.ports ?? ALL) : []))
}

/** The one thing that a rule narrows; undefined for none and for several. */
function narrowed({ subject, audience, clusters, visibleTo }: RuleContent): string | undefined {
  const ports = subject.kind === 'service' ? subject.ports : undefined
  const all = { ports, callers: audience.callers, clusters, visibleTo }
  const names = Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [name]))
  return names.length === 1 ? names[0] : undefined
}
