import { type OwnerScope } from '../../access/owner-scope.ts'
import { type OfferGateway } from '../../catalog/endpoint.ts'
import { type Labels } from '../../catalog/label.ts'
import { type Port, serviceTitle } from '../../catalog/service.ts'
import { type MeshId } from '../../db/ids.ts'
import { type RelationshipState } from '../../db/schema.ts'
import { type PeerGroupMember } from '../../federation/group/peer-group.ts'
import { type SpiffeId } from '../../spiffe/spiffe-id.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { ShardedMap } from './sharded-map.ts'
import { buildRuleIndex } from './build-rule-index.ts'
import { type RuleIndex, type SubjectName } from './rule-index.ts'
import { type Rule } from '../rule/rule.ts'

/** A service of ours: where it listens and who may serve it. */
export interface SnapshotService extends SubjectName {
  readonly ports: readonly Port[]
  readonly labels: Labels
  readonly serverIds: readonly SpiffeId[]
  /** When it came to the catalogue, by our clock: of two that would go by one name the older keeps it. */
  readonly createdAt: Date
}

/** A service that a peer shows us: a claim, kept apart from our own. */
export interface SnapshotOffer extends SnapshotService {
  readonly relationship: string
  /** Where its mesh takes calls for it. */
  readonly gateways: readonly OfferGateway[]
  readonly source: 'manual' | 'exchange'
}

/** What decisions need to know of a relationship; its health has no say. */
export interface SnapshotRelationship {
  /** Lasting; the name may change, and go to another. */
  readonly id: string
  readonly name: string
  readonly state: RelationshipState
  readonly trustDomains: readonly TrustDomain[]
  /** What a pending one still lacks, in words. */
  readonly waitingFor: readonly string[]
}

/** A group of peers, in its order; the mesh itself may be among its members. */
export interface SnapshotGroup {
  readonly name: string
  /** By rank, the first before all others. */
  readonly members: readonly PeerGroupMember[]
}

/** How far the counters of what decisions depend on have come, one a topic of db/changes.ts. */
export interface Revisions {
  /** The mesh itself, its trust domains. */
  readonly mesh: bigint
  /** Relationships and groups. */
  readonly relationship: bigint
  /** Services, offers and rules. */
  readonly rule: bigint
}

/** Everything that decisions of one mesh depend on, as loaded. */
export interface SnapshotInput {
  readonly meshId: MeshId
  readonly revisions: Revisions
  readonly dnsSuffix: string
  readonly trustDomains: readonly TrustDomain[]
  readonly services: readonly SnapshotService[]
  readonly relationships: readonly SnapshotRelationship[]
  readonly offers: readonly SnapshotOffer[]
  readonly groups: readonly SnapshotGroup[]
  readonly rules: readonly Rule[]
}

/** One state of a mesh, indexed for decisions and never changed afterwards; a change builds the next one. */
export interface Snapshot {
  readonly meshId: MeshId
  readonly revisions: Revisions
  /** Grows with every change of anything below: the sum of {@link Revisions}. */
  readonly revision: bigint
  readonly dnsSuffix: string
  readonly trustDomains: ReadonlySet<TrustDomain>
  readonly services: ShardedMap<SnapshotService>
  readonly relationships: ReadonlyMap<string, SnapshotRelationship>
  /** Which relationship speaks for a foreign trust domain. */
  readonly relationshipOf: ReadonlyMap<TrustDomain, SnapshotRelationship>
  readonly offers: ReadonlyMap<string, ShardedMap<SnapshotOffer>>
  readonly groups: ReadonlyMap<string, SnapshotGroup>
  /** The groups that a relationship is a member of, by its name. */
  readonly groupsOf: ReadonlyMap<string, readonly string[]>
  /** The groups that the mesh itself is a member of. */
  readonly ownGroups: readonly string[]
  readonly rules: RuleIndex
  /** The namespaces of its reader, who is told of others' services no names; undefined = the whole mesh. */
  readonly ownerScope?: OwnerScope
  /** The rules of everybody, where `rules` are without those that its reader is not to see. */
  readonly allRules?: RuleIndex
}

/** The key of a service here and in the log of changes: its title, `namespace/name`. */
export function serviceKey(name: SubjectName): string {
  return serviceTitle(name)
}

/** One number for how far all topics have come. */
export function sumOf({ mesh, relationship, rule }: Revisions): bigint {
  return mesh + relationship + rule
}

/** Builds the snapshot of a mesh. */
export function buildSnapshot(input: SnapshotInput): Snapshot {
  return {
    meshId: input.meshId,
    revisions: input.revisions,
    revision: sumOf(input.revisions),
    ...meshPart(input),
    ...peersPart(input),
    services: ShardedMap.of(input.services.map((service) => [serviceKey(service), service])),
    offers: offersByPeer(input.offers),
    rules: buildRuleIndex(input.rules),
  }
}

/** What of a snapshot follows from the mesh itself. */
export function meshPart({
  dnsSuffix,
  trustDomains,
}: Pick<SnapshotInput, 'dnsSuffix' | 'trustDomains'>): Pick<
  Snapshot,
  'dnsSuffix' | 'trustDomains'
> {
  return { dnsSuffix, trustDomains: new Set(trustDomains) }
}

/** Relationships and groups of them, as loaded. */
export type PeersInput = Pick<SnapshotInput, 'relationships' | 'groups'>

/** What of a snapshot follows from relationships and groups. */
export function peersPart({
  relationships,
  groups,
}: PeersInput): Pick<
  Snapshot,
  'relationships' | 'relationshipOf' | 'groups' | 'groupsOf' | 'ownGroups'
> {
  return {
    relationships: new Map(relationships.map((one) => [one.name, one])),
    relationshipOf: speakers(relationships),
    groups: new Map(groups.map((group) => [group.name, group])),
    ...memberships(groups),
  }
}

/** The name under which this mesh reaches a peer's service: `<name>.<namespace>.svc.<relationship>.<suffix>`. */
export function hostnameOf(snapshot: Snapshot, relationship: string, subject: SubjectName): string {
  return `${subject.name}.${subject.namespace}.svc.${relationship}.${snapshot.dnsSuffix}`
}

function memberships(groups: readonly SnapshotGroup[]): Pick<Snapshot, 'groupsOf' | 'ownGroups'> {
  const groupsOf = new Map<string, string[]>()
  const ownGroups: string[] = []
  for (const { name, members } of groups) {
    for (const member of members) {
      if (member.kind === 'self') ownGroups.push(name)
      else groupsOf.set(member.name, [...(groupsOf.get(member.name) ?? []), name])
    }
  }
  return { groupsOf, ownGroups }
}

// A foreign trust domain stands in one relationship of a mesh at most, so the order has no say.
function speakers(
  relationships: readonly SnapshotRelationship[],
): Map<TrustDomain, SnapshotRelationship> {
  return new Map(
    relationships.flatMap((one) => one.trustDomains.map((domain) => [domain, one] as const)),
  )
}

/** Offers by relationship, then by name. */
export function offersByPeer(offers: readonly SnapshotOffer[]): Snapshot['offers'] {
  const byPeer = Map.groupBy(offers, ({ relationship }) => relationship)
  return new Map(
    [...byPeer].map(([peer, all]) => [
      peer,
      ShardedMap.of(all.map((offer) => [serviceKey(offer), offer])),
    ]),
  )
}
