import { deleteCommand, type LintFinding, onRule } from './lint-finding.ts'
import { type Rule } from '../rule/rule.ts'
import { type Snapshot } from '../snapshot/snapshot.ts'

/** The mesh itself among the members of an audience. */
const SELF = Symbol('self')

/** The names of relationships that a rule's audience comes to, groups resolved. */
export function membersOf(snapshot: Snapshot, rule: Rule): ReadonlySet<string> {
  const { kind, relationships } = rule.audience
  if (kind === 'self') return new Set()
  if (kind === 'all') return new Set(snapshot.relationships.keys())
  const grouped = groupMembers(snapshot, rule).filter((one) => typeof one === 'string')
  return new Set([...relationships, ...grouped])
}

/** Whether the mesh itself is of a rule's audience. */
export function includesSelf(snapshot: Snapshot, rule: Rule): boolean {
  return rule.audience.kind === 'self' || groupMembers(snapshot, rule).includes(SELF)
}

function groupMembers(snapshot: Snapshot, { audience }: Rule): (string | typeof SELF)[] {
  return audience.groups.flatMap((name) => {
    const members = snapshot.groups.get(name)?.members ?? []
    return members.map((member) => (member.kind === 'self' ? SELF : member.name))
  })
}

/** Whether anybody is left of a rule's audience. */
export function lintAudience(rule: Rule, snapshot: Snapshot): LintFinding[] {
  if (rule.audience.kind !== 'peers' || includesSelf(snapshot, rule)) return []
  const peers = [...membersOf(snapshot, rule)]
  const next = [deleteCommand(rule)]
  if (peers.length === 0) {
    const tells = 'nobody is left of its audience, so it never matches'
    return [onRule('rule.audience-empty', rule, { tells, next })]
  }
  const states = peers.map((name) => snapshot.relationships.get(name)?.state)
  if (states.every((state) => state === 'terminated')) {
    const tells = `${peers.slice(0, 5).join(', ')}: over, so it never matches again`
    return [onRule('rule.audience-over', rule, { tells, next })]
  }
  return []
}

/** An export that nobody can take up, since no relationship of its audience is active. */
export function lintReach(rule: Rule, snapshot: Snapshot): LintFinding[] {
  const { direction, effect, audience } = rule
  if (direction !== 'export' || effect !== 'allow' || audience.kind === 'self') return []
  if (includesSelf(snapshot, rule)) return []
  const states = [...membersOf(snapshot, rule)].map((name) => snapshot.relationships.get(name))
  if (states.some((peer) => peer?.state === 'active')) return []
  if (states.length > 0 && states.every((peer) => peer?.state === 'terminated')) return []
  if (audience.kind === 'peers' && states.length === 0) return []
  const tells = 'no relationship that it speaks to is active, so nobody can import it yet'
  return [onRule('export.reaches-nobody', rule, { tells, next: ['entente federation list'] })]
}
