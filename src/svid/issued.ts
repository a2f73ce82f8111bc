import { createHash } from 'node:crypto'
import { type MeshId } from '../db/ids.ts'
import { type AuthorityState } from '../db/schema.ts'
import { type MeshSettings } from '../mesh/settings.ts'
import { type Entry } from '../registry/entry.ts'
import { type SpiffeId } from '../spiffe/spiffe-id.ts'
import { type TrustDomain } from '../spiffe/trust-domain.ts'

/** What we keep of every SVID that was handed out. */
export interface IssuedSvid {
  readonly meshId: MeshId
  readonly trustDomain: TrustDomain
  readonly kind: 'x509' | 'jwt'
  /** Lower-case hex serial number, or the `jti` of a JWT-SVID. */
  readonly serial: string
  readonly spiffeId: SpiffeId
  readonly entryId: string
  /** SHA-256 of the SubjectPublicKeyInfo; JWT-SVIDs have no key. */
  readonly publicKeySha256: Uint8Array | undefined
  readonly authorityId: string
  readonly notAfter: Date
  /** When its line began with something other than an SVID. */
  readonly firstAttestedAt: Date
  /** Our bundle that was handed out with it. */
  readonly bundleSequence: bigint
  /** When its holder asks for a newer bundle at the latest. */
  readonly refreshAt: Date
  readonly issuedAt: Date
}

/** An SVID of ours as its record has it, with all that its renewal depends on. */
export interface IssuedRecord {
  readonly spiffeId: SpiffeId
  readonly publicKeySha256: Uint8Array | undefined
  readonly firstAttestedAt: Date
  readonly authorityState: AuthorityState | undefined
  readonly issuer: 'managed' | 'observed'
  readonly settings: MeshSettings
  /** Undefined once it was deleted. */
  readonly entry: Entry | undefined
}

/** The UTC day on which an SVID ends, by which its record is partitioned. */
export function endDayOf(notAfter: Date): string {
  return notAfter.toISOString().slice(0, 10)
}

/**
 * SHA-256 over the records of one batch, one line of JSON each in the order of their serials; the audit log holds
 * it, so that records changed or removed later can be told.
 */
export function digestOf(issued: readonly IssuedSvid[]): string {
  const lines = issued.map((svid) =>
    JSON.stringify([
      svid.serial,
      svid.kind,
      svid.spiffeId,
      svid.entryId,
      svid.authorityId,
      svid.publicKeySha256 === undefined ? null : Buffer.from(svid.publicKeySha256).toString('hex'),
      svid.notAfter.toISOString(),
    ]),
  )
  return createHash('sha256').update(lines.toSorted().join('\n')).digest('hex')
}
