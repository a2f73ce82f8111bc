import { type ChangeContext, recordAudit } from '../../audit/record.ts'
import { bumpChange } from '../../db/changes.ts'
import { isUniqueViolation } from '../../db/failures.ts'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { quoted, ServiceError } from '../../errors.ts'
import { loadMesh } from '../../mesh/find-mesh.ts'
import { type Dependant } from '../../mesh/hooks.ts'
import { type RelationshipDependants } from '../end-relationship.ts'
import {
  invalidMember,
  memberWord,
  noSuchGroup,
  parseMembers,
  type PeerGroup,
  type PeerGroupMember,
} from './peer-group.ts'
import { type PeerGroupMemberView } from './peer-group-api.ts'
import { type PeerChangesView } from './peer-changes-api.ts'
import * as groups from './peer-group-store.ts'

/** A group as somebody wrote it. */
export interface PeerGroupDraft {
  readonly name: string
  readonly note?: string
  readonly members: readonly PeerGroupMemberView[]
}

/** What of a group is to change; members are replaced as a whole, null takes a note away. */
export interface PeerGroupChange {
  readonly note?: string | null
  readonly members?: readonly PeerGroupMemberView[]
}

/** Which group, on whose word, and the refusal of a stale change. */
export interface PeerGroupTarget {
  readonly name: string
  readonly context: ChangeContext
  /** Throws PRECONDITION_REQUIRED or PRECONDITION_FAILED. */
  readonly requireVersion: (version: bigint) => void
}

/** Tells what uses a group that is about to be deleted; each higher feature hands one in. */
export type GroupDependants = (
  db: Db,
  target: { readonly meshId: MeshId; readonly name: string },
) => Promise<readonly Dependant[]>

/** Members of a group before and after a change of it. */
export interface MembersChange {
  readonly name: string
  readonly was: readonly PeerGroupMember[]
  readonly is: readonly PeerGroupMember[]
  readonly at: Date
}

/** Tells what members gain or lose, once the transaction is over. */
export type TellMembers = () => Promise<PeerChangesView>

/**
 * Looks, in the transaction that changes who is a member and while rules still name the group, at what tells what
 * members gain or lose; a higher feature hands one in.
 */
export type MemberEffects = (db: Db, meshId: MeshId, change: MembersChange) => Promise<TellMembers>

/** Makes a group. Throws NOT_FOUND without such a mesh, PEER_GROUP_INVALID, ALREADY_EXISTS. */
export async function createPeerGroup(
  trx: Db,
  meshId: MeshId,
  { draft, context }: { readonly draft: PeerGroupDraft; readonly context: ChangeContext },
): Promise<PeerGroup> {
  await loadMesh(trx, meshId)
  const members = parseMembers(draft.members)
  const { name, note } = draft
  const group = { meshId, name, note, members, version: 1n, createdAt: context.now }
  await insertNamed(trx, group)
  await storeMembers(trx, group)
  await settle(trx, group, { context, action: 'peer-group.create', body: audited(group) })
  return group
}

/** Changes note and members of a group. Throws NOT_FOUND, PEER_GROUP_INVALID, and what a stale version throws. */
export async function changePeerGroup(
  trx: Db,
  meshId: MeshId,
  target: PeerGroupTarget & {
    readonly change: PeerGroupChange
    readonly memberEffects: MemberEffects
  },
): Promise<ChangedPeerGroup> {
  const before = await locked(trx, meshId, target.name)
  target.requireVersion(before.version)
  const { members, note } = target.change
  const after: PeerGroup = {
    ...before,
    note: note === undefined ? before.note : (note ?? undefined),
    members: members === undefined ? before.members : parseMembers(members),
    version: before.version + 1n,
  }
  await groups.updateGroup(trx, after)
  if (members !== undefined) await storeMembers(trx, after)
  const body = { before: audited(before), after: audited(after) }
  await settle(trx, after, { context: target.context, action: 'peer-group.update', body })
  const { name } = after
  const change = { name, was: before.members, is: after.members, at: target.context.now }
  return { group: after, tell: await target.memberEffects(trx, meshId, change) }
}

/** A group that was changed. */
export interface ChangedPeerGroup {
  readonly group: PeerGroup
  readonly tell: TellMembers
}

/** A group that was deleted, and what lost it. */
export interface EndedPeerGroup extends ChangedPeerGroup {
  readonly ended: readonly Dependant[]
}

/** How a group is deleted. */
export interface DeletePeerGroup extends PeerGroupTarget {
  readonly dependants: readonly GroupDependants[]
  readonly memberEffects: MemberEffects
  /** Although something uses it; a dry run tells of it all the same. */
  readonly force: boolean
}

