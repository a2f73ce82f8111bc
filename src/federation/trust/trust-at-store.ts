import { type Selectable, sql } from 'kysely'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type TrustSpanTable } from '../../db/schema-trust.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { type AuthorityFacts } from './authority-facts.ts'
import { type VerifiedBy } from '../peer-bundle/revision-store.ts'
import { type SpanRevision, type TrustedPart, type TrustEvent } from './trust-store.ts'

/** A span that covers a moment at which its key was not distrusted. */
export interface TrustSpan extends TrustedPart {
  readonly id: string
  readonly relationshipId: string
  readonly relationship: string
  readonly begun: TrustEvent
  /** What this service published, for a peer of this service. */
  readonly published: { readonly sequence: bigint; readonly digest: Uint8Array } | undefined
  /** When a distrust of its key was last lifted before that moment, within the span, and by whom. */
  readonly lifted: Pick<TrustEvent, 'actor' | 'at'> | undefined
}

interface SpanRow extends Selectable<TrustSpanTable> {
  lifted_at: Date | null
  lifted_by: string | null
}

/** A page of spans, by trust domain and id. */
export interface SpanPage {
  readonly at: Date
  readonly after: { readonly trustDomain: string; readonly id: string } | undefined
  readonly trustDomain: TrustDomain | undefined
  readonly limit: number
}

/**
 * The spans that cover a moment, without keys that were distrusted or our own then. A span covers its beginning, not
 * its end.
 */
export async function listSpansAt(
  db: Db,
  meshId: MeshId,
  { at, after, trustDomain, limit }: SpanPage,
): Promise<TrustSpan[]> {
  const isAfter =
    after === undefined
      ? sql`true`
      : sql`(s.trust_domain, s.id) > (${after.trustDomain}, ${after.id}::uuid)`
  const isDomain = trustDomain === undefined ? sql`true` : sql`s.trust_domain = ${trustDomain}`
  const { rows } = await sql<SpanRow>`
    select s.*, k.lifted_at, k.lifted_by
    from trust_span s
    left join lateral (
      select d.lifted_at, d.lifted_by from distrusted_key d
      where d.mesh_id = s.mesh_id and d.public_key_sha256 = s.public_key_sha256
        and d.lifted_at <= ${at} and d.lifted_at > s.from_at
      order by d.lifted_at desc limit 1
    ) as k on true
    where s.mesh_id = ${meshId} and s.from_at <= ${at} and (s.until_at is null or s.until_at > ${at})
      and ${isAfter} and ${isDomain}
      and not exists (
        select 1 from distrusted_key d
        where d.mesh_id = s.mesh_id and d.public_key_sha256 = s.public_key_sha256
          and d.since <= ${at} and (d.lifted_at is null or d.lifted_at > ${at})
      )
      and not exists (
        select 1 from authority a
        where a.mesh_id = s.mesh_id and sha256(a.public_key) = s.public_key_sha256
          and a.prepared_at <= ${at}
      )
    order by s.trust_domain, s.id limit ${limit}`.execute(db)
  return rows.map(spanOf)
}

function spanOf(row: SpanRow): TrustSpan {
  return {
    id: row.id,
    relationshipId: row.relationship_id,
    relationship: row.relationship,
    trustDomain: row.trust_domain,
    authority: authorityOf(row),
    revision: revisionOf(row),
    published: publishedOf(row),
    begun: { event: row.from_event, actor: row.from_actor, at: row.from_at },
    lifted:
      row.lifted_at === null || row.lifted_by === null
        ? undefined
        : { at: row.lifted_at, actor: row.lifted_by },
  }
}

function publishedOf({ revision_n: n, sequence, digest }: SpanRow): TrustSpan['published'] {
  if (n !== null || sequence === null || digest === null) return undefined
  return { sequence: BigInt(sequence), digest }
}

function authorityOf(row: SpanRow): AuthorityFacts | undefined {
  if (row.kind === 'local') return undefined
  return {
    kind: row.kind,
    publicKeySha256: hexOf(row.public_key_sha256) ?? '',
    certificateSha256: hexOf(row.certificate_sha256),
    subject: row.subject ?? undefined,
    kid: row.kid ?? undefined,
    notBefore: row.not_before ?? undefined,
    notAfter: row.not_after ?? undefined,
  }
}

function revisionOf(row: SpanRow): SpanRevision | undefined {
  if (row.revision_n === null || row.digest === null || row.origin === null) return undefined
  return {
    n: row.revision_n,
    sequence: row.sequence === null ? undefined : BigInt(row.sequence),
    digest: row.digest,
    origin: row.origin,
    verifiedBy: row.verified_by as VerifiedBy,
    decided: row.approved_by === null ? undefined : { by: row.approved_by, at: row.from_at },
  }
}

/** Since when a mesh's history of trust is whole. */
export async function completeSince(db: Db, meshId: MeshId): Promise<Date | undefined> {
  const row = await db
    .selectFrom('mesh as m')
    .leftJoin('trust_history as h', 'h.mesh_id', 'm.mesh_id')
    .select(['m.created_at', 'h.complete_since'])
    .where('m.mesh_id', '=', meshId)
    .executeTakeFirst()
  return row?.complete_since ?? row?.created_at
}

/** A key that a mesh trusted of no peer at a moment, or that was distrusted until shortly before. */
export interface KeyStanding {
  readonly isTrusted: boolean
  readonly lifted: Pick<TrustEvent, 'actor' | 'at'> | undefined
}

interface KeyRow {
  digest: string
  lifted_at: Date | null
  lifted_by: string | null
}

/** The keys that a mesh had distrusted by a moment, or that were its own, by digest; all others are trusted. */
export async function keysAt(
  db: Db,
  meshId: MeshId,
  at: Date,
): Promise<ReadonlyMap<string, KeyStanding>> {
  const { rows } = await sql<KeyRow>`
    select encode(public_key_sha256, 'hex') as digest,
      case when lifted_at <= ${at} then lifted_at end as lifted_at, lifted_by
    from distrusted_key where mesh_id = ${meshId} and since <= ${at}
    union all
    select encode(sha256(public_key), 'hex'), null, null
    from authority where mesh_id = ${meshId} and prepared_at <= ${at}
    order by lifted_at nulls last`.execute(db)
  return new Map(
    rows.map(({ digest, lifted_at: liftedAt, lifted_by: actor }) => [
      digest,
      {
        isTrusted: liftedAt !== null,
        lifted: liftedAt === null || actor === null ? undefined : { at: liftedAt, actor },
      },
    ]),
  )
}

/** The mesh of this service that has a trust domain. */
export async function findMeshOf(db: Db, trustDomain: TrustDomain): Promise<MeshId | undefined> {
  const row = await db
    .selectFrom('trust_domain')
    .select('mesh_id')
    .where('name', '=', trustDomain)
    .executeTakeFirst()
  return row?.mesh_id
}

function hexOf(bytes: Uint8Array | null): string | undefined {
  return bytes === null ? undefined : Buffer.from(bytes).toString('hex')
}
