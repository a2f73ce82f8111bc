import type { Clock } from '../clock.ts'
import { inTransaction } from '../db/connect.ts'
import type { MeshId } from '../db/ids.ts'
import type { Keyring } from '../db/keyring.ts'
import type { Db } from '../db/schema.ts'
import type { DbClock } from '../db/time.ts'
import { messageOf } from '../errors.ts'
import type { Alarms } from '../http/alarms.ts'
import type { Metrics } from '../http/metrics.ts'
import { allClusters, allMeshes, allTrustDomains, lockTrustDomain } from '../mesh/find-mesh.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import { pruneRemoved } from './change-store.ts'
import { type Act, decideActs } from './lifecycle.ts'
import { perform } from './perform.ts'
import { listObserved } from './observed-store.ts'
import { readSituation, readyOf, slotsOf } from './situation.ts'
import { listAllLiving } from './store.ts'

/** What the lifecycle of all authorities needs. */
export interface RotateDeps {
  /** The background handle. */
  readonly db: Db
  readonly now: DbClock
  readonly clock: Clock
  readonly keyring: Keyring
  readonly alarms: Alarms
  readonly metrics: Metrics
  readonly log: {
    info(fields: object, message: string): void
    error(fields: object, message: string): void
  }
}

/** A trust domain whose authorities may need something. */
export interface RotationTarget {
  readonly meshId: MeshId
  readonly trustDomain: TrustDomain
}

/** The actor of what the lifecycle does by itself. */
const ROTATION_ACTOR = 'timer:authority-rotation'

/** Seconds by which a replica's clock may differ from the database's before it stops acting by time. */
const MOST_CLOCK_DIFFERENCE_SECONDS = 5

const KEPT_AFTER_REMOVAL_MS = 90 * 86_400_000
const MOST_ACTS = 50

/**
 * One tick of the lifecycle of every authority: looks at all of them once, then does what is due, each act in a
 * transaction of its own.
 *
 * Does nothing, and says so in readyz, while this replica's clock differs from the database's.
 */
export async function rotateAll(deps: RotateDeps, signal?: AbortSignal): Promise<void> {
  const now = await deps.now(deps.db)
  if (!clockAgrees(deps, now)) return
  for (const target of await findDue(deps.db, now)) {
    if (signal?.aborted === true) return
    await rotateSafely(deps, target)
  }
  await pruneRemoved(deps.db, new Date(now.getTime() - KEPT_AFTER_REMOVAL_MS))
}

// One trust domain that cannot rotate (a lost KEK) must not keep the others from it.
async function rotateSafely(deps: RotateDeps, target: RotationTarget): Promise<void> {
  try {
    await rotateTrustDomain(deps, target)
    deps.alarms.clear('authority.stuck', target.trustDomain)
  } catch (error) {
    const message = `the lifecycle of its authorities fails: ${messageOf(error)}`
    deps.alarms.raise('authority.stuck', target.trustDomain, { message })
    deps.log.error(
      { event: 'authority.act-failed', ...target, error: messageOf(error) },
      'lifecycle act failed',
    )
  }
}

/** Does what is due for one trust domain, one transaction per act and at most one act per authority. */
export async function rotateTrustDomain(deps: RotateDeps, target: RotationTarget): Promise<void> {
  const touched = new Set<string>()
  const failures: unknown[] = []
  for (let count = 0; count < MOST_ACTS; count += 1) {
    const attempt: Attempt = { target, touched, act: undefined }
    try {
      const authorityId = await inTransaction(deps.db, (trx) => rotateOnce(trx, deps, attempt))
      if (attempt.act === undefined) break
      tell(deps, target, { act: attempt.act, authorityId })
      touched.add(authorityId)
    } catch (error) {
      if (attempt.act === undefined) throw error
      failures.push(error)
    }
    for (const key of keysOf(attempt.act)) touched.add(key)
  }
  if (failures.length > 0) throw failures[0]
}

