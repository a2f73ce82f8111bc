import { sql } from 'kysely'
import { type MeshId } from '../../db/ids.ts'
import { type Consent, type Db, type RelationshipState } from '../../db/schema.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'

/** To which other mesh of this service each of these trust domains belongs; those of none are left out. */
export async function listMeshesOf(
  db: Db,
  meshId: MeshId,
  trustDomains: readonly TrustDomain[],
): Promise<Map<TrustDomain, MeshId>> {
  if (trustDomains.length === 0) return new Map()
  const rows = await db
    .selectFrom('trust_domain')
    .select(['name', 'mesh_id'])
    .where('name', 'in', trustDomains)
    .where('mesh_id', '<>', meshId)
    .execute()
  return new Map(rows.map((row) => [row.name, row.mesh_id]))
}

/** What one trust domain of this service publishes now. */
export interface Published {
  readonly meshId: MeshId
  readonly trustDomain: TrustDomain
  readonly digest: Uint8Array
  readonly document: Uint8Array
}

/** The bundle that a trust domain of this service publishes now, whichever mesh has it. */
export async function findPublished(
  db: Db,
  trustDomain: TrustDomain,
): Promise<Published | undefined> {
  const row = await db
    .selectFrom('bundle_revision')
    .select(['mesh_id', 'digest', 'document'])
    .where('trust_domain', '=', trustDomain)
    .orderBy('sequence', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (row === undefined) return undefined
  const { mesh_id: meshId, digest, document } = row
  return { meshId, trustDomain, digest, document }
}

/** The other meshes of this service whose trust domains a relationship names, whatever their source. */
export async function listPeerMeshes(db: Db, meshId: MeshId, name: string): Promise<MeshId[]> {
  const rows = await db
    .selectFrom('relationship as r')
    .innerJoin('relationship_domain as d', (join) =>
      join.onRef('d.mesh_id', '=', 'r.mesh_id').onRef('d.relationship_id', '=', 'r.id'),
    )
    .innerJoin('trust_domain as t', 't.name', 'd.trust_domain')
    .select('t.mesh_id')
    .distinct()
    .where('r.mesh_id', '=', meshId)
    .where('r.name', '=', name)
    .where('t.mesh_id', '<>', meshId)
    .execute()
  return rows.map((row) => row.mesh_id)
}

/** A relationship by what does not change and by what people call it. */
export interface NamedRelationship {
  readonly id: string
  readonly name: string
}

/**
 * The relationships of a mesh, by name, that read a mesh of this service which has an environment other than this one;
 * those that are over are left out, and so are peers without an environment.
 */
export async function listIntoOtherEnvironments(
  db: Db,
  meshId: MeshId,
  environment: string,
): Promise<NamedRelationship[]> {
  return db
    .selectFrom('relationship as r')
    .innerJoin('relationship_domain as d', (join) =>
      join.onRef('d.mesh_id', '=', 'r.mesh_id').onRef('d.relationship_id', '=', 'r.id'),
    )
    .innerJoin('trust_domain as t', 't.name', 'd.trust_domain')
    .innerJoin('mesh as m', 'm.mesh_id', 't.mesh_id')
    .select(['r.id', 'r.name'])
    .distinct()
    .where('r.mesh_id', '=', meshId)
    .where('r.purpose', '=', 'peer')
    .where('r.state', '<>', 'terminated')
    .where('d.source', '=', 'local')
    .where('t.mesh_id', '<>', meshId)
    .where('m.environment', '<>', environment)
    .orderBy('r.name')
    .execute()
}

/** A relationship of another mesh of this service with us. */
export interface Counterpart {
  readonly meshId: MeshId
  readonly id: string
  readonly state: RelationshipState
  readonly ourConsent: Consent
  readonly theirConsent: Consent
  /** Whether it reads our bundle here instead of fetching it. */
  readonly isLocal: boolean
}

/** The relationships with this mesh in those meshes of the service to which these trust domains belong. */
export async function listCounterparts(
  db: Db,
  meshId: MeshId,
  trustDomains: readonly TrustDomain[],
): Promise<Counterpart[]> {
  if (trustDomains.length === 0) return []
  const rows = await db
    .selectFrom('trust_domain as theirs')
    .innerJoin('relationship as r', 'r.mesh_id', 'theirs.mesh_id')
    .innerJoin('relationship_domain as d', (join) =>
      join.onRef('d.mesh_id', '=', 'r.mesh_id').onRef('d.relationship_id', '=', 'r.id'),
    )
    .innerJoin('trust_domain as ours', 'ours.name', 'd.trust_domain')
    .select(['r.mesh_id', 'r.id', 'r.state', 'r.our_consent', 'r.their_consent'])
    .select(sql<boolean>`bool_or(d.source = 'local')`.as('is_local'))
    .where('theirs.name', 'in', trustDomains)
    .where('theirs.mesh_id', '<>', meshId)
    .where('ours.mesh_id', '=', meshId)
    .where('r.purpose', '=', 'peer')
    .groupBy(['r.mesh_id', 'r.id', 'r.state', 'r.our_consent', 'r.their_consent'])
    .orderBy('r.mesh_id')
    .orderBy('r.id')
    .execute()
  return rows.map((row) => ({
    meshId: row.mesh_id,
    id: row.id,
    state: row.state,
    ourConsent: row.our_consent,
    theirConsent: row.their_consent,
    isLocal: row.is_local,
  }))
}

/** What a peer of this same service publishes now, as an active relationship accepts it. */
export interface LocalBundle extends Published {
  readonly relationshipId: string
  readonly relationship: string
  readonly sequence: bigint
  readonly hintSeconds: number
  readonly createdAt: Date
}

/**
 * The bundles of peers of this same service that are in force in a mesh. That both sides consent is asked of the
 * other side's own rows here, not of our record of it: a mesh that was deleted and made again is trusted by nobody.
 */
export async function listLocalBundles(db: Db, meshId: MeshId): Promise<LocalBundle[]> {
  const { rows } = await sql<LocalRow>`
    select r.id, r.name, t.mesh_id, t.name as trust_domain, b.sequence, b.document, b.digest,
      b.hint_seconds, b.created_at
    from relationship r
    join relationship_domain d on d.mesh_id = r.mesh_id and d.relationship_id = r.id
    join trust_domain t on t.name = d.trust_domain and t.mesh_id <> r.mesh_id
    join lateral (
      select sequence, document, digest, hint_seconds, created_at from bundle_revision
      where mesh_id = t.mesh_id and trust_domain = t.name order by sequence desc limit 1
    ) as b on true
    where r.mesh_id = ${meshId} and r.state = 'active' and d.source = 'local'
      and exists (
        select 1 from relationship r2
        join relationship_domain d2 on d2.mesh_id = r2.mesh_id and d2.relationship_id = r2.id
        join trust_domain t2 on t2.name = d2.trust_domain
        where r2.mesh_id = t.mesh_id and t2.mesh_id = r.mesh_id
          and r2.state <> 'terminated' and r2.our_consent = 'given')`.execute(db)
  return rows.map((row) => ({
    meshId: row.mesh_id,
    relationshipId: row.id,
    relationship: row.name,
    trustDomain: row.trust_domain,
    sequence: row.sequence,
    document: row.document,
    digest: row.digest,
    hintSeconds: row.hint_seconds,
    createdAt: row.created_at,
  }))
}

interface LocalRow {
  id: string
  name: string
  mesh_id: MeshId
  trust_domain: TrustDomain
  sequence: bigint
  document: Uint8Array
  digest: Uint8Array
  hint_seconds: number
  created_at: Date
}
