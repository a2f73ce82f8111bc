import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { type PeerGroup, type PeerGroupMember } from './peer-group.ts'

const GROUP = ['mesh_id', 'name', 'note', 'version', 'created_at'] as const

interface GroupRow {
  readonly mesh_id: MeshId
  readonly name: string
  readonly note: string | null
  readonly version: bigint
  readonly created_at: Date
}

/** Stores a new group without members; throws a unique violation for a taken name. */
export async function insertGroup(trx: Db, group: PeerGroup): Promise<void> {
  await trx
    .insertInto('peer_group')
    .values({
      mesh_id: group.meshId,
      name: group.name,
      note: group.note ?? null,
      version: group.version,
      created_at: group.createdAt,
    })
    .execute()
}

/** Writes what of a group can change beside its members. */
export async function updateGroup(trx: Db, group: PeerGroup): Promise<void> {
  await trx
    .updateTable('peer_group')
    .set({ note: group.note ?? null, version: group.version })
    .where('mesh_id', '=', group.meshId)
    .where('name', '=', group.name)
    .execute()
}

/** Puts these members in the place of a group's; `relationshipId` undefined means the mesh itself. */
export async function replaceMembers(
  trx: Db,
  meshId: MeshId,
  group: { readonly name: string; readonly relationshipIds: readonly (string | undefined)[] },
): Promise<void> {
  const { name, relationshipIds } = group
  await trx
    .deleteFrom('peer_group_member')
    .where('mesh_id', '=', meshId)
    .where('group_name', '=', name)
    .execute()
  if (relationshipIds.length === 0) return
  await trx
    .insertInto('peer_group_member')
    .values(
      relationshipIds.map((id, rank) => ({
        mesh_id: meshId,
        group_name: name,
        rank,
        relationship_id: id ?? null,
      })),
    )
    .execute()
}

/** Deletes a group with its members. */
export async function deleteGroup(trx: Db, meshId: MeshId, name: string): Promise<void> {
  await trx
    .deleteFrom('peer_group')
    .where('mesh_id', '=', meshId)
    .where('name', '=', name)
    .execute()
}

/** The group of this name. */
export async function findGroup(
  db: Db,
  meshId: MeshId,
  name: string,
): Promise<PeerGroup | undefined> {
  const row = await db
    .selectFrom('peer_group')
    .select(GROUP)
    .where('mesh_id', '=', meshId)
    .where('name', '=', name)
    .executeTakeFirst()
  return withMembers(db, meshId, row)
}

/** The group of this name, locked until the transaction ends; `share` lets others use it meanwhile, not change it. */
export async function lockGroup(
  trx: Db,
  meshId: MeshId,
  { name, lock }: { readonly name: string; readonly lock: 'share' | 'update' },
): Promise<PeerGroup | undefined> {
  const query = trx
    .selectFrom('peer_group')
    .select(GROUP)
    .where('mesh_id', '=', meshId)
    .where('name', '=', name)
  const locked = lock === 'share' ? query.forShare() : query.forUpdate()
  return withMembers(trx, meshId, await locked.executeTakeFirst())
}

/** Groups of a mesh by name, after `after` when given; at most `limit`, without it all. */
export async function listGroups(
  db: Db,
  meshId: MeshId,
  page: { readonly after: string | undefined; readonly limit: number | undefined },
): Promise<PeerGroup[]> {
  let query = db.selectFrom('peer_group').select(GROUP).where('mesh_id', '=', meshId)
  if (page.after !== undefined) query = query.where('name', '>', page.after)
  if (page.limit !== undefined) query = query.limit(page.limit)
  const rows = await query.orderBy('name').execute()
  const members = await membersOf(
    db,
    meshId,
    rows.map(({ name }) => name),
  )
  return rows.map((row) => groupOf(row, members.get(row.name) ?? []))
}

