import { addSeconds } from '../clock.ts'
import { type Db } from '../db/schema.ts'
import { parseMeshId } from '../db/ids.ts'
import { isServiceError, ServiceError } from '../errors.ts'
import { loadMesh, loadTrustDomain } from '../mesh/find-mesh.ts'
import { type MeshSettings } from '../mesh/settings.ts'
import { type JoinToken, parseJoinToken } from '../pki/join-token.ts'
import { type Entry, isExpired } from '../registry/entry.ts'
import { findUsableToken, type UsableToken } from '../registry/join-tokens.ts'
import { type Caller } from './caller.ts'
import { type IssuedRecord } from './issued.ts'
import { type IssuedReader } from './record-issued.ts'

/** Seconds after its first attestation when a line of renewals ends and fresh evidence is needed: 30 days. */
export const REATTEST_AFTER_SECONDS = 30 * 86_400

/** Somebody who may have an SVID of this entry. */
export interface Admitted {
  readonly entry: Entry
  readonly settings: MeshSettings
  readonly firstAttestedAt: Date
  /** To be used up in the transaction that records the SVID; renewals have none. */
  readonly token: UsableToken | undefined
}

/**
 * Admits by join token, without using it up.
 *
 * A token that is malformed, unknown, used, ended, or whose entry has ended is refused in the same words, so that
 * nobody learns which. Throws EVIDENCE_REFUSED, CONFLICT (a trust domain that another system signs).
 */
export async function admitByToken(db: Db, text: string, now: Date): Promise<Admitted> {
  const parsed = readToken(text)
  const meshId = parseMeshId(parsed.meshId)
  const token = await findUsableToken(db, meshId, { secret: parsed.secret, now })
  if (token === undefined || isExpired(token.entry, now)) throw tokenRefused()
  const { entry } = token
  const { settings } = await loadMesh(db, meshId)
  checkIssuer(await loadTrustDomain(db, meshId, entry.trustDomain), entry)
  return { entry, settings, firstAttestedAt: now, token }
}

/** What renewal by SVID needs. */
export interface RenewalRules {
  readonly reader: Pick<IssuedReader, 'find'>
  readonly reattestAfterSeconds: number
  readonly now: Date
}

/**
 * Admits by the current X509-SVID.
 *
 * Only one that stands in our record with this key, whose authority is neither tainted nor revoked, whose entry
 * still exists and whose line began less than `reattestAfterSeconds` ago. Throws EVIDENCE_REFUSED, CONFLICT.
 */
export async function admitBySvid(caller: Caller, rules: RenewalRules): Promise<Admitted> {
  const { meshId, svid } = caller
  const key = { meshId, serial: svid.serial, notAfter: svid.leaf.notAfter }
  const record = await rules.reader.find(key)
  const entry = checkRecord(record, caller, rules)
  return { ...entry, token: undefined }
}

/** The refusal of every join token that cannot be used, whatever the reason. */
export function tokenRefused(): ServiceError {
  return new ServiceError(
    'EVIDENCE_REFUSED',
    'the join token is not accepted: it is unknown, was used before, or has ended',
    { next: 'entente join-token create --id /PATH' },
  )
}

/** A token that is no token is refused like an unknown one, so that nothing is learned from the difference. */
function readToken(text: string): JoinToken {
  try {
    const token = parseJoinToken(text)
    parseMeshId(token.meshId)
    return token
  } catch (thrown) {
    if (isServiceError(thrown)) throw tokenRefused()
    throw thrown
  }
}

function checkRecord(
  record: IssuedRecord | undefined,
  caller: Caller,
  { reattestAfterSeconds, now }: RenewalRules,
): Omit<Admitted, 'token'> {
  const isOurs = record !== undefined && isSameSvid(record, caller)
  if (!isOurs) throw refused('this SVID is not in our record of issued SVIDs')
  const { entry, authorityState, firstAttestedAt, settings } = record
  if (entry === undefined) throw refused('the entry of this SVID was deleted')
  if (isExpired(entry, now)) throw refused('the entry of this SVID has ended')
  checkIssuer({ issuer: record.issuer, name: entry.trustDomain }, entry)
  if (authorityState === undefined || DISTRUSTED.has(authorityState)) {
    throw refused('the authority that signed this SVID is not trusted any more')
  }
  if (addSeconds(firstAttestedAt, reattestAfterSeconds) <= now) {
    throw refused(`it was first attested at ${firstAttestedAt.toISOString()}, too long ago`)
  }
  return { entry, settings, firstAttestedAt }
}

const DISTRUSTED: ReadonlySet<string> = new Set(['tainted', 'revoked'])

function isSameSvid(record: IssuedRecord, { svid, publicKeySha256 }: Caller): boolean {
  const hash = record.publicKeySha256
  return (
    record.spiffeId === svid.id && hash !== undefined && Buffer.from(hash).equals(publicKeySha256)
  )
}

function checkIssuer(
  { issuer, name }: { readonly issuer: 'managed' | 'observed'; readonly name: string },
  { spiffeId }: Entry,
): void {
  if (issuer === 'managed') return
  throw new ServiceError(
    'CONFLICT',
    `${name} is signed by the system that this service observes; ask it for an SVID of ${spiffeId}`,
  )
}

function refused(why: string): ServiceError {
  return new ServiceError('EVIDENCE_REFUSED', `no renewal: ${why}`, {
    next: 'use a new join token: entente join-token create --id /PATH',
  })
}
