import type { AuthorityKind, AuthorityState } from '../db/schema.ts'

/** The facts of one authority that its lifecycle depends on; no key material. */
export interface Authority {
  readonly id: string
  readonly kind: AuthorityKind
  /** The cluster that an intermediate signs for. */
  readonly cluster: string | undefined
  /** The root that signed an intermediate. */
  readonly parentId: string | undefined
  readonly state: AuthorityState
  readonly notBefore: Date
  readonly notAfter: Date
  readonly publishedAt: Date | undefined
  readonly publishedSequence: bigint | undefined
  /** Fixed when it retires: from then on nothing signed under it is still in use. */
  readonly removeAt: Date | undefined
  /** Whether its private key is still kept. */
  readonly hasKey: boolean
  /** An intermediate that signs endpoint SVIDs only, until its root leaves. */
  readonly endpointOnly: boolean
}

/** A place that needs exactly one active authority: the root, the JWT key, one intermediate per cluster. */
export interface Slot {
  readonly kind: AuthorityKind
  readonly cluster: string | undefined
}

/** Whether an authority fills a slot. */
export function fills(slot: Slot, authority: Authority): boolean {
  return authority.kind === slot.kind && authority.cluster === slot.cluster
}

/** Whether an authority can still sign at a moment: it has its key and its own end lies ahead. */
export function canSign(authority: Authority, now: Date): boolean {
  return authority.hasKey && authority.notAfter > now
}

/** Whether this kind stands in the published bundle; intermediates travel in the chain instead. */
export function isPublishedKind(kind: AuthorityKind): boolean {
  return kind !== 'x509_intermediate'
}
