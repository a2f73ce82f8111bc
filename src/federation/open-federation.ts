import { type Clock } from '../clock.ts'
import { type Changes } from '../db/changes.ts'
import { type Database } from '../db/connect.ts'
import { type DbClock } from '../db/time.ts'
import { type Alarms } from '../http/alarms.ts'
import { parseEgressRule } from '../http/egress-rule.ts'
import { type Logger } from '../http/log.ts'
import { type Metrics } from '../http/metrics.ts'
import { openOutbound, type Outbound, type OutboundLimits } from '../http/outbound.ts'
import { type Resolve } from '../http/outbound-connect.ts'
import { AnchorCache } from './poll/anchors.ts'
import { type DistrustDependants } from './trust/distrust.ts'
import { DistrustedKeys } from './trust/distrusted-keys.ts'
import { RelayBundles } from './relay/relay-bundles.ts'
import { type PeerReaders } from './create-relationship.ts'
import { EgressRules } from './egress/egress-rules.ts'
import { type RelationshipDependants } from './end-relationship.ts'
import { type RelationshipFounder } from './hooks.ts'
import { PeerBundles } from './peer-bundle/peer-bundles.ts'
import { type GroupDependants, type MemberEffects } from './group/peer-groups.ts'
import { PollSettler } from './poll/poll-settler.ts'
import { type RefreshDeps, refreshPeer, SCHEDULE_ACTOR } from './poll/refresh.ts'
import {
  type DistrustRoutesOptions,
  type EgressRoutesOptions,
  type PeerBundleRoutesOptions,
  type PeerGroupRoutesOptions,
  type RelationshipRoutesOptions,
} from './route-options.ts'
import { PollReporter } from './poll/report-poll.ts'
import { FederationScheduler } from './poll/scheduler.ts'

/** What federation stands on. */
export interface FederationOptions {
  readonly database: Pick<Database, 'db' | 'background'>
  readonly changes: Pick<Changes, 'on' | 'silentMs'>
  readonly clock: Clock
  readonly now: DbClock
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
  readonly metrics: Pick<Metrics, 'polls' | 'pollLateness'>
  readonly alarms: Pick<Alarms, 'raise' | 'clear' | 'list'>
  /** This replica's name; it owns the leases of polls. */
  readonly owner: string
  readonly pollMinSeconds: number
  /** How long bundles are served from memory while the database is away; default an hour. */
  readonly serveStaleSeconds?: number
  /** Lines of the configured allow list. */
  readonly egressAllow: readonly string[]
  /** PEM roots trusted for https_web endpoints beside the system's. */
  readonly extraRootsPem: readonly string[]
  /** Whether redirects of bundle endpoints are followed (FE-29). */
  readonly redirects: 'follow' | 'refuse'
  readonly readers: PeerReaders
  readonly dependants: readonly RelationshipDependants[]
  readonly founders?: readonly RelationshipFounder[]
  /** What uses the bundles of peers' domains. */
  readonly distrustDependants?: readonly DistrustDependants[]
  /** What uses a group of peers. */
  readonly groupDependants?: readonly GroupDependants[]
  /** What members of a group gain or lose by rules. */
  readonly memberEffects?: MemberEffects
  /** From 0 to 1; tests hand in their own. */
  readonly random: () => number
  readonly limits?: Partial<OutboundLimits>
  /** How names become addresses; the machine's resolver unless a test hands in its own. */
  readonly resolve?: Resolve
}

/** The parts of federation that the service runs and mounts. */
export interface Federation {
  readonly outbound: Outbound
  readonly egress: EgressRules
  readonly peerBundles: PeerBundles
  readonly scheduler: FederationScheduler
  readonly relays: RelayBundles
  readonly relationshipRoutes: RelationshipRoutesOptions
  readonly peerBundleRoutes: PeerBundleRoutesOptions
  readonly peerGroupRoutes: PeerGroupRoutesOptions
  readonly egressRoutes: EgressRoutesOptions
  readonly distrustRoutes: DistrustRoutesOptions
}

/** Builds federation; nothing is polled before `scheduler.start()`. Throws EGRESS_RULE_INVALID. */
export function openFederation(options: FederationOptions): Federation {
  const { database, clock, now, owner } = options
  const { egress, outbound } = openDoor(options)
  const peerBundles = new PeerBundles(database.db, options.changes)
  const distrusted = new DistrustedKeys(options.changes)
  const refresh = refreshDeps(options, {
    outbound,
    anchors: new AnchorCache(distrusted),
    peerBundles,
  })
  const scheduler = new FederationScheduler({
    db: database.background,
    now,
    clock,
    log: options.log,
    owner,
    refresh: (task, signal) => refreshPeer(refresh, task, { actor: SCHEDULE_ACTOR, signal }),
  })
  const relays = relaysOf(options)
  const shared = { peerBundles, scheduler }
  return {
    outbound,
    egress,
    relays,
    ...shared,
    relationshipRoutes: {
      ...shared,
      refresh: { ...refresh, db: database.db },
      readers: options.readers,
      dependants: options.dependants,
      founders: options.founders ?? [],
      anchors: refresh.anchors,
      egress,
      alarms: options.alarms,
      owner,
    },
    peerBundleRoutes: { ...shared, db: database.db, now },
    peerGroupRoutes: {
      db: database.db,
      now,
      peerBundles,
      dependants: options.groupDependants ?? [],
      memberEffects: options.memberEffects ?? nothingChanges,
    },
    egressRoutes: { db: database.db, now, rules: egress },
    distrustRoutes: {
      db: database.db,
      now,
      dependants: options.distrustDependants ?? [],
      onChange: (meshId) => {
        for (const memory of [distrusted, peerBundles, relays]) memory.invalidate(meshId)
        scheduler.kick()
      },
    },
  }
}

const nothingChanges: MemberEffects = async () => async () => ({ peers: [], complete: true })

/** The door outward and the rules that open it. */
function openDoor(options: FederationOptions): Pick<Federation, 'egress' | 'outbound'> {
  const { database, clock } = options
  const egress = new EgressRules({
    db: database.background,
    clock,
    configured: options.egressAllow.map(parseEgressRule),
  })
  const outbound = openOutbound({
    rulesFor: (meshId) => egress.rulesFor(meshId),
    clock,
    extraRootsPem: options.extraRootsPem,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...(options.resolve === undefined ? {} : { resolve: options.resolve }),
  })
  return { egress, outbound }
}

function relaysOf({ database, now, clock, log, changes, serveStaleSeconds }: FederationOptions) {
  const staleSeconds = serveStaleSeconds ?? 3600
  return new RelayBundles({ db: database.background, now, clock, log, changes, staleSeconds })
}

function refreshDeps(
  options: FederationOptions,
  parts: Pick<RefreshDeps, 'outbound' | 'anchors' | 'peerBundles'>,
): RefreshDeps {
  const { database, log, metrics, alarms } = options
  return {
    db: database.background,
    ...parts,
    clock: options.clock,
    now: options.now,
    redirects: options.redirects,
    pollMinSeconds: options.pollMinSeconds,
    random: options.random,
    settler: new PollSettler(database.background),
    reporter: new PollReporter({ log, metrics, alarms }),
  }
}
