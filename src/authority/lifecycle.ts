import { addSeconds } from '../clock.ts'
import {
  deadlineSeconds,
  leadSeconds,
  type MeshSettings,
  publishSeconds,
} from '../mesh/settings.ts'
import { type Authority, canSign, fills, isPublishedKind, type Slot } from './authority.ts'

/** What is known beyond the rows about one published authority: who could be surprised by its use. */
export interface Readiness {
  /** The largest refresh hint that our bundle advertised in the last day. */
  readonly largestHintSeconds: number
  /** Living replicas that do not serve a bundle with it yet. */
  readonly replicasBehind: number
  /** Until when holders of living SVIDs are known to use a bundle without it; undefined when there are none. */
  readonly holdersBehindUntil: Date | undefined
  /** End of the last living SVID under it, or of a join token that names it; undefined when there is none. */
  readonly inUseUntil: Date | undefined
}

/** One reason why an authority may not become active yet. */
export interface Waiting {
  readonly for: 'publication' | 'propagation' | 'replicas' | 'hint' | 'holders' | 'key'
  /** When it is over as far as is known now. */
  readonly until: Date | undefined
  readonly detail: string
}

/** What the lifecycle wants done with one authority, or for one slot, now. */
export type Act =
  | { readonly act: 'prepare'; readonly slot: Slot; readonly reason: string }
  | {
      readonly act: 'activate'
      readonly authority: Authority
      readonly retires: Authority | undefined
      /** The conditions that do not hold although it is activated; empty unless the deadline forced it. */
      readonly unmet: readonly Waiting[]
      readonly reason: string
    }
  | { readonly act: 'remove'; readonly authority: Authority; readonly reason: string }

/** Everything that {@link decideActs} looks at, for one trust domain. */
export interface Situation {
  readonly slots: readonly Slot[]
  /** All authorities of the trust domain but the removed ones. */
  readonly authorities: readonly Authority[]
  readonly settings: MeshSettings
  readonly readinessOf: (authority: Authority) => Readiness
  /** Whether another system signs for this trust domain too: then even our first authority waits at the gate. */
  readonly othersSign: boolean
  /** The database's time. */
  readonly now: Date
}

// From its making: a certificate's own beginning lies back for verifiers with slow clocks.
function lifeSeconds(authority: Authority): number {
  return (authority.notAfter.getTime() - authority.preparedAt.getTime()) / 1000
}

/** When the successor of an authority is prepared: half life; roots at most 60 days before the end. */
export function prepareAt(authority: Authority): Date {
  return addSeconds(authority.notAfter, -leadSeconds(authority.kind, lifeSeconds(authority)))
}

/** When a successor becomes active although a condition does not hold. */
export function deadlineOf(authority: Authority): Date {
  return addSeconds(authority.notAfter, -deadlineSeconds(authority.kind, lifeSeconds(authority)))
}

/**
 * What a published authority still waits for before it may sign; empty when every condition holds (FE-30, FE-31).
 *
 * Intermediates travel in the chain and wait for nothing but the key of a living root above them.
 */
export function waitingFor(authority: Authority, situation: Situation): Waiting[] {
  if (!canSign(authority, situation.now)) {
    return [{ for: 'key', until: undefined, detail: 'it has no usable private key' }]
  }
  if (!isPublishedKind(authority.kind)) return []
  const { publishedAt } = authority
  if (publishedAt === undefined) {
    return [{ for: 'publication', until: undefined, detail: 'it is not in the published bundle' }]
  }
  const readiness = situation.readinessOf(authority)
  const waits = [
    ...propagationWait(publishedAt, readiness, situation),
    ...hardWaits(publishedAt, readiness, situation),
  ]
  if (readiness.holdersBehindUntil !== undefined) {
    waits.push({
      for: 'holders',
      until: readiness.holdersBehindUntil,
      detail: 'workloads hold SVIDs that came with an older bundle and have not refreshed yet',
    })
  }
  return waits
}

function propagationWait(publishedAt: Date, readiness: Readiness, at: Situation): Waiting[] {
  const seconds = publishSeconds(at.settings, readiness.largestHintSeconds)
  const until = addSeconds(publishedAt, seconds)
  if (until <= at.now) return []
  return [{ for: 'propagation', until, detail: `it must be published for ${seconds} s` }]
}

// What even a forced activation waits for while the old authority can sign: that everybody who asks us gets it.
function hardWaits(publishedAt: Date, readiness: Readiness, at: Situation): Waiting[] {
  const waits: Waiting[] = []
  if (readiness.replicasBehind > 0) {
    const detail = `${readiness.replicasBehind} of our replicas do not serve it yet`
    waits.push({ for: 'replicas', until: undefined, detail })
  }
  const until = addSeconds(publishedAt, readiness.largestHintSeconds)
  if (until > at.now) {
    const detail = `one refresh hint (${readiness.largestHintSeconds} s) has not passed since it was published`
    waits.push({ for: 'hint', until, detail })
  }
  return waits
}

