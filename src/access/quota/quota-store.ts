import { type RawBuilder, sql } from 'kysely'
import type { Db } from '../../db/schema.ts'
import { QUOTA_KINDS, type QuotaKind, type QuotaLimits, type QuotaOwner } from './quota.ts'

/** A quota as it stands. */
export interface StoredQuota extends QuotaOwner {
  readonly kind: QuotaKind
  readonly max: number
}

/**
 * The quotas of one kind of a mesh and of these namespaces, locked until the transaction ends: whoever counts against
 * one waits for whoever counted before. The mesh's comes first.
 */
export async function lockQuotas(
  trx: Db,
  meshId: string,
  { kind, namespaces }: { readonly kind: QuotaKind; readonly namespaces: readonly string[] },
): Promise<StoredQuota[]> {
  const rows = await trx
    .selectFrom('quota')
    .select(['namespace', 'max'])
    .where('mesh_id', '=', meshId)
    .where('kind', '=', kind)
    .where('namespace', 'in', ['', ...namespaces])
    .orderBy('namespace')
    .forUpdate()
    .execute()
  return rows.map(({ namespace, max }) => ({
    meshId,
    namespace: namespace === '' ? undefined : namespace,
    kind,
    max,
  }))
}

const NO_FILTER = sql<boolean>`true`

/** What is counted, and when it lies in a namespace; `/ns/<namespace>/…` as in {@link QuotaOwner}. */
const COUNTED: Readonly<
  Record<
    Exclude<QuotaKind, 'svidsPerDay'> | 'endpoints',
    { readonly table: string; readonly isIn: (namespace: string) => RawBuilder<boolean> }
  >
> = {
  services: { table: 'service', isIn: (name) => sql`namespace = ${name}` },
  endpoints: { table: 'endpoint', isIn: (name) => sql`namespace = ${name}` },
  relationships: { table: 'relationship', isIn: () => NO_FILTER },
  rules: {
    table: 'rule',
    isIn: (name) => sql`owner_scope @> jsonb_build_array(${name}::text)`,
  },
  entries: {
    table: 'entry',
    isIn: (
      name,
    ) => sql`split_part(spiffe_id, '/', 4) = 'ns' and split_part(spiffe_id, '/', 5) = ${name}
      and array_length(string_to_array(spiffe_id, '/'), 1) > 5`,
  },
}

/** How many of something a mesh or a namespace has. */
export async function countUsed(
  db: Db,
  { meshId, namespace }: QuotaOwner,
  kind: keyof typeof COUNTED,
): Promise<number> {
  const { table, isIn } = COUNTED[kind]
  const filter = namespace === undefined ? NO_FILTER : isIn(namespace)
  const { rows } = await sql<{ n: number }>`select count(*)::integer as n from ${sql.table(table)}
    where mesh_id = ${meshId} and ${filter}`.execute(db)
  return rows[0]?.n ?? 0
}

/** The limits of a mesh or a namespace. */
export async function findLimits(db: Db, { meshId, namespace }: QuotaOwner): Promise<QuotaLimits> {
  const rows = await db
    .selectFrom('quota')
    .select(['kind', 'max'])
    .where('mesh_id', '=', meshId)
    .where('namespace', '=', namespace ?? '')
    .execute()
  return limitsOf(rows)
}

/** Owners of quotas by namespace, the mesh itself first as ''. */
export async function listOwners(
  db: Db,
  meshId: string,
  page: {
    readonly after: string | undefined
    /** Only these namespaces; undefined = all, and the mesh itself. */
    readonly among: readonly string[] | undefined
    readonly limit: number
  },
): Promise<string[]> {
  let query = db.selectFrom('quota').select('namespace').distinct().where('mesh_id', '=', meshId)
  if (page.after !== undefined) query = query.where('namespace', '>', page.after)
  const { among } = page
  if (among !== undefined) {
    // Nobody has a namespace without a name, and '' is the mesh.
    query = query.where('namespace', 'in', among.length === 0 ? ['/'] : among)
  }
  const rows = await query.orderBy('namespace').limit(page.limit).execute()
  return rows.map(({ namespace }) => namespace)
}

/** Writes all limits of a mesh or a namespace, in the place of those that it had. */
export async function replaceLimits(
  trx: Db,
  { meshId, namespace = '' }: QuotaOwner,
  { limits, at }: { readonly limits: QuotaLimits; readonly at: Date },
): Promise<void> {
  const wanted = QUOTA_KINDS.flatMap((kind) => {
    const max = limits[kind]
    return max === undefined ? [] : [{ mesh_id: meshId, namespace, kind, max, changed_at: at }]
  })
  await trx
    .deleteFrom('quota')
    .where('mesh_id', '=', meshId)
    .where('namespace', '=', namespace)
    .where('kind', 'not in', ['', ...wanted.map(({ kind }) => kind)])
    .execute()
  if (wanted.length === 0) return
  await trx
    .insertInto('quota')
    .values(wanted)
    .onConflict((conflict) =>
      conflict.columns(['mesh_id', 'namespace', 'kind']).doUpdateSet((from) => ({
        max: from.ref('excluded.max'),
        changed_at: from.ref('excluded.changed_at'),
      })),
    )
    .execute()
}

/** SVIDs of a mesh or namespace by UTC day, newest first. */
export async function issuedByDay(
  db: Db,
  { meshId, namespace }: QuotaOwner,
  { since }: { readonly since: string },
): Promise<{ day: string; issued: bigint }[]> {
  let query = db
    .selectFrom('svid_usage')
    .select(['day', (from) => from.fn.sum<string>('issued').as('issued')])
    .where('mesh_id', '=', meshId)
    .where('day', '>=', since)
  if (namespace !== undefined) query = query.where('namespace', '=', namespace)
  const rows = await query.groupBy('day').orderBy('day', 'desc').execute()
  return rows.map(({ day, issued }) => ({ day, issued: BigInt(issued) }))
}

function limitsOf(rows: readonly { kind: string; max: number }[]): QuotaLimits {
  return Object.fromEntries(
    rows
      .filter(({ kind }) => (QUOTA_KINDS as readonly string[]).includes(kind))
      .map(({ kind, max }) => [kind, max]),
  )
}
