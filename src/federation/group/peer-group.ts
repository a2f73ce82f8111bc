import { type MeshId } from '../../db/ids.ts'
import { quoted, ServiceError } from '../../errors.ts'
import { type PeerGroupMemberView, type PeerGroupView } from './peer-group-api.ts'

/** A member of a group: a peer by our name for it, or the mesh itself. */
export type PeerGroupMember =
  { readonly kind: 'relationship'; readonly name: string } | { readonly kind: 'self' }

/** A named set of peers, in an order. */
export interface PeerGroup {
  readonly meshId: MeshId
  /** Never changed: entries name their group by it. */
  readonly name: string
  readonly note: string | undefined
  /** By rank, the first before all others. */
  readonly members: readonly PeerGroupMember[]
  readonly version: bigint
  readonly createdAt: Date
}

/** Members as somebody wrote them; throws PEER_GROUP_INVALID when one stands there twice. */
export function parseMembers(wanted: readonly PeerGroupMemberView[]): PeerGroupMember[] {
  const seen = new Set<string>()
  return wanted.map((member, index) => {
    const parsed: PeerGroupMember =
      'self' in member ? { kind: 'self' } : { kind: 'relationship', name: member.relationship }
    const word = memberWord(parsed)
    if (seen.has(word)) throw invalidMember(index, `${word} is named twice`)
    seen.add(word)
    return parsed
  })
}

/** How a member is called in messages and in the audit log: `relationship/globex`, or `self`. */
export function memberWord(member: PeerGroupMember): string {
  return member.kind === 'self' ? 'self' : `relationship/${member.name}`
}

/** A group as the API shows it. */
export function viewGroup(group: PeerGroup): PeerGroupView {
  return {
    name: group.name,
    note: group.note ?? null,
    members: group.members.map((member) =>
      member.kind === 'self' ? { self: true } : { relationship: member.name },
    ),
    version: group.version.toString(),
    createdAt: group.createdAt.toISOString(),
  }
}

/** The refusal of one member. */
export function invalidMember(index: number, detail: string, next?: string): ServiceError {
  return new ServiceError('PEER_GROUP_INVALID', `group refused: ${detail}`, {
    fields: [{ in: 'body', pointer: `/members/${index}`, detail }],
    ...(next === undefined ? {} : { next }),
  })
}

/** The refusal for a group that does not exist. */
export function noSuchGroup(meshId: MeshId, name: string): ServiceError {
  return new ServiceError('NOT_FOUND', `mesh ${quoted(meshId)} has no peer group ${quoted(name)}`, {
    next: 'entente peer-group list',
  })
}
