import type { MeshId } from '../db/ids.ts'
import type { AuthorityKind, AuthorityState } from '../db/schema.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'

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
  readonly preparedAt: Date
  readonly publishedAt: Date | undefined
  readonly publishedSequence: bigint | undefined
  /** Fixed when it retires: from then on nothing signed under it is still in use. */
  readonly removeAt: Date | undefined
  /** Whether its private key is still kept. */
  readonly hasKey: boolean
  /** An intermediate that signs endpoint SVIDs only, until its root leaves. */
  readonly endpointOnly: boolean
}

/** One authority as it is kept. */
export interface StoredAuthority extends Authority {
  readonly meshId: MeshId
  readonly trustDomain: TrustDomain
  /** DER of a CA certificate; undefined for JWT keys. */
  readonly certificate: Uint8Array | undefined
  /** DER SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array
  /** RFC 7638 thumbprint; the `kid` of JWT keys. */
  readonly keyId: string
  readonly activatedAt: Date | undefined
  readonly retiredAt: Date | undefined
  readonly removedAt: Date | undefined
  /** Activated at the deadline, or by a person, although a condition did not hold. */
  readonly forced: boolean
}

/** A place that needs exactly one active authority: the root, the JWT key, one intermediate per cluster. */
export interface Slot {
  readonly kind: AuthorityKind
  readonly cluster: string | undefined
}

/** Whether an authority fills a slot. */
export function fills(slot: Slot, authority: Slot): boolean {
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

/** An authority in words, for messages and audit objects: `authority/acme.example/x509_root/<id>`. */
export function objectOf(authority: Pick<StoredAuthority, 'trustDomain' | 'kind' | 'id'>): string {
  return `authority/${authority.trustDomain}/${authority.kind}/${authority.id}`
}
