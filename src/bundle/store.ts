import type { Selectable } from 'kysely'
import type { MeshId } from '../db/ids.ts'
import type { BundleRevisionTable, Db } from '../db/schema.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import type { BundleRevision, BundleRevisionHead } from './revision.ts'

const HEAD = [
  'mesh_id',
  'trust_domain',
  'sequence',
  'digest',
  'hint_seconds',
  'cause',
  'created_at',
] as const
const REVISION = [...HEAD, 'document'] as const

/** The newest revision of a trust domain's bundle. */
export async function findCurrent(
  db: Db,
  meshId: MeshId,
  trustDomain: TrustDomain,
): Promise<BundleRevision | undefined> {
  const row = await db
    .selectFrom('bundle_revision')
    .select(REVISION)
    .where('mesh_id', '=', meshId)
    .where('trust_domain', '=', trustDomain)
    .orderBy('sequence', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row === undefined ? undefined : revisionOf(row)
}

/** The newest revision of every trust domain, of one mesh or of the service. */
export async function listCurrent(db: Db, meshId?: MeshId): Promise<BundleRevision[]> {
  let query = db
    .selectFrom('bundle_revision')
    .distinctOn(['mesh_id', 'trust_domain'])
    .select(REVISION)
    .orderBy('mesh_id')
    .orderBy('trust_domain')
    .orderBy('sequence', 'desc')
  if (meshId !== undefined) query = query.where('mesh_id', '=', meshId)
  return (await query.execute()).map(revisionOf)
}

/** The newest revision of the trust domain of this name, whichever mesh has it. */
export async function findCurrentByName(
  db: Db,
  trustDomain: TrustDomain,
): Promise<BundleRevision | undefined> {
  const domain = await db
    .selectFrom('trust_domain')
    .select('mesh_id')
    .where('name', '=', trustDomain)
    .executeTakeFirst()
  return domain === undefined ? undefined : findCurrent(db, domain.mesh_id, trustDomain)
}

/** Appends a revision. */
export async function insertRevision(trx: Db, revision: BundleRevision): Promise<void> {
  await trx
    .insertInto('bundle_revision')
    .values({
      mesh_id: revision.meshId,
      trust_domain: revision.trustDomain,
      sequence: revision.sequence,
      document: revision.document,
      digest: revision.digest,
      hint_seconds: revision.hintSeconds,
      cause: revision.cause,
      created_at: revision.createdAt,
    })
    .execute()
}

/** Revisions of a bundle, the newest first, below sequence `before` when given. */
export async function listRevisions(
  db: Db,
  meshId: MeshId,
  page: {
    readonly trustDomain: TrustDomain
    readonly before?: bigint | undefined
    readonly limit: number
  },
): Promise<BundleRevisionHead[]> {
  let query = db
    .selectFrom('bundle_revision')
    .select(HEAD)
    .where('mesh_id', '=', meshId)
    .where('trust_domain', '=', page.trustDomain)
    .orderBy('sequence', 'desc')
    .limit(page.limit)
  if (page.before !== undefined) query = query.where('sequence', '<', page.before)
  return (await query.execute()).map(headOf)
}

/** Revisions of a bundle that were published at a moment or before, with documents, the newest first. */
export async function listPublishedUntil(
  db: Db,
  meshId: MeshId,
  page: {
    readonly trustDomain: TrustDomain
    readonly at: Date
    /** Below this sequence when given. */
    readonly before?: bigint | undefined
    readonly limit: number
  },
): Promise<BundleRevision[]> {
  let query = db
    .selectFrom('bundle_revision')
    .select(REVISION)
    .where('mesh_id', '=', meshId)
    .where('trust_domain', '=', page.trustDomain)
    .where('created_at', '<=', page.at)
    .orderBy('sequence', 'desc')
    .limit(page.limit)
  if (page.before !== undefined) query = query.where('sequence', '<', page.before)
  return (await query.execute()).map(revisionOf)
}

/** One revision of a bundle. */
export async function findRevision(
  db: Db,
  meshId: MeshId,
  key: { readonly trustDomain: TrustDomain; readonly sequence: bigint },
): Promise<BundleRevision | undefined> {
  const row = await db
    .selectFrom('bundle_revision')
    .select(REVISION)
    .where('mesh_id', '=', meshId)
    .where('trust_domain', '=', key.trustDomain)
    .where('sequence', '=', key.sequence)
    .executeTakeFirst()
  return row === undefined ? undefined : revisionOf(row)
}

/** The largest refresh hint that a bundle advertised at any moment since `since`. */
export async function largestHintSince(
  db: Db,
  meshId: MeshId,
  { trustDomain, since }: { readonly trustDomain: TrustDomain; readonly since: Date },
): Promise<number | undefined> {
  const ofDomain = db
    .selectFrom('bundle_revision')
    .select('hint_seconds')
    .where('mesh_id', '=', meshId)
    .where('trust_domain', '=', trustDomain)
  const within = await ofDomain.where('created_at', '>=', since).execute()
  const standing = await ofDomain
    .where('created_at', '<', since)
    .orderBy('sequence', 'desc')
    .limit(1)
    .execute()
  const hints = [...within, ...standing].map(({ hint_seconds: hint }) => hint)
  return hints.length === 0 ? undefined : Math.max(...hints)
}

function headOf(row: Omit<Selectable<BundleRevisionTable>, 'document'>): BundleRevisionHead {
  return {
    meshId: row.mesh_id,
    trustDomain: row.trust_domain,
    sequence: row.sequence,
    digest: row.digest,
    hintSeconds: row.hint_seconds,
    cause: row.cause,
    createdAt: row.created_at,
  }
}

function revisionOf(row: Selectable<BundleRevisionTable>): BundleRevision {
  return { ...headOf(row), document: row.document }
}
