import { type Selectable, sql } from 'kysely'
import type { MeshId } from '../db/ids.ts'
import type { Db, ReaderTable } from '../db/schema.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import type { Reader } from './reader.ts'
import { MAX_SOURCES } from './recent-sources.ts'

const READER = [
  'mesh_id',
  'trust_domain',
  'id',
  'label',
  'kind',
  'relationship_id',
  'first_at',
  'last_at',
  'fetches',
  'sequence',
  'last_host',
  'sources',
  'created_at',
] as const

/** Stores a new reader. */
export async function insertReader(
  trx: Db,
  reader: Pick<
    Reader,
    'meshId' | 'trustDomain' | 'id' | 'label' | 'kind' | 'relationshipId' | 'createdAt'
  >,
): Promise<void> {
  await trx
    .insertInto('reader')
    .values({
      mesh_id: reader.meshId,
      trust_domain: reader.trustDomain,
      id: reader.id,
      label: reader.label,
      kind: reader.kind,
      relationship_id: reader.relationshipId ?? null,
      first_at: null,
      last_at: null,
      sequence: null,
      created_at: reader.createdAt,
    })
    .execute()
}

/** The readers of a mesh's bundle by label, after `after` when given. */
export async function listReaders(
  db: Db,
  meshId: MeshId,
  page: {
    readonly trustDomain: TrustDomain
    readonly after?: string | undefined
    readonly limit: number
  },
): Promise<Reader[]> {
  let query = db
    .selectFrom('reader')
    .select(READER)
    .where('mesh_id', '=', meshId)
    .where('trust_domain', '=', page.trustDomain)
    .orderBy('label')
    .limit(page.limit)
  if (page.after !== undefined) query = query.where('label', '>', page.after)
  return (await query.execute()).map(readerOf)
}

/** The reader of this label. */
export async function findReader(
  db: Db,
  meshId: MeshId,
  key: { readonly trustDomain: TrustDomain; readonly label: string },
): Promise<Reader | undefined> {
  const row = await db
    .selectFrom('reader')
    .select(READER)
    .where('mesh_id', '=', meshId)
    .where('trust_domain', '=', key.trustDomain)
    .where('label', '=', key.label)
    .executeTakeFirst()
  return row === undefined ? undefined : readerOf(row)
}

/** The reader with this id. */
export async function findReaderById(
  db: Db,
  meshId: MeshId,
  key: { readonly trustDomain: TrustDomain; readonly id: string },
): Promise<Reader | undefined> {
  const row = await db
    .selectFrom('reader')
    .select(READER)
    .where('mesh_id', '=', meshId)
    .where('trust_domain', '=', key.trustDomain)
    .where('id', '=', key.id)
    .executeTakeFirst()
  return row === undefined ? undefined : readerOf(row)
}

/** Makes a reader that of a relationship. */
export async function setRelationship(
  trx: Db,
  meshId: MeshId,
  key: {
    readonly trustDomain: TrustDomain
    readonly id: string
    readonly relationshipId: string
  },
): Promise<void> {
  await trx
    .updateTable('reader')
    .set({ relationship_id: key.relationshipId, kind: 'relationship' })
    .where('mesh_id', '=', meshId)
    .where('trust_domain', '=', key.trustDomain)
    .where('id', '=', key.id)
    .execute()
}

/** The readers of one relationship, by trust domain. */
export async function listOfRelationship(
  db: Db,
  meshId: MeshId,
  relationshipId: string,
): Promise<Reader[]> {
  const rows = await db
    .selectFrom('reader')
    .select(READER)
    .where('mesh_id', '=', meshId)
    .where('relationship_id', '=', relationshipId)
    .orderBy('trust_domain')
    .orderBy('created_at')
    .execute()
  return rows.map(readerOf)
}

/** All readers of a mesh's bundles, by trust domain and label. */
export async function listOfMesh(db: Db, meshId: MeshId): Promise<Reader[]> {
  const rows = await db
    .selectFrom('reader')
    .select(READER)
    .where('mesh_id', '=', meshId)
    .orderBy('trust_domain')
    .orderBy('label')
    .execute()
  return rows.map(readerOf)
}

/** Deletes a reader; answers whether it was there. */
export async function deleteReader(
  trx: Db,
  meshId: MeshId,
  key: { readonly trustDomain: TrustDomain; readonly id: string },
): Promise<boolean> {
  const { numDeletedRows } = await trx
    .deleteFrom('reader')
    .where('mesh_id', '=', meshId)
    .where('trust_domain', '=', key.trustDomain)
    .where('id', '=', key.id)
    .executeTakeFirst()
  return numDeletedRows > 0n
}

/** What one reader fetched since it was last written down. */
export interface Accesses {
  readonly meshId: MeshId
  readonly trustDomain: TrustDomain
  readonly id: string
  readonly count: number
  readonly sequence: bigint
  readonly host?: string | undefined
  readonly lastAt: Date
  readonly sources: Reader['sources']
}

/** Adds fetches to their readers, in one statement; readers that are gone are left out. */
export async function addAccesses(db: Db, accesses: readonly Accesses[]): Promise<void> {
  const rows = JSON.stringify(
    accesses.map((one) => ({
      mesh_id: one.meshId,
      trust_domain: one.trustDomain,
      id: one.id,
      count: one.count,
      sequence: one.sequence.toString(),
      last_at: one.lastAt.toISOString(),
      host: one.host ?? null,
      sources: one.sources,
    })),
  )
  await sql`
    update reader set
      fetches = reader.fetches + v.count,
      first_at = coalesce(reader.first_at, v.last_at),
      last_at = greatest(reader.last_at, v.last_at),
      sequence = greatest(reader.sequence, v.sequence),
      last_host = coalesce(v.host, reader.last_host),
      sources = case when v.sources = '[]' then reader.sources else (
        select jsonb_agg(jsonb_build_object('address', s.address, 'lastAt', s.last_at) order by s.last_at desc)
        from (
          select e ->> 'address' as address, max(e ->> 'lastAt') as last_at
          from jsonb_array_elements(reader.sources || v.sources) as e
          group by 1 order by 2 desc limit ${MAX_SOURCES}
        ) as s
      ) end
    from jsonb_to_recordset(${rows}::jsonb) as v(
      mesh_id text, trust_domain text, id uuid, count bigint, sequence bigint, last_at timestamptz(3),
      host text, sources jsonb
    )
    where reader.mesh_id = v.mesh_id and reader.trust_domain = v.trust_domain and reader.id = v.id`.execute(
    db,
  )
}

function readerOf(row: Selectable<ReaderTable>): Reader {
  return {
    meshId: row.mesh_id,
    trustDomain: row.trust_domain,
    id: row.id,
    label: row.label,
    kind: row.kind,
    relationshipId: row.relationship_id ?? undefined,
    firstAt: row.first_at ?? undefined,
    lastAt: row.last_at ?? undefined,
    fetches: row.fetches,
    sequence: row.sequence ?? undefined,
    sources: row.sources.map(({ address, lastAt }) => ({ address, lastAt: new Date(lastAt) })),
    lastHost: row.last_host ?? undefined,
    createdAt: row.created_at,
  }
}
