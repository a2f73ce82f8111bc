import { type Insertable, type Selectable } from 'kysely'
import { type MeshId } from '../db/ids.ts'
import { type Db, type RelationshipDomainTable, type RelationshipTable } from '../db/schema.ts'
import { type EndpointUrl } from '../spiffe/endpoint-profile.ts'
import { type TrustDomain } from '../spiffe/trust-domain.ts'
import { readRecovery, writeRecovery } from './recovery/recovery.ts'
import { type Relationship, type RelationshipDomain } from './relationship.ts'

const RELATIONSHIP = [
  'mesh_id',
  'id',
  'name',
  'generation',
  'peer_mesh_name',
  'our_consent',
  'their_consent',
  'state',
  'change_policy',
  'hint_min_seconds',
  'hint_max_seconds',
  'note',
  'version',
  'created_at',
  'activated_at',
  'terminated_at',
  'on_hold',
  'purpose',
  'standing_reason',
  'contact',
  'labels',
  'review_at',
  'expires_at',
  'their_exchange_id',
  'their_exchange_url',
] as const

const DOMAIN = [
  'mesh_id',
  'relationship_id',
  'trust_domain',
  'source',
  'endpoint_url',
  'endpoint_spiffe_id',
  'reader_id',
  'relay_id',
  'first_digest',
  'recovery',
] as const

/** Stores a new relationship with its domains; throws a unique violation for a taken name or domain. */
export async function insertRelationship(trx: Db, relationship: Relationship): Promise<void> {
  await trx.insertInto('relationship').values(rowOf(relationship)).execute()
  await trx
    .insertInto('relationship_domain')
    .values(
      relationship.domains.map((domain) => ({
        mesh_id: relationship.meshId,
        relationship_id: relationship.id,
        trust_domain: domain.trustDomain,
        source: domain.source,
        endpoint_url: domain.endpointUrl ?? null,
        endpoint_spiffe_id: domain.endpointId ?? null,
        reader_id: domain.readerId ?? null,
        relay_id: domain.relayId,
        first_digest: domain.firstDigest ?? null,
        recovery: JSON.stringify(domain.recovery.map(writeRecovery)),
      })),
    )
    .execute()
}

/** The relationship of this name, with its domains. */
export async function findRelationship(
  db: Db,
  meshId: MeshId,
  name: string,
): Promise<Relationship | undefined> {
  const row = await db
    .selectFrom('relationship')
    .select(RELATIONSHIP)
    .where('mesh_id', '=', meshId)
    .where('name', '=', name)
    .executeTakeFirst()
  return row === undefined ? undefined : withDomains(db, meshId, row)
}

/** The relationship of this name, locked until the transaction ends. */
export async function lockRelationship(
  trx: Db,
  meshId: MeshId,
  name: string,
): Promise<Relationship | undefined> {
  const row = await trx
    .selectFrom('relationship')
    .select(RELATIONSHIP)
    .where('mesh_id', '=', meshId)
    .where('name', '=', name)
    .forUpdate()
    .executeTakeFirst()
  return row === undefined ? undefined : withDomains(trx, meshId, row)
}

/** The relationship with this id, locked until the transaction ends. */
export async function lockRelationshipById(
  trx: Db,
  meshId: MeshId,
  id: string,
): Promise<Relationship | undefined> {
  const row = await trx
    .selectFrom('relationship')
    .select(RELATIONSHIP)
    .where('mesh_id', '=', meshId)
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst()
  return row === undefined ? undefined : withDomains(trx, meshId, row)
}

/** Relationships of a mesh by name, after `after` when given; at most `limit`. */
export async function listRelationships(
  db: Db,
  meshId: MeshId,
  page: { readonly after?: string | undefined; readonly limit?: number | undefined } = {},
): Promise<Relationship[]> {
  let query = db
    .selectFrom('relationship')
    .select(RELATIONSHIP)
    .where('mesh_id', '=', meshId)
    .orderBy('name')
  if (page.after !== undefined) query = query.where('name', '>', page.after)
  if (page.limit !== undefined) query = query.limit(page.limit)
  const rows = await query.execute()
  const domains = await domainsOf(
    db,
    meshId,
    rows.map((row) => row.id),
  )
  return rows.map((row) => relationshipOf(row, domains.get(row.id) ?? []))
}

/** Domains that relationships of this mesh already hold, terminated ones too, with the relationship's name. */
export async function federatedDomains(db: Db, meshId: MeshId): Promise<Map<TrustDomain, string>> {
  const rows = await db
    .selectFrom('relationship_domain as d')
    .innerJoin('relationship as r', (join) =>
      join.onRef('r.mesh_id', '=', 'd.mesh_id').onRef('r.id', '=', 'd.relationship_id'),
    )
    .select(['d.trust_domain', 'r.name'])
    .where('d.mesh_id', '=', meshId)
    .execute()
  return new Map(rows.map((row) => [row.trust_domain, row.name]))
}

