import { type Signers } from '../../authority/signers.ts'
import { addSeconds, type Clock } from '../../clock.ts'
import { type Changes } from '../../db/changes.ts'
import { type Database } from '../../db/connect.ts'
import { type MeshId } from '../../db/ids.ts'
import { type DbClock } from '../../db/time.ts'
import { type Logger } from '../../http/log.ts'
import { type Metrics } from '../../http/metrics.ts'
import { type Outbound } from '../../http/outbound.ts'
import { type AnchorCache } from '../poll/anchors.ts'
import { announceBundles } from './announce-bundles.ts'
import { askPeer, type AskPeerDeps } from './ask-peer.ts'
import { type CallPeerDeps } from './call-peer.ts'
import { ClaimedWork } from './claimed-work.ts'
import { type DistrustedKeys } from '../trust/distrusted-keys.ts'
import { type ExchangeRoutesOptions } from './exchange-routes-options.ts'
import { NoticeDesk } from './notice-desk.ts'
import { type OurSide } from '../invite/our-side.ts'
import { claimNotices, type NoticeTask, releaseNotices } from './notice-store.ts'
import { PeerCallKeys } from './peer-call-keys.ts'
import { deleteEndedJtis } from './peer-call-store.ts'
import { type AskTask, claimAsks, enrolPeers, releaseAsks } from './peer-exchange-store.ts'
import { PeerLimits } from './peer-limits.ts'
import { sendNotice } from './send-notice.ts'
import { takeNotice } from './take-notice.ts'

/** What the exchange with peers stands on. */
export interface ExchangeOptions {
  readonly database: Pick<Database, 'db' | 'background'>
  readonly changes: Pick<Changes, 'on'>
  readonly clock: Clock
  readonly now: DbClock
  readonly log: Pick<Logger, 'info' | 'error'>
  readonly metrics: Pick<Metrics, 'peerCalls' | 'peerRequests' | 'notices'>
  /** This replica's name; it owns the leases. */
  readonly owner: string
  readonly pollMinSeconds: number
  /** From 0 to 1. */
  readonly random: () => number
  readonly outbound: Outbound
  readonly anchors: AnchorCache
  readonly distrusted: DistrustedKeys
  readonly signers: Pick<Signers, 'jwt'>
  readonly peerBundles: { invalidate(meshId: MeshId): void }
  readonly scheduler: { kick(): void }
  /** Tells our own parameters. */
  readonly side: OurSide
}

/** The parts of the exchange that the service runs and mounts. */
export interface PeerExchange {
  readonly asks: ClaimedWork<AskTask>
  readonly notices: ClaimedWork<NoticeTask>
  readonly desk: NoticeDesk
  readonly routes: ExchangeRoutesOptions
  /** Tells our own parameters. */
  readonly side: OurSide
  /** Forgets tokens that have ended; for a ticker. */
  prune(): Promise<void>
}

/** Builds the exchange; nobody is asked or told anything before its work is started. */
export function openExchange(options: ExchangeOptions): PeerExchange {
  const { database, changes, clock, now, log, metrics } = options
  const calls: CallPeerDeps = {
    db: database.background,
    outbound: options.outbound,
    anchors: options.anchors,
    signers: options.signers,
    clock,
  }
  const asks = askWork(options, calls)
  const notices = noticeWork(options, calls)
  const limits = new PeerLimits(clock)
  const keys = new PeerCallKeys(options.distrusted)
  const kick = (): void => {
    options.scheduler.kick()
    asks.kick()
  }
  const taking = { db: database.db, clock, keys, now, limits, metrics, kick }
  const desk = new NoticeDesk({
    take: (arrived, notice) => takeNotice(taking, arrived, notice),
    log,
  })
  changes.on('relationship', () => notices.kick())
  return {
    asks,
    notices,
    desk,
    side: options.side,
    routes: {
      db: database.db,
      clock,
      keys,
      limits,
      side: options.side,
      metrics,
      log,
      takeLater: (arrived, notice) => desk.add(arrived, notice),
    },
    prune: async () => {
      await deleteEndedJtis(database.background, await now(database.background))
    },
  }
}

function askWork(options: ExchangeOptions, calls: CallPeerDeps): ClaimedWork<AskTask> {
  const { now, clock, log, owner } = options
  const db = options.database.background
  const deps: AskPeerDeps = {
    ...calls,
    now,
    log,
    pollMinSeconds: options.pollMinSeconds,
    random: options.random,
    metrics: options.metrics,
    onChanged: (meshId) => options.peerBundles.invalidate(meshId),
    kickPolls: () => options.scheduler.kick(),
  }
  const enrolment = new Enrolment()
  const work = new ClaimedWork<AskTask>({
    name: 'peer-status',
    db,
    now,
    clock,
    log,
    owner,
    prepare: (at) => enrolment.run((meshId) => enrolPeers(db, at, meshId)),
    claim: claimAsks,
    run: (task, signal) => askPeer(deps, task, signal),
    release: releaseAsks,
  })
  options.changes.on('relationship', (meshId) => {
    enrolment.add(meshId)
    work.kick()
  })
  return work
}

function noticeWork(options: ExchangeOptions, calls: CallPeerDeps): ClaimedWork<NoticeTask> {
  const { now, clock, log, owner, metrics } = options
  const db = options.database.background
  let isDirty = true
  let checkAgainAt = new Date(0)
  const announce = async (at: Date): Promise<void> => {
    if (!isDirty && at < checkAgainAt) return
    isDirty = false
    checkAgainAt = addSeconds(at, RECHECK_SECONDS)
    try {
      isDirty = await announceBundles(db, at)
    } catch (error) {
      isDirty = true
      throw error
    }
    // A replica does not serve the new bundle yet: look again very soon.
    if (isDirty) setTimeout(() => work.kick(), SOON_MS).unref()
  }
  const work: ClaimedWork<NoticeTask> = new ClaimedWork({
    name: 'peer-notices',
    db,
    now,
    clock,
    log,
    owner,
    prepare: announce,
    claim: claimNotices,
    run: (task, signal) => sendNotice({ ...calls, metrics, log }, task, signal),
    release: releaseNotices,
  })
  options.changes.on('bundle', () => {
    isDirty = true
    work.kick()
  })
  return work
}

const RECHECK_SECONDS = 60
const SOON_MS = 50

/** Meshes whose Entente peers may lack a row for being asked; all of them at first. */
class Enrolment {
  readonly #dirty = new Set<MeshId>()
  #all = true

  add(meshId: MeshId): void {
    this.#dirty.add(meshId)
  }

  async run(enrol: (meshId?: MeshId) => Promise<void>): Promise<void> {
    if (this.#all) {
      await enrol()
      this.#all = false
      return
    }
    for (const meshId of this.#dirty) {
      await enrol(meshId)
      this.#dirty.delete(meshId)
    }
  }
}
