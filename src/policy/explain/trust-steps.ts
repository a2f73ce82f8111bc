import { command } from '../../errors.ts'
import { type RelationshipDomainView, type RelationshipView } from '../../federation/api.ts'
import { type Outcome } from '../decision/answer.ts'

/** A link of the chain that is no rule, and what would mend it. */
export interface TrustStep {
  readonly outcome: Outcome
  readonly reason: string
  /** Empty unless it denies and something of this mesh could help. */
  readonly next: readonly string[]
}

/** Who consented, and since when a relationship is active: goes behind what it is. */
export function consentText(view: RelationshipView): string {
  const { state, activatedAt, ourConsent, theirConsent } = view
  const since = state === 'active' && activatedAt !== null ? ` since ${activatedAt}` : ''
  return `${since}; consent: ours ${ourConsent}, theirs ${theirConsent}${toldAt(view)}`
}

function toldAt({ theirConsent, exchange }: RelationshipView): string {
  if (theirConsent === 'assumed') return ', one-way'
  return exchange?.answeredAt ? `, as they said ${exchange.answeredAt}` : ''
}

/**
 * Whether a call can be authenticated by a peer's trust domain: a bundle of it counts here now, and one of its X.509
 * authorities that this mesh does not distrust is valid. Without one no call succeeds, whatever rules say.
 */
export function bundleStep(view: RelationshipView, trustDomain: string): TrustStep {
  const domain = view.domains.find((one) => one.trustDomain === trustDomain)
  if (domain === undefined) {
    return denied(`${view.name} has no trust domain ${trustDomain}`, [])
  }
  if (view.state !== 'active') {
    return denied(`no bundle of ${trustDomain} counts while ${view.name} is ${view.state}`, [])
  }
  const lacking = whatLacks(domain)
  if (lacking !== undefined) {
    return denied(lacking, [domain.wayOut ?? command`entente federation refresh ${view.name}`])
  }
  return { outcome: 'allow', reason: bundleText(domain), next: [] }
}

function denied(reason: string, next: readonly string[]): TrustStep {
  return { outcome: 'deny', reason, next }
}

function whatLacks({ trustDomain, bundle, healthReason }: RelationshipDomainView) {
  if (bundle === null) return `no bundle of ${trustDomain} is accepted yet`
  if (bundle.firstAuthorityEndsAt !== null) return undefined
  const why = healthReason ?? 'none of its X.509 authorities is accepted and valid now'
  return `the bundle of ${trustDomain} (${sequenceText(bundle)}) authenticates nobody: ${why}`
}

function bundleText({ trustDomain, bundle, source, health, healthReason }: RelationshipDomainView) {
  if (bundle === null) return ''
  const { receivedAt, ageSeconds, x509Authorities: count } = bundle
  const authorities = `${count} X.509 ${count === 1 ? 'authority' : 'authorities'}`
  const standing = health === 'ok' ? 'healthy' : `${health}: ${healthReason}`
  return `bundle of ${trustDomain}, ${sequenceText(bundle)}, received ${receivedAt}, confirmed ${ageText(ageSeconds)} ago (${source}), ${authorities}, ${standing}`
}

function sequenceText({ sequence }: NonNullable<RelationshipDomainView['bundle']>): string {
  return sequence === null ? 'without a sequence' : `sequence ${sequence}`
}

function ageText(seconds: number): string {
  if (seconds < 120) return `${seconds} s`
  return seconds < 7200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`
}
