import { type Query } from '../src/policy/decision/answer.ts'
import { fits } from '../src/policy/rule/pattern.ts'
import { type CallerFacts, callerFacts, isMeant } from '../src/policy/rule/callers.ts'
import { type Rule } from '../src/policy/rule/rule.ts'
import { type SnapshotInput } from '../src/policy/snapshot/snapshot.ts'
import { pathOf, trustDomainOf } from '../src/spiffe/spiffe-id.ts'

/**
 * Decides an exported call by scanning the lists: what one writes first, with the same cheap comparisons and none
 * of the reasons. Gives only whether it is allowed.
 */
export function scanLists(mesh: SnapshotInput, query: Query): boolean {
  const { subject, caller } = query
  if (caller === undefined) return false
  const domain = trustDomainOf(caller)
  const peer = mesh.relationships.find((one) => one.trustDomains.includes(domain))
  if (peer?.state !== 'active') return false
  const isHere = mesh.services.some(
    (one) => one.name === subject.name && one.namespace === subject.namespace,
  )
  if (!isHere) return false
  const asked = { query, facts: callerFacts(pathOf(caller)), peer: peer.name }
  let isAllowed = false
  for (const rule of mesh.rules) {
    if (!applies(rule, asked)) continue
    if (rule.effect === 'deny') return false
    isAllowed = true
  }
  return isAllowed
}

interface Asked {
  readonly query: Query
  readonly facts: CallerFacts
  readonly peer: string
}

function applies(rule: Rule, { query, facts, peer }: Asked): boolean {
  const { direction, subject, audience, expiresAt } = rule
  if (direction !== 'export' || subject.kind !== 'service') return false
  if (audience.kind !== 'all' && !audience.relationships.includes(peer)) return false
  if (!fits(subject.name, query.subject.name)) return false
  if (!fits(subject.namespace, query.subject.namespace)) return false
  if (expiresAt !== undefined && query.at >= expiresAt) return false
  return isMeant(audience.callers, facts)
}
