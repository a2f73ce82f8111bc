import { createHash } from 'node:crypto'
import { type ChangePolicy, type RevisionOrigin } from '../../db/schema.ts'
import { ServiceError } from '../../errors.ts'
import { checkAuthorities } from '../../pki/authorities.ts'
import { type Bundle, parseBundle, type SkippedKey, writeBundle } from '../../spiffe/bundle.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { judgeChange } from './change-policy.ts'
import { distrustWarnings, type KeyDigests } from '../trust/effective-bundle.ts'

/**
 * Most authorities of one document. Reading each costs a public-key operation, so that a full 1 MiB of them would
 * hold up everything else for a second or more; real bundles have a handful.
 */
export const MAX_AUTHORITIES = 2000

/** A document read as the bundle of a domain: what of it is used, and what was skipped. */
export interface ReadDocument {
  readonly document: Uint8Array
  readonly bundle: Bundle
  readonly skipped: readonly SkippedKey[]
  /**
   * SHA-256 over the canonical form of what is used: peers such as SPIRE write the same bundle with its keys
   * in another order each time, and that is no change.
   */
  readonly digest: Uint8Array
}

/** The stored bundle that is in use. */
export interface BundleInUse {
  readonly digest: Uint8Array
  readonly origin: RevisionOrigin
}

/** The newest document that was fetched, whatever became of it; one set by hand has no say in ordering (FE-38). */
export interface NewestFetched {
  readonly digest: Uint8Array
  readonly sequence: bigint | undefined
}

/** A document that was held back before: it waits for a person, or a person rejected it. */
export type HeldBefore = 'waiting' | 'rejected'

/** What a fetched document is judged against. */
export interface Ingestion {
  readonly policy: ChangePolicy
  readonly inUse: BundleInUse | undefined
  /** The bundle in use, read; policy `auto` does not look at it. */
  readonly held: Bundle | undefined
  readonly newestFetched: NewestFetched | undefined
  /** Keys that the mesh trusts nowhere: in whatever document they come, they are not used. */
  readonly distrusted: KeyDigests
  /** What became of this very document when it was fetched before. */
  readonly before: HeldBefore | undefined
  /** An operator's word for this one fetch: take the document although its sequence went back. */
  readonly acceptLowerSequence: boolean
}

/** What becomes of a fetched document. */
export type Verdict =
  | { readonly kind: 'unchanged'; readonly read: ReadDocument }
  | { readonly kind: 'accepted'; readonly read: ReadDocument; readonly warnings: readonly string[] }
  | Held

/** A document of which nothing is used before a person approves it. */
export interface Held {
  readonly kind: 'held'
  readonly read: ReadDocument
  readonly warnings: readonly string[]
  readonly reason: string
  /** What stays of the bundle in use; undefined when all of it does. */
  readonly reduced: Bundle | undefined
  /** Undefined for one that must be stored. */
  readonly before: HeldBefore | undefined
}

/**
 * Reads a document as the bundle of a domain: size, UTF-8, JSON without duplicate keys, shape (BU-12), then
 * each authority by itself (BU-11, BU-13). Throws BUNDLE_MALFORMED when it is no bundle.
 */
export function readDocument(trustDomain: TrustDomain, document: Uint8Array): ReadDocument {
  const parsed = parseBundle(trustDomain, document)
  refuseTooMany(parsed.bundle)
  const { bundle, skipped } = checkAuthorities(parsed.bundle, parsed.skipped)
  const digest = createHash('sha256').update(writeBundle(bundle)).digest()
  return { document, bundle, skipped, digest: new Uint8Array(digest) }
}

function refuseTooMany({ trustDomain, x509Authorities, jwtAuthorities }: Bundle): void {
  const count = x509Authorities.length + jwtAuthorities.length
  if (count <= MAX_AUTHORITIES) return
  const found = `has ${count} authorities, at most ${MAX_AUTHORITIES} are allowed`
  throw new ServiceError('BUNDLE_MALFORMED', `bundle of "${trustDomain}" ${found}`)
}

/**
 * Judges a fetched document whose shape and authorities were read: sequence, then change policy.
 *
 * Authorities that it no longer has are gone at once under every policy, up to all of them (BU-15, BU-17); what a
 * policy holds back are additions. Throws BUNDLE_SEQUENCE_REGRESSED for a document older than the newest one fetched
 * (FE-37), which leaves the stored bundle as it is.
 */
export function decideRead(read: ReadDocument, ingestion: Ingestion): Verdict {
  const { policy, inUse, held, newestFetched, distrusted } = ingestion
  if (inUse?.origin === 'fetched' && isSame(inUse.digest, read.digest))
    return { kind: 'unchanged', read }
  const ordered = newestFetched === undefined ? [] : orderWarnings(read, newestFetched, ingestion)
  const refused = distrustWarnings(read.bundle, distrusted)
  const warnings = [...ordered, ...refused, ...skipWarnings(read)]
  const verdict = judgeChange({ policy, held, offered: read.bundle, distrusted })
  if (verdict.kind === 'take') return { kind: 'accepted', read, warnings }
  const { reason, reduced } = verdict
  return { kind: 'held', read, warnings, reason, reduced, before: ingestion.before }
}

function orderWarnings(
  { bundle, digest }: ReadDocument,
  newest: NewestFetched,
  { acceptLowerSequence }: Ingestion,
): string[] {
  const { trustDomain, sequence } = bundle
  if (newest.sequence === undefined) return []
  if (sequence === undefined) {
    return [`bundle of ${trustDomain} no longer carries a sequence; it was ${newest.sequence}`]
  }
  if (sequence < newest.sequence) {
    if (!acceptLowerSequence) throw regressed(trustDomain, { sequence, newest: newest.sequence })
    return [
      `sequence of ${trustDomain} went back from ${newest.sequence} to ${sequence}, accepted by hand`,
    ]
  }
  const isRepeated = sequence === newest.sequence && !isSame(digest, newest.digest)
  return isRepeated
    ? [`bundle of ${trustDomain} has other content under the same sequence ${sequence}`]
    : []
}

function skipWarnings({ bundle, skipped }: ReadDocument): string[] {
  return skipped.map(({ index, reason }) => `key ${index} of ${bundle.trustDomain} ${reason}`)
}

function regressed(
  trustDomain: TrustDomain,
  { sequence, newest }: { sequence: bigint; newest: bigint },
): ServiceError {
  return new ServiceError(
    'BUNDLE_SEQUENCE_REGRESSED',
    `bundle of "${trustDomain}" went back from sequence ${newest} to ${sequence}; the stored one stays`,
    {
      next: 'if the peer was restored from a backup, take it once with: entente federation refresh NAME --accept-lower-sequence',
    },
  )
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0
}