/** Ids of relationships by name; names that the mesh does not have are left out. */
export async function relationshipsNamed(
  db: Db,
  meshId: MeshId,
  names: readonly string[],
): Promise<Map<string, string>> {
  if (names.length === 0) return new Map()
  const rows = await db
    .selectFrom('relationship')
    .select(['id', 'name'])
    .where('mesh_id', '=', meshId)
    .where('name', 'in', names)
    .execute()
  return new Map(rows.map(({ id, name }) => [name, id]))
}

/** When groups were made, by name; names that the mesh does not have are left out. */
export async function groupsMadeAt(
  db: Db,
  meshId: MeshId,
  names: readonly string[],
): Promise<Map<string, string>> {
  if (names.length === 0) return new Map()
  const rows = await db
    .selectFrom('peer_group')
    .select(['name', 'created_at'])
    .where('mesh_id', '=', meshId)
    .where('name', 'in', names)
    .execute()
  return new Map(rows.map((row) => [row.name, row.created_at.toISOString()]))
}

/** Names of the groups that a relationship is a member of. */
export async function groupsWith(
  db: Db,
  meshId: MeshId,
  relationshipId: string,
): Promise<string[]> {
  const rows = await db
    .selectFrom('peer_group_member')
    .select('group_name')
    .where('mesh_id', '=', meshId)
    .where('relationship_id', '=', relationshipId)
    .orderBy('group_name')
    .execute()
  return rows.map((row) => row.group_name)
}

/** The trust domains of every group's members that are peers, whatever their state. */
export async function listGroupDomains(
  db: Db,
  meshId: MeshId,
): Promise<Map<string, Set<TrustDomain>>> {
  const rows = await db
    .selectFrom('peer_group as g')
    .leftJoin('peer_group_member as m', (join) =>
      join.onRef('m.mesh_id', '=', 'g.mesh_id').onRef('m.group_name', '=', 'g.name'),
    )
    .leftJoin('relationship_domain as d', (join) =>
      join
        .onRef('d.mesh_id', '=', 'm.mesh_id')
        .onRef('d.relationship_id', '=', 'm.relationship_id'),
    )
    .select(['g.name', 'd.trust_domain'])
    .where('g.mesh_id', '=', meshId)
    .execute()
  const domains = new Map<string, Set<TrustDomain>>()
  for (const { name, trust_domain: trustDomain } of rows) {
    const known = domains.get(name) ?? new Set()
    if (trustDomain !== null) known.add(trustDomain)
    domains.set(name, known)
  }
  return domains
}

async function withMembers(
  db: Db,
  meshId: MeshId,
  row: GroupRow | undefined,
): Promise<PeerGroup | undefined> {
  if (row === undefined) return undefined
  const members = await membersOf(db, meshId, [row.name])
  return groupOf(row, members.get(row.name) ?? [])
}

async function membersOf(
  db: Db,
  meshId: MeshId,
  names: readonly string[],
): Promise<Map<string, PeerGroupMember[]>> {
  const members = new Map<string, PeerGroupMember[]>()
  if (names.length === 0) return members
  const rows = await db
    .selectFrom('peer_group_member as m')
    .leftJoin('relationship as r', (join) =>
      join.onRef('r.mesh_id', '=', 'm.mesh_id').onRef('r.id', '=', 'm.relationship_id'),
    )
    .select(['m.group_name', 'r.name'])
    .where('m.mesh_id', '=', meshId)
    .where('m.group_name', 'in', names)
    .orderBy('m.rank')
    .execute()
  for (const { group_name: group, name } of rows) {
    const member: PeerGroupMember =
      name === null ? { kind: 'self' } : { kind: 'relationship', name }
    members.set(group, [...(members.get(group) ?? []), member])
  }
  return members
}

function groupOf(row: GroupRow, members: readonly PeerGroupMember[]): PeerGroup {
  return {
    meshId: row.mesh_id,
    name: row.name,
    note: row.note ?? undefined,
    members,
    version: row.version,
    createdAt: row.created_at,
  }
}
