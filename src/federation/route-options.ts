import { type Alarms } from '../http/alarms.ts'
import { type BundleFetches } from '../http/metrics.ts'
import { type TrustDomain } from '../spiffe/trust-domain.ts'
import { type Db } from '../db/schema.ts'
import { type MeshId } from '../db/ids.ts'
import { type DbClock } from '../db/time.ts'
import { type AnchorCache } from './poll/anchors.ts'
import { type PeerReaders } from './create-relationship.ts'
import { type DistrustDependants } from './trust/distrust.ts'
import { type EgressRules } from './egress/egress-rules.ts'
import { type RelationshipDependants } from './end-relationship.ts'
import { type RelationshipFounder } from './hooks.ts'
import { type PeerBundles } from './peer-bundle/peer-bundles.ts'
import { type GroupDependants, type MemberEffects } from './group/peer-groups.ts'
import { type RefreshDeps } from './poll/refresh.ts'
import { type RelayBundles } from './relay/relay-bundles.ts'
import { type FederationScheduler } from './poll/scheduler.ts'

/** What the relationship routes need. */
export interface RelationshipRoutesOptions {
  /** For polls that a person asks for; its `db` is the request handle. */
  readonly refresh: RefreshDeps
  readonly readers: PeerReaders
  readonly dependants: readonly RelationshipDependants[]
  readonly founders: readonly RelationshipFounder[]
  readonly anchors: AnchorCache
  readonly egress: EgressRules
  readonly peerBundles: Pick<PeerBundles, 'invalidate'>
  readonly scheduler: Pick<FederationScheduler, 'kick'>
  readonly alarms: Pick<Alarms, 'clear' | 'list'>
  /** This replica's name; it owns the leases of polls. */
  readonly owner: string
}

/** What the routes of peers' bundles need. */
export interface PeerBundleRoutesOptions {
  readonly db: Db
  readonly now: DbClock
  readonly peerBundles: Pick<PeerBundles, 'invalidate'>
  readonly scheduler: Pick<FederationScheduler, 'kick'>
}

/** What the routes of peer groups need. */
export interface PeerGroupRoutesOptions {
  readonly db: Db
  readonly now: DbClock
  readonly peerBundles: Pick<PeerBundles, 'invalidate'>
  readonly dependants: readonly GroupDependants[]
  readonly memberEffects: MemberEffects
}

/** What the egress routes need. */
export interface EgressRoutesOptions {
  readonly db: Db
  readonly now: DbClock
  readonly rules: EgressRules
}

/** What the routes of distrusted keys need. */
export interface DistrustRoutesOptions {
  readonly db: Db
  readonly now: DbClock
  readonly dependants: readonly DistrustDependants[]
  /** Has this replica hear of the change at once; the others hear of it within a second. */
  readonly onChange: (meshId: MeshId) => void
}

/** What the relay needs; it asks nobody who they are. */
export interface RelayRoutesOptions {
  readonly relays: Pick<RelayBundles, 'fresh' | 'count'>
  /** The secret behind references in URLs. */
  readonly readerSecret: Uint8Array
  readonly fetches: BundleFetches
  /** Whose a trust domain of ours is, from memory. */
  readonly meshOf: (trustDomain: TrustDomain) => MeshId | undefined
}
