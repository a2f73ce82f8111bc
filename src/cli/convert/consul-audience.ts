import { type InputNode } from './input-node.ts'
import { type Peers } from './peer-rules.ts'
import { labelAt } from './words.ts'

/** Stands for our own partition among the members of a sameness group. */
export const OURSELVES = 'self'

/** Whom a consumer or a source means. */
export type ConsulAudience =
  | { readonly kind: 'self' }
  | { readonly kind: 'peer'; readonly peer: string }
  /** `members` is undefined when the group's own document is not in the input. */
  | {
      readonly kind: 'group'
      readonly group: string
      readonly members: readonly string[] | undefined
    }

/** The members of each sameness group of the input, by its name. */
export type SamenessGroups = ReadonlyMap<string, readonly string[]>

/**
 * Whom an object with `peer`, `samenessGroup` or `partition` names; none of them means our own partition.
 *
 * Throws a refusal for another partition: it is a part of one Consul and no mesh with keys of its own.
 */
export function consulAudienceAt(node: InputNode, groups: SamenessGroups): ConsulAudience {
  const [peer, group, partition] = ['peer', 'samenessGroup', 'partition'].map((name) =>
    node.member(name),
  )
  if (peer !== undefined && peer.text() !== '') return { kind: 'peer', peer: labelAt(peer) }
  if (group !== undefined && group.text() !== '') {
    const name = labelAt(group)
    return { kind: 'group', group: name, members: groups.get(name) }
  }
  if (partition !== undefined && !isOwnPartition(partition)) {
    throw partition.refused(
      'an admin partition is no peer; rules know meshes, groups and ourselves',
    )
  }
  return { kind: 'self' }
}

/** Whether a partition is the one that stands for our own mesh: none, or `default`. */
export function isOwnPartition(partition: InputNode): boolean {
  return ['', 'default'].includes(partition.text())
}

/** Whether somebody may belong to both; a group whose members are not known may hold anybody. */
export function mayShareMembers(a: ConsulAudience, b: ConsulAudience): boolean {
  const [ours, theirs] = [membersOf(a), membersOf(b)]
  if (ours === undefined || theirs === undefined) return true
  return ours.some((member) => theirs.includes(member))
}

/** The peers that belong to both, `unknown` when a group's members would have to be known. */
export function peersOfBoth(a: ConsulAudience, b: ConsulAudience): Peers | 'nobody' | 'unknown' {
  if (a.kind === 'group' && b.kind === 'group' && a.group === b.group) return { groups: [a.group] }
  if (a.kind === 'self' || b.kind === 'self') return 'nobody'
  const [ours, theirs] = [membersOf(a), membersOf(b)]
  if (ours === undefined || theirs === undefined) return 'unknown'
  const both = ours.filter((member) => member !== OURSELVES && theirs.includes(member))
  return both.length === 0 ? 'nobody' : { relationships: both }
}

function membersOf(audience: ConsulAudience): readonly string[] | undefined {
  if (audience.kind === 'self') return [OURSELVES]
  return audience.kind === 'peer' ? [audience.peer] : audience.members
}
