import { fits } from '../rule/pattern.ts'
import { type Parties } from './scene.ts'
import {
  type Snapshot,
  type SnapshotRelationship,
  type SnapshotService,
} from '../snapshot/snapshot.ts'
import { type RuleContent, type Rule, type ServiceSubject } from '../rule/rule.ts'

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

/** Whether somebody is in a rule's audience. */
export function isFor({ groupsOf, ownGroups }: Snapshot, rule: RuleContent, peer: Peer): boolean {
  const { kind, relationships, groups } = rule.audience
  if (kind !== 'peers') return (peer === 'self') === (kind === 'self')
  const theirs = peer === 'self' ? ownGroups : groupsOf.get(peer.name)
  const isDirect = peer !== 'self' && relationships.includes(peer.name)
  return isDirect || theirs?.some((group) => groups.includes(group)) === true
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
