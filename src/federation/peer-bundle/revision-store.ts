import { type ExpressionBuilder, type Selectable } from 'kysely'
import { type MeshId } from '../../db/ids.ts'
import {
  type Db,
  type Disposition,
  type PeerBundleRevisionTable,
  type RevisionOrigin,
  type Tables,
} from '../../db/schema.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'

/** How a document was authenticated: the connection that brought it, or the person who did. */
export type VerifiedBy =
  | {
      readonly how: 'fetch'
      readonly url: string
      readonly redirects: readonly string[]
      readonly address: string | null
      readonly presentedIds: readonly string[]
      readonly chainSha256: string | null
      /** The recovery path that it came by, in words. */
      readonly recovery?: string
    }
  | { readonly how: 'hand'; readonly actor: string; readonly signedBy?: 'recovery-key' | 'svid' }

/** One document of a peer that was stored, whatever became of it. */
export interface PeerRevision {
  /** Our own number within the domain, counting from 1. */
  readonly n: bigint
  readonly sequence: bigint | undefined
  readonly hintSeconds: number | undefined
  readonly document: Uint8Array
  readonly digest: Uint8Array
  readonly receivedAt: Date
  readonly verifiedBy: VerifiedBy
  readonly origin: RevisionOrigin
  readonly disposition: Disposition
  readonly reason: string | undefined
  /** Who approved or rejected it, and when; absent for one that never waited. */
  readonly decided?: { readonly by: string; readonly at: Date } | undefined
  /** When it ceased to be the one in use. */
  readonly retiredAt?: Date | undefined
}

/** One domain of one relationship. */
export interface DomainKey {
  readonly relationshipId: string
  readonly trustDomain: TrustDomain
}

/** The columns of a {@link PeerRevision}. */
export const REVISION = [
  'n',
  'sequence',
  'refresh_hint_seconds',
  'document',
  'digest',
  'received_at',
  'verified_by',
  'origin',
  'disposition',
  'reason',
  'decided_at',
  'decided_by',
  'retired_at',
] as const

/** The columns of a {@link RevisionHead}. */
export const HEAD = [
  'relationship_id',
  'trust_domain',
  'n',
  'sequence',
  'refresh_hint_seconds',
  'digest',
  'received_at',
  'origin',
  'disposition',
  'reason',
  'decided_at',
  'decided_by',
  'retired_at',
] as const

/** Stores a revision; the one in use before must have been retired. */
export async function insertRevision(
  trx: Db,
  meshId: MeshId,
  { key, revision }: { readonly key: DomainKey; readonly revision: PeerRevision },
): Promise<void> {
  await trx
    .insertInto('peer_bundle_revision')
    .values({
      mesh_id: meshId,
      relationship_id: key.relationshipId,
      trust_domain: key.trustDomain,
      n: revision.n,
      sequence: revision.sequence?.toString() ?? null,
      refresh_hint_seconds: revision.hintSeconds ?? null,
      document: revision.document,
      digest: revision.digest,
      received_at: revision.receivedAt,
      verified_by: JSON.stringify(revision.verifiedBy),
      origin: revision.origin,
      disposition: revision.disposition,
      reason: revision.reason ?? null,
      decided_at: null,
      decided_by: null,
      retired_at: null,
    })
    .execute()
}

/** Takes the revision in use out of use, as superseded by a newer one or removed with its relationship. */
export async function retireCurrent(
  trx: Db,
  meshId: MeshId,
  {
    key,
    to,
    at,
  }: { readonly key: DomainKey; readonly to: 'superseded' | 'removed'; readonly at: Date },
): Promise<void> {
  await trx
    .updateTable('peer_bundle_revision')
    .set({ disposition: to, retired_at: at })
    .where(ofKey(meshId, key))
    .where('disposition', '=', 'current')
    .execute()
}

/** The revision in use. */
export async function findCurrent(
  db: Db,
  meshId: MeshId,
  key: DomainKey,
): Promise<PeerRevision | undefined> {
  const row = await ofDomain(db, meshId, key)
    .where('disposition', '=', 'current')
    .executeTakeFirst()
  return row === undefined ? undefined : revisionOf(row)
}

/** The revision of this number. */
export async function findRevision(
  db: Db,
  meshId: MeshId,
  { key, n }: { readonly key: DomainKey; readonly n: bigint },
): Promise<PeerRevision | undefined> {
  const row = await ofDomain(db, meshId, key).where('n', '=', n).executeTakeFirst()
  return row === undefined ? undefined : revisionOf(row)
}

