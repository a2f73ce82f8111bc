import { type Insertable, sql } from 'kysely'
import { type BundleRevision } from '../../bundle/revision.ts'
import { type MeshId, newId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type TrustSpanTable } from '../../db/schema-trust.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { type AuthorityFacts } from './authority-facts.ts'
import { type Relationship } from '../relationship.ts'
import { type PeerRevision } from '../peer-bundle/revision-store.ts'

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
  readonly begun: TrustEvent
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
    .select(['from_at', 'from_event', 'from_actor'])
    .where('mesh_id', '=', meshId)
    .where('relationship_id', '=', relationshipId)
    .where('until_at', 'is', null)
    .execute()
  return rows.map((row) => ({
    id: row.id,
    trustDomain: row.trust_domain,
    begun: { at: row.from_at, event: row.from_event, actor: row.from_actor },
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

/** Deletes the span of a domain of this service, once what it stood for is written down. */
export async function deleteSpan(trx: Db, meshId: MeshId, id: string): Promise<void> {
  await trx.deleteFrom('trust_span').where('mesh_id', '=', meshId).where('id', '=', id).execute()
}

/** A span that has ended, of an authority that a domain of this service published. */
export interface PastSpan {
  readonly authority: AuthorityFacts
  readonly revision: Pick<BundleRevision, 'trustDomain' | 'sequence' | 'digest'>
  readonly begun: TrustEvent
  readonly ended: TrustEvent
}

/** Stores spans that have ended already. */
export async function insertPast(
  trx: Db,
  relationship: Relationship,
  spans: readonly PastSpan[],
): Promise<void> {
  const rows = spans.map(({ authority, revision, begun, ended }) => ({
    ...spanRow(relationship, {
      part: { trustDomain: revision.trustDomain, authority, revision: undefined },
      begun,
    }),
    sequence: revision.sequence.toString(),
    digest: revision.digest,
    until_at: ended.at > begun.at ? ended.at : begun.at,
    until_event: ended.event,
    until_actor: ended.actor,
  }))
  for (let first = 0; first < rows.length; first += BATCH) {
    await trx
      .insertInto('trust_span')
      .values(rows.slice(first, first + BATCH))
      .execute()
  }
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

function bytesOf(hex: string | undefined): Uint8Array | null {
  return hex === undefined ? null : Buffer.from(hex, 'hex')
}

function hexOf(bytes: Uint8Array | null): string | undefined {
  return bytes === null ? undefined : Buffer.from(bytes).toString('hex')
}
