import { deleteCommand, type LintFinding, onRule } from './lint-finding.ts'
import { type Rule } from '../rule/rule.ts'
import { audienceOf } from '../decision/rule-reach.ts'
import { type Snapshot, type SnapshotRelationship } from '../snapshot/snapshot.ts'

/** Whether anybody is left of a rule's audience. */
export function lintAudience(rule: Rule, snapshot: Snapshot): LintFinding[] {
  const peers = peersOf(rule, snapshot)
  if (rule.audience.kind !== 'peers' || peers === undefined) return []
  const next = [deleteCommand(rule)]
  if (peers.length === 0) {
    const tells = 'nobody is left of its audience, so it never matches'
    return [onRule('rule.audience-empty', rule, { tells, next })]
  }
  if (peers.every(({ state }) => state === 'terminated')) {
    const names = peers.slice(0, 5).map(({ name }) => name)
    const tells = `${names.join(', ')}: over, so it never matches again`
    return [onRule('rule.audience-over', rule, { tells, next })]
  }
  return []
}

/** An export that nobody can take up, since no relationship of its audience is active. */
export function lintReach(rule: Rule, snapshot: Snapshot): LintFinding[] {
  if (rule.direction !== 'export' || rule.effect !== 'allow') return []
  const peers = peersOf(rule, snapshot)
  if (peers === undefined || peers.some(({ state }) => state === 'active')) return []
  if (peers.length > 0 && peers.every(({ state }) => state === 'terminated')) return []
  if (rule.audience.kind === 'peers' && peers.length === 0) return []
  const tells = 'no relationship that it speaks to is active, so nobody can import it yet'
  return [onRule('export.reaches-nobody', rule, { tells, next: ['entente federation list'] })]
}

/** The peers in a rule's audience; undefined where the mesh itself is, which is always there. */
function peersOf(rule: Rule, snapshot: Snapshot): SnapshotRelationship[] | undefined {
  const audience = audienceOf(snapshot, rule)
  return audience.includes('self') ? undefined : audience.filter((peer) => peer !== 'self')
}
