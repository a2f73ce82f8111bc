import { sql } from 'kysely'
import { chunksOf } from '../db/chunks.ts'
import { type MeshId } from '../db/ids.ts'
import { type Db } from '../db/schema.ts'
import { type SourcedContent } from './plan-sync.ts'
import { type Service, type ServiceContent, type ServiceName, serviceTitle } from './service.ts'

/** What every source says of services that `source` sees or saw, by title. */
export async function sourcedContents(
  db: Db,
  meshId: MeshId,
  { source, names }: { readonly source: string; readonly names: readonly ServiceName[] },
): Promise<Map<string, SourcedContent[]>> {
  const wanted = names.map(({ namespace, name }) => ({ namespace, name }))
  const { rows } = await sql<{
    namespace: string
    name: string
    source: string
    content: Pick<ServiceContent, 'ports' | 'identities' | 'labels'>
    created_at: Date
  }>`
    select s.namespace, s.name, s.source, s.content, s.created_at from service_source s
    where s.mesh_id = ${meshId} and ((s.namespace, s.name) in (
      select o.namespace, o.name from service_source o
      where o.mesh_id = ${meshId} and o.source = ${source}
    ) or (s.namespace, s.name) in (
      select w.namespace, w.name
      from jsonb_to_recordset(${JSON.stringify(wanted)}::jsonb) as w (namespace text, name text)
    ))`.execute(db)
  const byTitle = new Map<string, SourcedContent[]>()
  for (const { namespace, name, source: of, content, created_at: since } of rows) {
    const title = serviceTitle({ namespace, name })
    const known = byTitle.get(title) ?? []
    known.push({ namespace, name, ...content, source: of, since })
    byTitle.set(title, known)
  }
  return byTitle
}

/** How many services a source speaks of. */
export async function countSourced(db: Db, meshId: MeshId, source: string): Promise<number> {
  const { count } = await db
    .selectFrom('service_source')
    .select(({ fn }) => fn.countAll<bigint>().as('count'))
    .where('mesh_id', '=', meshId)
    .where('source', '=', source)
    .executeTakeFirstOrThrow()
  return Number(count)
}

/** Rows that one statement writes. */
const CHUNK = 1000

/** Stores services with their identities, over those of the same name. */
export async function writeServices(
  trx: Db,
  meshId: MeshId,
  services: readonly Service[],
): Promise<void> {
  for (const chunk of chunksOf(services, CHUNK)) {
    const rows = JSON.stringify(
      chunk.map((service) => ({ ...service, version: String(service.version) })),
    )
    await sql`
      insert into service (mesh_id, namespace, name, ports, labels, managed_by, version, created_at)
      select ${meshId}, s.namespace, s.name, s.ports, s.labels, s."managedBy", s.version,
        s."createdAt"
      from jsonb_to_recordset(${rows}::jsonb) as s (namespace text, name text, ports jsonb,
        labels jsonb, "managedBy" jsonb, version bigint, "createdAt" timestamptz)
      on conflict (mesh_id, namespace, name) do update set ports = excluded.ports,
        labels = excluded.labels, managed_by = excluded.managed_by,
        version = excluded.version`.execute(trx)
    await sql`
      delete from service_identity i using jsonb_to_recordset(${rows}::jsonb)
        as s (namespace text, name text)
      where i.mesh_id = ${meshId} and i.namespace = s.namespace and i.name = s.name`.execute(trx)
    await sql`
      insert into service_identity (mesh_id, namespace, name, spiffe_id)
      select ${meshId}, s.namespace, s.name, i.id
      from jsonb_to_recordset(${rows}::jsonb) as s (namespace text, name text, identities jsonb),
        jsonb_array_elements_text(s.identities) as i (id)`.execute(trx)
  }
}

/** Deletes services, with what was said of them and their endpoints. */
export async function deleteServices(
  trx: Db,
  meshId: MeshId,
  names: readonly ServiceName[],
): Promise<void> {
  for (const chunk of chunksOf(names, CHUNK)) {
    await sql`
      delete from service s using jsonb_to_recordset(${namesText(chunk)}::jsonb)
        as d (namespace text, name text)
      where s.mesh_id = ${meshId} and s.namespace = d.namespace and s.name = d.name`.execute(trx)
  }
}

/** Writes what a source says of services that are stored, and takes back what it says no more. */
export async function writeSaid(
  trx: Db,
  meshId: MeshId,
  {
    said,
    unsaid,
  }: {
    readonly said: readonly SourcedContent[]
    readonly unsaid: readonly SourcedContent[]
  },
): Promise<void> {
  for (const chunk of chunksOf(said, CHUNK)) {
    const rows = JSON.stringify(
      chunk.map(({ ports, identities, labels, ...rest }) => ({
        ...rest,
        content: { ports, identities, labels },
      })),
    )
    await sql`
      insert into service_source (mesh_id, namespace, name, source, content, created_at)
      select ${meshId}, s.namespace, s.name, s.source, s.content, s.since
      from jsonb_to_recordset(${rows}::jsonb)
        as s (namespace text, name text, source text, content jsonb, since timestamptz)
      on conflict (mesh_id, source, namespace, name)
      do update set content = excluded.content`.execute(trx)
  }
  for (const chunk of chunksOf(unsaid, CHUNK)) {
    const [first] = chunk
    await sql`
      delete from service_source s using jsonb_to_recordset(${namesText(chunk)}::jsonb)
        as d (namespace text, name text)
      where s.mesh_id = ${meshId} and s.source = ${first?.source ?? ''}
        and s.namespace = d.namespace and s.name = d.name`.execute(trx)
  }
}

function namesText(names: readonly ServiceName[]): string {
  return JSON.stringify(names.map(({ namespace, name }) => ({ namespace, name })))
}