/** Deletes a group. Throws NOT_FOUND, what a stale version throws, and CONFLICT while it is used and not forced. */
export async function deletePeerGroup(
  trx: Db,
  meshId: MeshId,
  target: DeletePeerGroup,
): Promise<EndedPeerGroup> {
  const group = await locked(trx, meshId, target.name)
  target.requireVersion(group.version)
  const ended: Dependant[] = []
  for (const ask of target.dependants) ended.push(...(await ask(trx, group)))
  const blocking = ended.filter(({ blocks }) => blocks)
  if (blocking.length > 0 && !target.force) throw inUse(group, blocking)
  const change = { name: group.name, was: group.members, is: [], at: target.context.now }
  const tell = await target.memberEffects(trx, meshId, change)
  await groups.deleteGroup(trx, meshId, group.name)
  // Rules that named it change with it, unlogged, and another group may take its name.
  await bumpChange(trx, meshId, 'rule')
  const body = { ...audited(group), forced: blocking.length > 0, ended }
  await settle(trx, group, { context: target.context, action: 'peer-group.delete', body })
  return { group, ended, tell }
}

/** The group of this name; throws NOT_FOUND. */
export async function loadPeerGroup(db: Db, meshId: MeshId, name: string): Promise<PeerGroup> {
  const group = await groups.findGroup(db, meshId, name)
  if (group === undefined) throw noSuchGroup(meshId, name)
  return group
}

/** Every group of a mesh with its members. */
export async function groupsOf(db: Db, meshId: MeshId): Promise<PeerGroup[]> {
  return groups.listGroups(db, meshId, { after: undefined, limit: undefined })
}

/** Whether a mesh has this group; it stays until the transaction ends. */
export async function holdPeerGroup(trx: Db, meshId: MeshId, name: string): Promise<boolean> {
  return (await groups.lockGroup(trx, meshId, { name, lock: 'share' })) !== undefined
}

/** Which groups lose a member with a relationship that is about to end. */
export const groupsOfPeer: RelationshipDependants = async (db, target): Promise<Dependant[]> => {
  const names = await groups.groupsWith(db, target.meshId, target.relationshipId)
  return names.map((name) => ({
    kind: 'peer-group',
    name,
    effect: `stays, without ${target.name} once that is deleted`,
    blocks: false,
  }))
}

async function locked(trx: Db, meshId: MeshId, name: string): Promise<PeerGroup> {
  const group = await groups.lockGroup(trx, meshId, { name, lock: 'update' })
  if (group === undefined) throw noSuchGroup(meshId, name)
  return group
}

async function insertNamed(trx: Db, group: PeerGroup): Promise<void> {
  try {
    await groups.insertGroup(trx, group)
  } catch (cause) {
    if (!isUniqueViolation(cause)) throw cause
    throw new ServiceError(
      'ALREADY_EXISTS',
      `this mesh already has a peer group named ${quoted(group.name)}`,
      { cause, next: `entente peer-group show ${group.name}` },
    )
  }
}

async function storeMembers(trx: Db, { meshId, name, members }: PeerGroup): Promise<void> {
  const names = members.flatMap((member) => (member.kind === 'self' ? [] : [member.name]))
  const ids = await groups.relationshipsNamed(trx, meshId, names)
  const relationshipIds = members.map((member, index) => idOf(member, { index, ids }))
  await groups.replaceMembers(trx, meshId, { name, relationshipIds })
}

function idOf(
  member: PeerGroupMember,
  { index, ids }: { readonly index: number; readonly ids: ReadonlyMap<string, string> },
): string | undefined {
  if (member.kind === 'self') return undefined
  const id = ids.get(member.name)
  if (id !== undefined) return id
  const detail = `this mesh has no relationship ${quoted(member.name)}`
  throw invalidMember(index, detail, 'entente federation list')
}

function inUse({ name }: PeerGroup, blocking: readonly Dependant[]): ServiceError {
  const named = blocking.slice(0, 5).map((dependant) => `${dependant.kind} ${dependant.name}`)
  const more = blocking.length > 5 ? ` and ${blocking.length - 5} more` : ''
  return new ServiceError(
    'CONFLICT',
    `peer group ${name} is used by ${named.join(', ')}${more}, which would lose it`,
    {
      next: `entente peer-group delete ${name} --force --dry-run shows all of it; --force deletes anyway`,
    },
  )
}

function audited(group: PeerGroup): Record<string, unknown> {
  return { note: group.note ?? null, members: group.members.map(memberWord) }
}

interface Settlement {
  readonly context: ChangeContext
  readonly action: string
  readonly body: unknown
}

async function settle(
  trx: Db,
  { meshId, name }: PeerGroup,
  { context, action, body }: Settlement,
): Promise<void> {
  const object = `peer-group/${name}`
  await recordAudit(trx, { meshId, actor: context.actor, action, object, at: context.now, body })
  // Members decide whose bundles workloads are given, as relationships do.
  await bumpChange(trx, meshId, 'relationship')
}
