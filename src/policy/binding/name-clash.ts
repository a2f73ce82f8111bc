import { setImmediate as nextTurn } from 'node:timers/promises'
import { ServiceError } from '../../errors.ts'
import { bindingsOf, inOrder, isShown } from './bindings.ts'
import { audienceOf, isNamed } from '../decision/rule-reach.ts'
import { type Rule, type ServiceSubject } from '../rule/rule.ts'
import { serviceKey, type Snapshot, type SnapshotService } from '../snapshot/snapshot.ts'

/**
 * Refuses a rule that gives a name to a service while another one goes by that name to the same peer: RULE_INVALID.
 *
 * What clashes only later, since a service or a label comes, is shown as a conflict instead. `snapshot` holds the
 * rule, and is as its author may see it. Only services that the rule names, or that could have such a name, are looked at;
 * others have their turn after each peer.
 */
export async function requireFreeNames(snapshot: Snapshot, rule: Rule, at: Date): Promise<void> {
  if (rule.as === undefined || rule.subject.kind !== 'service') return
  const mayClash = candidatesFor(snapshot, rule)
  for (const peer of audienceOf(snapshot, rule)) {
    if (peer === 'self') continue
    await nextTurn()
    const all = rule.direction === 'export' ? snapshot.services : snapshot.offers.get(peer.name)
    const services = all === undefined ? [] : inOrder(all).filter(mayClash)
    const scene = { kind: rule.direction, peer } as const
    const clash = bindingsOf(snapshot, scene, { services, at }).find(
      ({ conflictsWith, rule: { id } = {} }) =>
        conflictsWith !== undefined && [id, conflictsWith.rule?.id].includes(rule.id),
    )
    if (clash?.conflictsWith === undefined) continue
    const both = [clash.subject, clash.conflictsWith.subject].map((subject) =>
      isShown(snapshot, scene, subject) ? serviceKey(subject) : 'another service',
    )
    const [one, other] = clash.rule?.id === rule.id ? both : both.toReversed()
    const preposition = rule.direction === 'export' ? 'to' : 'from'
    const detail = `${one} and ${other} would both be ${clash.name} ${preposition} ${peer.name}`
    throw new ServiceError('RULE_INVALID', detail, {
      fields: [{ in: 'body', pointer: '/as', detail }],
      next: 'give one of them another name',
    })
  }
}

/** Services that the rule names, that have a name which it gives, or that some rule renames. */
function candidatesFor(snapshot: Snapshot, rule: Rule): (service: SnapshotService) => boolean {
  const renamed = [...snapshot.rules.aliases.values()].flatMap(
    ({ subject, direction }): ServiceSubject[] =>
      subject.kind !== 'service' || direction !== rule.direction ? [] : [subject],
  )
  const { namespace, name } = rule.as ?? {}
  return (service) =>
    ((namespace === undefined || service.namespace === namespace) &&
      (name === undefined || service.name === name)) ||
    renamed.some((subject) => isNamed(subject, service))
}
