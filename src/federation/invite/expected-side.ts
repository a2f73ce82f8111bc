import { quoted, ServiceError } from '../../errors.ts'
import { trustDomainOf } from '../../spiffe/spiffe-id.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { type FirstBundle } from '../peer-bundle/insert-given.ts'
import { bundleFingerprint } from './fingerprint.ts'
import { type StoredInvite } from './invite-store.ts'
import { type PeerSide } from './peer-side.ts'

/** Whom an invite is for. */
type Expected = Pick<StoredInvite, 'expectedTrustDomain' | 'expectedFingerprint'>

/**
 * Refuses a side that is not whom the invite is for. The first domain is the one whose endpoint signs the handshake, so
 * only that one is bound by it: it must be the expected domain, its endpoint in itself, its keys those expected.
 *
 * Throws INVITE_REFUSED.
 */
export function refuseUnexpected(
  { expectedTrustDomain: expected, expectedFingerprint }: Expected,
  { domains }: PeerSide,
): void {
  if (expected === undefined) return
  const [first] = domains
  if (first?.trustDomain !== expected) {
    const found = domains.map(({ trustDomain }) => trustDomain).join(', ')
    throw refused(`it is for ${expected}, and ${found} answered`)
  }
  if (first.endpointId !== undefined && trustDomainOf(first.endpointId) !== expected) {
    throw refused(
      `it is for ${expected}, and the endpoint ID ${quoted(first.endpointId)} is of another trust domain`,
    )
  }
  if (expectedFingerprint === undefined) return
  if (bundleFingerprint(first.read.bundle) === expectedFingerprint) return
  throw refused(`it is for a bundle of ${expected} with another fingerprint`)
}

/**
 * Refuses a fetched bundle, which is what is stored, with other keys than the invite expects: an endpoint may serve a
 * newer one than was sent along. Throws INVITE_REFUSED.
 */
export function refuseUnexpectedBundle(
  { expectedTrustDomain: expected, expectedFingerprint }: Expected,
  fetched: ReadonlyMap<TrustDomain, FirstBundle>,
): void {
  if (expected === undefined || expectedFingerprint === undefined) return
  const bundle = fetched.get(expected)?.read.bundle
  if (bundle !== undefined && bundleFingerprint(bundle) === expectedFingerprint) return
  throw refused(
    `it is for a bundle of ${expected} with another fingerprint than the one that its endpoint serves`,
  )
}

/**
 * Why consent that was given with an invite does not count for who used it; undefined when it does, and for an open
 * invite. It was given for one domain: others that came along were named by nobody here.
 */
export function whyNotConsented(
  { expectedTrustDomain: expected }: Pick<Expected, 'expectedTrustDomain'>,
  domains: readonly TrustDomain[],
): string | undefined {
  if (expected === undefined) return undefined
  const others = domains.filter((trustDomain) => trustDomain !== expected)
  if (others.length === 0) return undefined
  return `the invite gave consent for ${expected} alone, and ${others.join(', ')} came along: look at all of them, then approve`
}

/** A handshake that an invite cannot be used with. */
export function refused(why: string, cause?: unknown): ServiceError {
  return new ServiceError('INVITE_REFUSED', `this invite cannot be used so: ${why}`, { cause })
}