const HARD: ReadonlySet<Waiting['for']> = new Set(['publication', 'key', 'replicas', 'hint'])

/** The part of {@link waitingFor} that forcing cannot skip while the old authority can sign. */
export function hardWaitsOf(waits: readonly Waiting[]): Waiting[] {
  return waits.filter((wait) => HARD.has(wait.for))
}

/**
 * The acts that are due now, at most one per authority, in the order in which they are to be done.
 *
 * Pure: the same situation always gives the same acts (SPIFFE Federation §4.1; FE-30 to FE-32). The states
 * `tainted` and `revoked` have no act here; nothing leads to them by time.
 */
export function decideActs(situation: Situation): Act[] {
  const replacing = situation.slots.flatMap((slot) => decideSlot(slot, situation))
  const touched = new Set(
    replacing.flatMap((act) =>
      act.act === 'activate' ? [act.authority.id, ...(act.retires ? [act.retires.id] : [])] : [],
    ),
  )
  const removing = situation.authorities
    .filter((authority) => !touched.has(authority.id))
    .flatMap((authority) => decideRemoval(authority, situation))
  return [...replacing, ...removing]
}

function decideSlot(slot: Slot, situation: Situation): Act[] {
  const inSlot = situation.authorities.filter((authority) => fills(slot, authority))
  const active = inSlot.find((authority) => authority.state === 'active')
  const prepared = inSlot.find((authority) => authority.state === 'prepared')
  if (prepared !== undefined) return decideActivation(prepared, active, situation)
  if (slot.kind === 'x509_intermediate' && signingRoot(situation) === undefined) return []
  const reason = preparationReason(active, situation)
  return reason === undefined ? [] : [{ act: 'prepare', slot, reason }]
}

function preparationReason(active: Authority | undefined, at: Situation): string | undefined {
  if (active === undefined) return 'we have none that can sign'
  if (prepareAt(active) <= at.now) return 'the lead time before its end began'
  if (active.kind === 'x509_intermediate' && active.parentId !== signingRoot(at)?.id) {
    return 'its root no longer signs'
  }
  return undefined
}

function signingRoot(situation: Situation): Authority | undefined {
  return situation.authorities.find(
    (one) => one.kind === 'x509_root' && one.state === 'active' && canSign(one, situation.now),
  )
}

function decideActivation(
  authority: Authority,
  retires: Authority | undefined,
  situation: Situation,
): Act[] {
  if (isAbandoned(authority, situation)) return []
  const unmet = waitingFor(authority, situation)
  const activate = (reason: string): Act[] => [
    { act: 'activate', authority, retires, unmet, reason },
  ]
  if (unmet.length === 0) return activate('every condition holds')
  if (unmet.some((wait) => wait.for === 'publication' || wait.for === 'key')) return []
  if (retires === undefined || !canSign(retires, situation.now)) {
    return situation.othersSign && retires === undefined ? [] : activate('nothing else can sign')
  }
  if (deadlineOf(retires) > situation.now || hardWaitsOf(unmet).length > 0) return []
  return activate('the old one reached its deadline')
}

// A prepared authority that can never serve: it ended, lost its key, or its root was replaced.
function isAbandoned(authority: Authority, situation: Situation): boolean {
  if (authority.state !== 'prepared') return false
  if (!canSign(authority, situation.now)) return true
  return authority.kind === 'x509_intermediate' && authority.parentId !== signingRoot(situation)?.id
}

function decideRemoval(authority: Authority, situation: Situation): Act[] {
  const reason = removalReason(authority, situation)
  return reason === undefined ? [] : [{ act: 'remove', authority, reason }]
}

function removalReason(authority: Authority, situation: Situation): string | undefined {
  if (isAbandoned(authority, situation)) return 'it can no longer become active'
  if (authority.state !== 'retired') return undefined
  if (authority.notAfter <= situation.now) return 'it ended'
  if (!isPublishedKind(authority.kind)) return undefined
  if (authority.removeAt === undefined || authority.removeAt > situation.now) return undefined
  const { inUseUntil } = situation.readinessOf(authority)
  if (inUseUntil !== undefined && inUseUntil > situation.now) return undefined
  return 'nothing signed under it is still in use'
}

/**
 * When a retiring authority leaves the bundle: the end of the last SVID signed under it, plus the skew that
 * verifiers may have, at the latest its own end (FE-32).
 */
export function removalTime(
  authority: Authority,
  { inUseUntil }: Pick<Readiness, 'inUseUntil'>,
  { settings, now }: Pick<Situation, 'settings' | 'now'>,
): Date {
  const last = inUseUntil !== undefined && inUseUntil > now ? inUseUntil : now
  const removal = addSeconds(last, settings.removalSkewSeconds)
  return removal < authority.notAfter ? removal : authority.notAfter
}
