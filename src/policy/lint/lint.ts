import { command } from '../../errors.ts'
import { evaluate } from '../decision/evaluate.ts'
import { lintAudience, lintReach } from './lint-audience.ts'
import { SEVERITIES } from './lint-api.ts'
import { deleteCommand, LINT_CODES, type LintFinding, onRule } from './lint-finding.ts'
import { collectDenies, lintShadow } from './lint-shadow.ts'
import { type LintFacts } from './lint-facts.ts'
import { lintImports } from './lint-imports.ts'
import { lintClusters, lintSubject, subjectContext } from './lint-subjects.ts'
import { lintWidth } from './lint-width.ts'
import { hasEnded, type Rule } from '../rule/rule.ts'
import { serviceKey, type Snapshot, type SnapshotOffer } from '../snapshot/snapshot.ts'

/**
 * What about the rules and offers of a mesh is probably not meant at a moment: rules that can never match, that open more than
 * they seem to, and offers that nobody imports; the gravest first, then by code and object.
 *
 * Whether a peer elsewhere imports what we export only that peer knows; what no active relationship reaches nobody can import.
 * Pure. Costs some microseconds a rule and one decision an offer.
 */
export function lint(snapshot: Snapshot, at: Date, facts: LintFacts = {}): LintFinding[] {
  const context = subjectContext(snapshot)
  const rules = [...snapshot.rules.byId.values()]
  const denies = collectDenies(rules, at)
  const findings = rules.flatMap((rule) => {
    if (hasEnded(rule, at)) return [expired(rule)]
    const gone = lintAudience(rule, snapshot)
    if (gone.length > 0) return gone
    return [
      ...lintSubject(rule, context, facts),
      ...lintClusters(rule, facts),
      ...lintShadow(rule, denies, snapshot),
      ...lintWidth(rule),
      ...lintReach(rule, snapshot),
      ...lintImports(rule, context, { ...facts, at }),
    ]
  })
  return [...findings, ...lintOffers(snapshot, at)].toSorted((one, other) =>
    compareKeys(findingKey(one), findingKey(other)),
  )
}

/** The order of keys of findings: part by part. */
export function compareKeys(one: readonly string[], other: readonly string[]): number {
  const at = one.findIndex((part, i) => part !== other[i])
  const [a = '', b = ''] = [one[at], other[at]]
  if (a === b) return 0
  return a < b ? -1 : 1
}

/** What tells a finding from every other: the rank of its severity, its code and its object. */
export function findingKey({ severity, code, object }: LintFinding): readonly string[] {
  return [String(SEVERITIES.indexOf(severity)), code, object]
}

function expired(rule: Rule): LintFinding {
  const tells = `it ended at ${rule.expiresAt?.toISOString() ?? ''}`
  return onRule('rule.expired', rule, { tells, next: [deleteCommand(rule)] })
}

function lintOffers(snapshot: Snapshot, at: Date): LintFinding[] {
  return [...snapshot.offers].flatMap(([peer, offers]) => {
    if (snapshot.relationships.get(peer)?.state !== 'active') return []
    return [...offers.values()]
      .filter((offer) => isUnused(snapshot, offer, at))
      .map((offer) => unusedOffer(offer))
  })
}

// What a rule denies is left out by intent; what none allows may have been forgotten.
function isUnused(snapshot: Snapshot, offer: SnapshotOffer, at: Date): boolean {
  const { steps } = evaluate(snapshot, { subject: offer, of: offer.relationship, at })
  const step = steps.find((one) => one.step === 'importRule')
  return step?.outcome === 'deny' && step.ruleId === undefined
}

function unusedOffer(offer: SnapshotOffer): LintFinding {
  const service = serviceKey(offer)
  return {
    code: 'offer.not-imported',
    severity: LINT_CODES['offer.not-imported'],
    object: `offer/${offer.relationship}/${service}`,
    message: `${offer.relationship} offers ${service} and no rule of ours imports it`,
    next: [command`entente rule import ${service} --from ${offer.relationship}`],
  }
}
