import { fits } from './pattern.ts'
import { type Parties } from '../decision/scene.ts'
import {
  type Snapshot,
  type SnapshotRelationship,
  type SnapshotService,
} from '../snapshot/snapshot.ts'
import { type RuleContent, type Rule, type ServiceSubject } from './rule.ts'

/** One of a rule's audience: a peer, or the mesh itself. */
export type Peer = SnapshotRelationship | 'self'

/** Everybody in a rule's audience, members of groups included, each once. */
export function audienceOf(snapshot: Snapshot, { audience, direction }: RuleContent): Peer[] {
  if (audience.kind === 'self') return ['self']
  if (audience.kind === 'all') return [...snapshot.relationships.values()]
  const members = audience.groups.flatMap((name) => snapshot.groups.get(name)?.members ?? [])
  const names = members.flatMap((member) => (member.kind === 'self' ? [] : [member.name]))
  const peers = [...audience.relationships, ...names].flatMap(
    (name) => snapshot.relationships.get(name) ?? [],
  )
  const isSelf = direction === 'export' && members.some((member) => member.kind === 'self')
  return [...(isSelf ? ['self' as const] : []), ...new Set(peers)]
}

/** The services that a rule may speak of with one of its audience, by namespace and name. */
export function subjectsOf(
  snapshot: Snapshot,
  { direction, subject }: Pick<Rule, 'direction' | 'subject'>,
  peer: Peer,
): SnapshotService[] {
  if (subject.kind === 'identity') return []
  const all =
    direction === 'export' || peer === 'self' ? snapshot.services : snapshot.offers.get(peer.name)
  return [...(all?.values() ?? [])].filter((service) => isNamed(subject, service))
}

/** Whether a subject's name patterns fit a service. */
export function isNamed({ namespace, name }: ServiceSubject, service: SnapshotService): boolean {
  return fits(namespace, service.namespace) && fits(name, service.name)
}

/** Who provides and who asks, where a rule of this direction is heard. */
export function sceneWith(direction: Rule['direction'], peer: Peer): Parties {
  return peer === 'self' ? { kind: 'within' } : { kind: direction, peer }
}

/** How one of an audience is called: a relationship's name, or `self`. */
export function peerTitle(peer: Peer): string {
  return peer === 'self' ? peer : peer.name
}