interface Attempt {
  readonly target: RotationTarget
  /** What this tick already did something about. */
  readonly touched: ReadonlySet<string>
  /** The act that was decided on; known also when it failed, so that the others are done. */
  act: Act | undefined
}

interface Done {
  readonly act: Act
  readonly authorityId: string
}

async function rotateOnce(trx: Db, deps: RotateDeps, attempt: Attempt): Promise<string> {
  const { meshId, trustDomain } = attempt.target
  await lockTrustDomain(trx, meshId, trustDomain)
  const now = await deps.now(trx)
  const situation = await readSituation(trx, meshId, { trustDomain, now })
  attempt.act = decideActs(situation).find(
    (one) => !keysOf(one).some((key) => attempt.touched.has(key)),
  )
  if (attempt.act === undefined) return ''
  const context = { actor: ROTATION_ACTOR, now }
  return perform(trx, attempt.act, { situation, deps: { keyring: deps.keyring, context } })
}

// What an act is about: its authorities, or the slot that it fills.
function keysOf(act: Act): string[] {
  if (act.act === 'prepare') return [`${act.slot.kind} ${act.slot.cluster ?? ''}`]
  if (act.act === 'remove') return [act.authority.id]
  return [act.authority.id, ...(act.retires === undefined ? [] : [act.retires.id])]
}

function tell(deps: RotateDeps, target: RotationTarget, { act, authorityId }: Done): void {
  const kind = act.act === 'prepare' ? act.slot.kind : act.authority.kind
  deps.metrics.lifecycleActs.inc({ act: act.act, kind })
  deps.log.info(
    { event: `authority.${act.act}`, ...target, kind, authorityId, reason: act.reason },
    'authority lifecycle act',
  )
  if (act.act !== 'activate' || kind === 'x509_intermediate') return
  const object = `${target.trustDomain} ${kind}`
  if (act.unmet.length === 0) deps.alarms.clear('authority.forced', object)
  else {
    const unmet = act.unmet.map(({ detail }) => detail).join('; ')
    const message = `activated at its deadline although ${unmet}`
    deps.alarms.raise('authority.forced', object, { message })
  }
}

/** Trust domains for which time alone would allow an act now; most ticks find none. */
async function findDue(db: Db, now: Date): Promise<RotationTarget[]> {
  const meshes = new Map((await allMeshes(db)).map((mesh) => [mesh.meshId, mesh]))
  const clusters = await allClusters(db)
  const authorities = Map.groupBy(await listAllLiving(db), ({ trustDomain }) => trustDomain)
  const observed = await listObserved(db)
  const due: RotationTarget[] = []
  for (const { meshId, name, issuer } of await allTrustDomains(db)) {
    const mesh = meshes.get(meshId)
    if (mesh === undefined || issuer !== 'managed') continue
    const acts = decideActs({
      slots: slotsOf(clusters.get(meshId) ?? []),
      authorities: authorities.get(name) ?? [],
      settings: mesh.settings,
      readinessOf: () => ({ ...readyOf(mesh), largestHintSeconds: 0 }),
      othersSign: observed.has(name),
      now,
    })
    if (acts.length > 0) due.push({ meshId, trustDomain: name })
  }
  return due
}

/** Whether this replica's clock agrees with the database's; raises or clears the alarm. */
function clockAgrees(
  { clock, alarms }: Pick<RotateDeps, 'clock' | 'alarms'>,
  databaseNow: Date,
): boolean {
  const differenceSeconds = Math.abs(clock.now().getTime() - databaseNow.getTime()) / 1000
  if (differenceSeconds <= MOST_CLOCK_DIFFERENCE_SECONDS) {
    alarms.clear('clock.differs', 'this replica')
    return true
  }
  const message = `this replica's clock differs from the database's by ${Math.round(differenceSeconds)} s; it does not act by time until they agree within ${MOST_CLOCK_DIFFERENCE_SECONDS} s`
  alarms.raise('clock.differs', 'this replica', { message, service: true })
  return false
}
