import { join } from 'node:path'
import { ensureAdminToken } from './access/admin-token.ts'
import { pruneApiTokens } from './access/end-access.ts'
import { pruneIdempotencyKeys } from './access/idempotency.ts'
import { type AuditKey, loadAuditKey } from './audit/audit-key.ts'
import { Sealer } from './audit/sealer.ts'
import { catalogDependants } from './catalog/find-services.ts'
import { sourceTicker } from './compose-adopt.ts'
import { type Alerting, alertTickers, buildAlerting } from './compose-alerts.ts'
import type { Base } from './compose-base.ts'
import { catalogTickers } from './compose-catalog.ts'
import { declarativeTickers } from './compose-declarative.ts'
import {
  buildEndpoints,
  type Endpoints,
  endpointTickers,
  type MeshHooks,
} from './compose-endpoints.ts'
import { buildExchange, exchangeTickers } from './compose-exchange.ts'
import { buildFederation, federationTickers } from './compose-federation.ts'
import { buildInvites, inviteTicker } from './compose-invites.ts'
import { buildSvids, type SvidOptions, svidTickers } from './compose-svid.ts'
import type { Config } from './config.ts'
import { endingRelationships } from './federation/end-relationship.ts'
import { endWithMesh } from './federation/end-with-mesh.ts'
import type { PeerExchange } from './federation/exchange/open-exchange.ts'
import type { Federation } from './federation/open-federation.ts'
import type { HandshakeDeps } from './federation/invite/receive-handshake.ts'
import { policyDependants } from './policy/rule/dependants.ts'
import { seedPosture, unguardedCrossings } from './policy/change/posture.ts'
import { pruneChanges } from './policy/snapshot/prune-changes.ts'
import { Snapshots } from './policy/snapshot/snapshots.ts'
import { registryDependants } from './registry/dependants.ts'
import { type Ticker, startTicker } from './ticker.ts'

/** The long-lived objects of the features, each made once. */
export interface Parts {
  /** The hosts and ports under which others reach us. */
  readonly publicUrl: string
  readonly workloadUrl: string
  /** File with the first admin token. */
  readonly adminTokenFile: string
  readonly auditKey: AuditKey
  /** Stopped after everything that may still write audit records. */
  readonly sealer: Sealer
  /** What decisions about exported services run on. */
  readonly snapshots: Snapshots
  /** Our own bundles, keys and certificates. */
  readonly endpoints: Endpoints
  /** Relationships with peers, their polls and the door outward. */
  readonly federation: Federation
  /** What invites are made, accepted and answered with. */
  readonly invites: HandshakeDeps
  /** What peers are asked and told, and what they ask and tell. */
  readonly exchange: PeerExchange
  /** Alerts and webhooks. */
  readonly alerting: Alerting
  /** What workloads get SVIDs with. */
  readonly svids: SvidOptions
  /** What the making and ending of a mesh brings with it. */
  readonly hooks: MeshHooks
}

/** Makes the features' objects in the order of the house; nothing listens or ticks yet. */
export async function buildParts(base: Base): Promise<Parts> {
  const { config } = base
  const auditKey = await loadAuditKey(base.database.db, base.keyring)
  const endpoints = await buildEndpoints(base, workloadUrlOf(config))
  const federation = buildFederation(base, endpoints)
  return {
    publicUrl: config.PUBLIC_URL,
    workloadUrl: workloadUrlOf(config),
    adminTokenFile: await firstAdminToken(base),
    auditKey,
    sealer: makeSealer(base, auditKey),
    snapshots: makeSnapshots(base),
    endpoints,
    federation,
    invites: buildInvites(base, { endpoints, federation }),
    exchange: buildExchange(base, { endpoints, federation }),
    alerting: buildAlerting(base, federation),
    svids: buildSvids(base, { endpoints, federation }),
    hooks: {
      founders: [seedPosture],
      crossings: unguardedCrossings,
      dependants: [endingRelationships, catalogDependants, policyDependants, registryDependants],
      enders: [endWithMesh],
    },
  }
}

/** The file with the admin token: the one named, or the one made in the data folder. */
export function adminTokenFile(config: Config): string {
  return config.ADMIN_TOKEN_FILE ?? join(config.DATA_DIR, 'admin.token')
}

async function firstAdminToken({ config, database, log }: Base): Promise<string> {
  const file = adminTokenFile(config)
  const create = config.DATABASE_URL === undefined && config.ADMIN_TOKEN_FILE === undefined
  const { outcome } = await ensureAdminToken(database.db, { file, create })
  if (outcome === 'made') log.info({ event: 'admin-token.made', path: file }, 'admin token made')
  if (outcome === 'unknown') {
    log.warn(
      { event: 'admin-token.unknown', path: file, next: 'entente admin-token reset' },
      'the admin token file holds a token that this database does not accept',
    )
  }
  return file
}

function makeSealer(base: Base, key: AuditKey): Sealer {
  const { alarms, metrics, clock, log, now, replicaId } = base
  return new Sealer({
    db: base.database.background,
    key,
    owner: replicaId,
    clock,
    log,
    now,
    onLink: (link) => metrics.auditSealed.set(Number(link.upto_n)),
    onTailLost: (message) => alarms.raise('audit.tail-lost', 'audit log', { message }),
  })
}

function makeSnapshots({ database, log, changes, metrics }: Base): Snapshots {
  const onBuild = (outcome: string): void => metrics.policySnapshots.inc({ outcome })
  const snapshots = new Snapshots({ db: database.db, log, onBuild })
  snapshots.follow(changes)
  return snapshots
}

/** The base URL of the workload listener: configured, or the public host with the listener's port. */
function workloadUrlOf(config: Base['config']): string {
  if (config.WORKLOAD_URL !== undefined) return config.WORKLOAD_URL
  const url = new URL(config.PUBLIC_URL)
  url.port = config.WORKLOAD_ADDRESS.slice(config.WORKLOAD_ADDRESS.lastIndexOf(':') + 1)
  return url.origin
}

/** Starts everything that repeats; stopped in reverse order. */
export function startTickers(base: Base, parts: Parts): readonly Ticker[] {
  parts.sealer.start()
  return [
    ...endpointTickers(base, parts.endpoints),
    sourceTicker(base),
    ...federationTickers(base, parts.federation),
    inviteTicker(base, parts.invites),
    ...exchangeTickers(base, parts.exchange),
    ...svidTickers(base, parts.svids),
    ...catalogTickers(base),
    ...alertTickers(base, parts),
    tokenPruning(base),
    answerPruning(base),
    changePruning(base),
    ...declarativeTickers(base),
  ]
}

const DAY_MS = 86_400_000

function tokenPruning({ database, clock, log, now }: Base): Ticker {
  const db = database.background
  const run = async (): Promise<void> => void (await pruneApiTokens(db, await now(db)))
  return startTicker({ name: 'api-token-pruning', everyMs: DAY_MS, clock, log, run })
}

const HOUR_MS = 3_600_000

function answerPruning({ database, clock, log, now }: Base): Ticker {
  const db = database.background
  const run = async (): Promise<void> => void (await pruneIdempotencyKeys(db, await now(db)))
  return startTicker({ name: 'idempotency-key-pruning', everyMs: HOUR_MS, clock, log, run })
}

function changePruning({ database, clock, log, now }: Base): Ticker {
  const db = database.background
  const run = async (): Promise<void> => void (await pruneChanges(db, now))
  return startTicker({ name: 'policy-change-pruning', everyMs: HOUR_MS, clock, log, run })
}