/** What lists show of a revision in use. */
export interface RevisionHead extends DomainKey, Omit<PeerRevision, 'document' | 'verifiedBy'> {}

/** The revisions in use of these relationships, without their documents. */
export async function listCurrentHeads(
  db: Db,
  meshId: MeshId,
  relationshipIds: readonly string[],
): Promise<RevisionHead[]> {
  if (relationshipIds.length === 0) return []
  const rows = await db
    .selectFrom('peer_bundle_revision')
    .select(HEAD)
    .where('mesh_id', '=', meshId)
    .where('relationship_id', 'in', relationshipIds)
    .where('disposition', '=', 'current')
    .execute()
  return rows.map(headOf)
}

/** The number for the next revision of a domain. */
export async function nextNumber(trx: Db, meshId: MeshId, key: DomainKey): Promise<bigint> {
  const row = await trx
    .selectFrom('peer_bundle_revision')
    .select((eb) => eb.fn.max('n').as('newest'))
    .where(ofKey(meshId, key))
    .executeTakeFirst()
  return (row?.newest ?? 0n) + 1n
}

/** The newest document that a fetch or a signature proved, whatever became of it. */
export async function findNewestVerified(
  db: Db,
  meshId: MeshId,
  key: DomainKey,
): Promise<Pick<PeerRevision, 'sequence'> | undefined> {
  const row = await ofDomain(db, meshId, key)
    .where('origin', 'in', ['fetched', 'signed'])
    .where('sequence', 'is not', null)
    .orderBy('sequence', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row === undefined ? undefined : revisionOf(row)
}

/** The domains of a relationship of which a fetched or signed document was ever accepted. */
export async function fetchedDomains(
  db: Db,
  meshId: MeshId,
  relationshipId: string,
): Promise<Set<TrustDomain>> {
  const rows = await db
    .selectFrom('peer_bundle_revision')
    .select('trust_domain')
    .distinct()
    .where('mesh_id', '=', meshId)
    .where('relationship_id', '=', relationshipId)
    .where('origin', 'in', ['fetched', 'signed'])
    .where('disposition', 'not in', ['quarantined', 'rejected'])
    .execute()
  return new Set(rows.map((row) => row.trust_domain))
}

/** The condition that a revision is of this domain of this relationship, for `where` of a select or an update. */
export function ofKey(meshId: MeshId, { relationshipId, trustDomain }: DomainKey) {
  return (eb: ExpressionBuilder<Tables, 'peer_bundle_revision'>) =>
    eb.and({ mesh_id: meshId, relationship_id: relationshipId, trust_domain: trustDomain })
}

/** A query for revisions of one domain, whole. */
export function ofDomain(db: Db, meshId: MeshId, key: DomainKey) {
  return db.selectFrom('peer_bundle_revision').select(REVISION).where(ofKey(meshId, key))
}

/** The head in a row of {@link HEAD}. */
export function headOf(
  row: Pick<Selectable<PeerBundleRevisionTable>, (typeof HEAD)[number]>,
): RevisionHead {
  return {
    relationshipId: row.relationship_id,
    trustDomain: row.trust_domain,
    n: row.n,
    sequence: sequenceOf(row),
    hintSeconds: row.refresh_hint_seconds ?? undefined,
    digest: row.digest,
    receivedAt: row.received_at,
    origin: row.origin,
    disposition: row.disposition,
    reason: row.reason ?? undefined,
    ...decisionOf(row),
  }
}

/** The revision in a row of {@link ofDomain}. */
export function revisionOf(
  row: Pick<Selectable<PeerBundleRevisionTable>, (typeof REVISION)[number]>,
): PeerRevision {
  return {
    n: row.n,
    sequence: sequenceOf(row),
    hintSeconds: row.refresh_hint_seconds ?? undefined,
    document: row.document,
    digest: row.digest,
    receivedAt: row.received_at,
    verifiedBy: row.verified_by as VerifiedBy,
    origin: row.origin,
    disposition: row.disposition,
    reason: row.reason ?? undefined,
    ...decisionOf(row),
  }
}

function decisionOf(
  row: Pick<Selectable<PeerBundleRevisionTable>, 'decided_at' | 'decided_by' | 'retired_at'>,
): Pick<PeerRevision, 'decided' | 'retiredAt'> {
  const { decided_at: at, decided_by: by } = row
  return {
    decided: at === null || by === null ? undefined : { at, by },
    retiredAt: row.retired_at ?? undefined,
  }
}

/** The sequence in a row. */
export function sequenceOf({ sequence }: { readonly sequence: string | null }): bigint | undefined {
  return sequence === null ? undefined : BigInt(sequence)
}