/** Writes what of a relationship can change. */
export async function updateRelationship(trx: Db, relationship: Relationship): Promise<void> {
  const { mesh_id: meshId, id, ...row } = rowOf(relationship)
  await trx
    .updateTable('relationship')
    .set(row)
    .where('mesh_id', '=', meshId)
    .where('id', '=', id)
    .execute()
}

/** Deletes a relationship with its domains, polls, revisions, offers and mentions in rules. */
export async function deleteRelationship(trx: Db, meshId: MeshId, id: string): Promise<void> {
  await trx.deleteFrom('relationship').where('mesh_id', '=', meshId).where('id', '=', id).execute()
}

type RelationshipRow = Selectable<RelationshipTable>

async function withDomains(db: Db, meshId: MeshId, row: RelationshipRow): Promise<Relationship> {
  const domains = await domainsOf(db, meshId, [row.id])
  return relationshipOf(row, domains.get(row.id) ?? [])
}

async function domainsOf(
  db: Db,
  meshId: MeshId,
  ids: readonly string[],
): Promise<Map<string, RelationshipDomain[]>> {
  const grouped = new Map<string, RelationshipDomain[]>()
  if (ids.length === 0) return grouped
  const rows = await db
    .selectFrom('relationship_domain')
    .select(DOMAIN)
    .where('mesh_id', '=', meshId)
    .where('relationship_id', 'in', ids)
    .orderBy('trust_domain')
    .execute()
  for (const row of rows) {
    const known = grouped.get(row.relationship_id) ?? []
    grouped.set(row.relationship_id, [...known, domainOf(row)])
  }
  return grouped
}

function domainOf(row: Selectable<RelationshipDomainTable>): RelationshipDomain {
  return {
    trustDomain: row.trust_domain,
    source: row.source,
    endpointUrl: (row.endpoint_url as EndpointUrl | null) ?? undefined,
    endpointId: row.endpoint_spiffe_id ?? undefined,
    readerId: row.reader_id ?? undefined,
    relayId: row.relay_id,
    firstDigest: row.first_digest ?? undefined,
    recovery: readRecovery(row.recovery, row.trust_domain),
  }
}

function relationshipOf(
  row: RelationshipRow,
  domains: readonly RelationshipDomain[],
): Relationship {
  return {
    meshId: row.mesh_id,
    id: row.id,
    name: row.name,
    generation: row.generation,
    peerMeshName: row.peer_mesh_name ?? undefined,
    ourConsent: row.our_consent,
    theirConsent: row.their_consent,
    state: row.state,
    changePolicy: row.change_policy,
    hintMinSeconds: row.hint_min_seconds ?? undefined,
    hintMaxSeconds: row.hint_max_seconds ?? undefined,
    note: row.note ?? undefined,
    version: row.version,
    createdAt: row.created_at,
    activatedAt: row.activated_at ?? undefined,
    terminatedAt: row.terminated_at ?? undefined,
    onHold: row.on_hold,
    purpose: row.purpose,
    standingReason: row.standing_reason ?? undefined,
    exchange: exchangeOf(row),
    contact: row.contact ?? undefined,
    labels: new Map(Object.entries(row.labels)),
    reviewAt: row.review_at ?? undefined,
    expiresAt: row.expires_at ?? undefined,
    domains,
  }
}

function exchangeOf(row: RelationshipRow): Relationship['exchange'] {
  const { their_exchange_id: id, their_exchange_url: url } = row
  return id === null || url === null ? undefined : { id, url: url as EndpointUrl }
}

function rowOf(relationship: Relationship): Insertable<RelationshipTable> {
  return {
    mesh_id: relationship.meshId,
    id: relationship.id,
    name: relationship.name,
    generation: relationship.generation,
    peer_mesh_name: relationship.peerMeshName ?? null,
    our_consent: relationship.ourConsent,
    their_consent: relationship.theirConsent,
    state: relationship.state,
    change_policy: relationship.changePolicy,
    hint_min_seconds: relationship.hintMinSeconds ?? null,
    hint_max_seconds: relationship.hintMaxSeconds ?? null,
    note: relationship.note ?? null,
    version: relationship.version,
    created_at: relationship.createdAt,
    activated_at: relationship.activatedAt ?? null,
    terminated_at: relationship.terminatedAt ?? null,
    on_hold: relationship.onHold,
    purpose: relationship.purpose,
    standing_reason: relationship.standingReason ?? null,
    their_exchange_id: relationship.exchange?.id ?? null,
    their_exchange_url: relationship.exchange?.url ?? null,
    ...ownerRow(relationship),
  }
}

function ownerRow({ contact, labels, reviewAt, expiresAt }: Relationship) {
  return {
    contact: contact ?? null,
    labels: JSON.stringify(Object.fromEntries(labels)),
    review_at: reviewAt ?? null,
    expires_at: expiresAt ?? null,
  }
}
