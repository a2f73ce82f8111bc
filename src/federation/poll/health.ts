import { type BundleSource } from '../../db/schema.ts'
import { type WaitingBundle } from './claim-store.ts'
import { type Voucher } from './voucher.ts'
import { isPolled } from '../relationship.ts'

/** Health of a relationship, worst first; it never changes trust by itself. */
export const HEALTHS = ['needs-bootstrap', 'quarantined', 'stale', 'failing', 'ok'] as const

/** One of {@link HEALTHS}. */
export type Health = (typeof HEALTHS)[number]

/** What a domain's health is decided by. */
export interface HealthFacts {
  readonly source: BundleSource
  /** When its polling began: nothing can be stale before. */
  readonly since: Date
  readonly lastSuccessAt: Date | undefined
  readonly lastError: string | undefined
  readonly failures: number
  readonly intervalSeconds: number
  /** Whether a stored X.509 authority of the endpoint's trust domain is valid now; without endpoint of its own. */
  readonly hasUsableAuthority: boolean
  /** Whether there were X.509 authorities at all; a static bundle of JWT keys alone needs none. */
  readonly hasX509Authorities: boolean
  /** Authorities that are stored and left out, because their key is distrusted. */
  readonly distrusted?: number | undefined
  /** The document that waits for a person. */
  readonly waiting?: WaitingBundle | undefined
  /** Whose bundle authenticates an endpoint that stands in another trust domain (FE-24). */
  readonly voucher?: Pick<Voucher, 'trustDomain' | 'relationship' | 'refusal'> | undefined
}

/** A health, why, and what a person can do about it. */
export interface HealthReport {
  readonly health: Health
  readonly reason: string | undefined
  readonly wayOut: string | undefined
}

/** A domain whose last success is older than three intervals is stale, but not before this many seconds. */
export const STALE_MIN_SECONDS = 15 * 60

const STALE_INTERVALS = 3

/** The relationship and domain that a way out names. */
export interface HealthSubject {
  readonly relationship: string
  readonly trustDomain: string
}

/**
 * Decides the health of one domain of a relationship, with the reason and the way out (FE-26, FE-36, FE-38).
 */
export function decideHealth(facts: HealthFacts, subject: HealthSubject, now: Date): HealthReport {
  if (needsBootstrap(facts)) return bootstrapReport(facts, subject)
  if (facts.waiting !== undefined) return quarantinedReport(facts.waiting, subject)
  if (!isPolled(facts.source)) return OK
  if (isStale(facts, now)) return staleReport(facts, subject)
  if (facts.failures > 0) {
    const reason = facts.lastError ?? 'the last poll failed'
    return { health: 'failing', reason, wayOut: refreshCommand(facts, subject) }
  }
  return OK
}

/** The worst of several reports; ok when there is none. */
export function worstHealth(reports: readonly HealthReport[]): HealthReport {
  for (const health of HEALTHS) {
    const found = reports.find((report) => report.health === health)
    if (found !== undefined) return found
  }
  return OK
}

const OK: HealthReport = { health: 'ok', reason: undefined, wayOut: undefined }

function needsBootstrap(facts: HealthFacts): boolean {
  if (facts.hasUsableAuthority) return false
  if (facts.source === 'https_spiffe') return true
  return facts.source === 'static' && facts.hasX509Authorities
}

function bootstrapReport(facts: HealthFacts, of: HealthSubject): HealthReport {
  const { voucher } = facts
  const so = facts.source === 'static' ? '' : ', so its endpoint cannot be authenticated'
  if (voucher?.refusal !== undefined) {
    const { reason, wayOut } = voucher.refusal
    return { health: 'needs-bootstrap', reason: reason + so, wayOut }
  }
  const subject = {
    relationship: voucher?.relationship ?? of.relationship,
    trustDomain: voucher?.trustDomain ?? of.trustDomain,
  }
  const { trustDomain, relationship } = subject
  const what = whyUnusable(facts, trustDomain)
  const byHand = `get its newest bundle from the peer out of band, then: entente bundle set ${relationship} --trust-domain ${trustDomain} --file FILE`
  return {
    health: 'needs-bootstrap',
    reason: what + so,
    wayOut:
      (facts.distrusted ?? 0) > 0
        ? `entente federation distrust list tells which keys, and entente federation distrust lift KEY takes one back; or ${byHand}`
        : facts.waiting === undefined || voucher !== undefined
          ? byHand
          : `${decisionCommands(facts.waiting, subject)}; or ${byHand}`,
  }
}

function whyUnusable(facts: HealthFacts, trustDomain: string): string {
  const { distrusted = 0, hasX509Authorities } = facts
  if (distrusted > 0) {
    const rest = hasX509Authorities ? ', and the others have expired or are not valid yet' : ''
    return `${distrusted} X.509 ${distrusted === 1 ? 'authority' : 'authorities'} of ${trustDomain} that we hold ${distrusted === 1 ? 'is' : 'are'} distrusted by this mesh${rest}`
  }
  return hasX509Authorities
    ? `every stored X.509 authority of ${trustDomain} has expired or is not valid yet`
    : `the stored bundle of ${trustDomain} has no X.509 authority`
}

function quarantinedReport(waiting: WaitingBundle, subject: HealthSubject): HealthReport {
  const what = `revision ${waiting.n} of ${subject.trustDomain} waits for a decision`
  return {
    health: 'quarantined',
    reason: `${what}: ${waiting.reason}; nothing of it is used, and what it no longer has is gone already`,
    wayOut: decisionCommands(waiting, subject),
  }
}

function decisionCommands(
  { digest }: WaitingBundle,
  { relationship, trustDomain }: HealthSubject,
): string {
  const target = `${relationship} --trust-domain ${trustDomain}`
  const hex = Buffer.from(digest).toString('hex')
  return (
    `see what it changes: entente federation bundle diff ${target}; then ` +
    `entente federation bundle approve ${target} --digest ${hex}, or reject`
  )
}

function isStale(facts: HealthFacts, now: Date): boolean {
  const limit = Math.max(STALE_MIN_SECONDS, STALE_INTERVALS * facts.intervalSeconds)
  return now.getTime() - (facts.lastSuccessAt ?? facts.since).getTime() > limit * 1000
}

function staleReport(facts: HealthFacts, subject: HealthSubject): HealthReport {
  const last =
    facts.lastSuccessAt === undefined
      ? 'no poll has succeeded yet'
      : `no poll has succeeded since ${facts.lastSuccessAt.toISOString()}`
  const reason = facts.lastError === undefined ? last : `${last}: ${facts.lastError}`
  return { health: 'stale', reason, wayOut: refreshCommand(facts, subject) }
}

function refreshCommand(facts: HealthFacts, { relationship }: HealthSubject): string {
  const hasNone = facts.lastSuccessAt === undefined && !facts.hasX509Authorities
  const now = hasNone ? 'no bundle is stored yet' : 'the stored bundle stays in force'
  return `${now}; to try again now: entente federation refresh ${relationship}`
}
