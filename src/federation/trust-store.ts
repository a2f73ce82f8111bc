import { type Insertable, type Selectable, sql } from 'kysely'
import { type MeshId, newId } from '../db/ids.ts'
import { type Db } from '../db/schema.ts'
import { type TrustSpanTable } from '../db/schema-trust.ts'
import { type TrustDomain } from '../spiffe/trust-domain.ts'
import { type AuthorityFacts } from './authority-facts.ts'
import { type Relationship } from './relationship.ts'
import { type PeerRevision, type VerifiedBy } from './revision-store.ts'

/** What happened, by whom and when; `at` is the database's time. */
export interface TrustEvent {
  /** As in the audit log: `peer-bundle.accept`, `relationship.suspend`. */
  readonly event: string
  readonly actor: string
  readonly at: Date
}

/** What of a revision its spans remember. */
export type SpanRevision = Pick<
  PeerRevision,
  'n' | 'sequence' | 'digest' | 'origin' | 'verifiedBy' | 'decided'
>

/** Something that a mesh trusts of a peer's domain: one authority, or whatever a domain of this service publishes. */
export interface TrustedPart {
  readonly trustDomain: TrustDomain
  /** Absent for a domain of this service. */
  readonly authority: AuthorityFacts | undefined
  readonly revision: SpanRevision | undefined
}

/** A span of trust that has not ended. */
export interface OpenSpan {
  readonly id: string
  readonly trustDomain: TrustDomain
  readonly authority:
    Pick<AuthorityFacts, 'kind' | 'publicKeySha256' | 'certificateSha256' | 'kid'> | undefined
}

/** The spans of a relationship that have not ended. */
export async function listOpenSpans(
  trx: Db,
  meshId: MeshId,
  relationshipId: string,
): Promise<OpenSpan[]> {
  const rows = await trx
    .selectFrom('trust_span')
    .select(['id', 'trust_domain', 'kind', 'public_key_sha256', 'certificate_sha256', 'kid'])
    .where('mesh_id', '=', meshId)
    .where('relationship_id', '=', relationshipId)
    .where('until_at', 'is', null)
    .execute()
  return rows.map((row) => ({
    id: row.id,
    trustDomain: row.trust_domain,
    authority:
      row.kind === 'local'
        ? undefined
        : {
            kind: row.kind,
            publicKeySha256: hexOf(row.public_key_sha256) ?? '',
            certificateSha256: hexOf(row.certificate_sha256),
            kid: row.kid ?? undefined,
          },
  }))
}

/** Ends spans; none ends before it began, should two moments be read in another order than they are written. */
export async function endSpans(
  trx: Db,
  meshId: MeshId,
  { ids, ended }: { readonly ids: readonly string[]; readonly ended: TrustEvent },
): Promise<void> {
  if (ids.length === 0) return
  await trx
    .updateTable('trust_span')
    .set({
      until_at: sql<Date>`greatest(from_at, ${ended.at}::timestamptz)`,
      until_event: ended.event,
      until_actor: ended.actor,
    })
    .where('mesh_id', '=', meshId)
    .where('id', 'in', ids)
    .execute()
}

/** Spans per statement; far below the limit of 65,535 parameters. */
const BATCH = 500

/** Begins spans of a relationship. */
export async function insertSpans(
  trx: Db,
  relationship: Relationship,
  { parts, begun }: { readonly parts: readonly TrustedPart[]; readonly begun: TrustEvent },
): Promise<void> {
  for (let first = 0; first < parts.length; first += BATCH) {
    const rows = parts
      .slice(first, first + BATCH)
      .map((part) => spanRow(relationship, { part, begun }))
    await trx.insertInto('trust_span').values(rows).execute()
  }
}

function spanRow(
  { meshId, id, name }: Relationship,
  { part, begun }: { readonly part: TrustedPart; readonly begun: TrustEvent },
): Insertable<TrustSpanTable> {
  return {
    mesh_id: meshId,
    id: newId(),
    relationship_id: id,
    relationship: name,
    trust_domain: part.trustDomain,
    ...(part.authority === undefined ? LOCAL : authorityColumns(part.authority)),
    ...(part.revision === undefined ? NO_REVISION : revisionColumns(part.revision)),
    from_at: begun.at,
    from_event: begun.event,
    from_actor: begun.actor,
    until_at: null,
    until_event: null,
    until_actor: null,
  }
}

const LOCAL = {
  kind: 'local',
  public_key_sha256: null,
  certificate_sha256: null,
  subject: null,
  kid: null,
  not_before: null,
  not_after: null,
} as const

const NO_REVISION = {
  revision_n: null,
  sequence: null,
  digest: null,
  origin: null,
  verified_by: null,
  approved_by: null,
} as const

function authorityColumns(authority: AuthorityFacts) {
  return {
    kind: authority.kind,
    public_key_sha256: bytesOf(authority.publicKeySha256),
    certificate_sha256: bytesOf(authority.certificateSha256),
    subject: authority.subject ?? null,
    kid: authority.kid ?? null,
    not_before: authority.notBefore ?? null,
    not_after: authority.notAfter ?? null,
  }
}

function revisionColumns(revision: SpanRevision) {
  return {
    revision_n: revision.n,
    sequence: revision.sequence?.toString() ?? null,
    digest: revision.digest,
    origin: revision.origin,
    verified_by: JSON.stringify(revision.verifiedBy),
    approved_by: revision.decided?.by ?? null,
  }
}

/** A span that covers a moment at which its key was not distrusted. */
export interface TrustSpan extends TrustedPart {
  readonly id: string
  readonly relationshipId: string
  readonly relationship: string
  readonly begun: TrustEvent
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

/** The spans that cover a moment, without keys that were distrusted then. A span covers its beginning, not its end. */
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
    begun: { event: row.from_event, actor: row.from_actor, at: row.from_at },
    lifted:
      row.lifted_at === null || row.lifted_by === null
        ? undefined
        : { at: row.lifted_at, actor: row.lifted_by },
  }
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

function bytesOf(hex: string | undefined): Uint8Array | null {
  return hex === undefined ? null : Buffer.from(hex, 'hex')
}

function hexOf(bytes: Uint8Array | null): string | undefined {
  return bytes === null ? undefined : Buffer.from(bytes).toString('hex')
}
