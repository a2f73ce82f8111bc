import { type PeerGroupMember, memberWord } from '../../federation/group/peer-group.ts'
import { type MemberEffects, type MembersChange } from '../../federation/group/peer-groups.ts'
import { loadSnapshot } from '../snapshot/load-snapshot.ts'
import { peersPart, type Snapshot } from '../snapshot/snapshot.ts'
import { changesBetween } from './rule-changes.ts'
import { type Touched } from './rule-change.ts'
import { type Peer } from '../decision/rule-reach.ts'
import { viewChanges } from './change-view.ts'

/** What who comes to a group or leaves it gains or loses by the rules that name it. */
export const changesOfGroup: MemberEffects = async (db, meshId, change) => {
  const snapshot = await loadSnapshot(db, meshId)
  const [before, after] = [change.was, change.is].map((members) =>
    withMembers(snapshot, change.name, members),
  ) as [Snapshot, Snapshot]
  const touched = touchedBy(snapshot, change)
  return async () => viewChanges(await changesBetween({ before, after, at: change.at }, touched))
}

function withMembers(
  snapshot: Snapshot,
  name: string,
  members: readonly PeerGroupMember[],
): Snapshot {
  const groups = new Map([...snapshot.groups, [name, { name, members }]])
  const relationships = [...snapshot.relationships.values()]
  return { ...snapshot, ...peersPart({ relationships, groups: [...groups.values()] }) }
}

function touchedBy(snapshot: Snapshot, { name, was, is }: MembersChange): Touched {
  const rules = [...snapshot.rules.byId.values()].filter(
    ({ audience }) => audience.kind === 'peers' && audience.groups.includes(name),
  )
  return {
    rules,
    peers: [...onlyIn(was, is), ...onlyIn(is, was)].flatMap((member): Peer[] => {
      if (member.kind === 'self') return ['self']
      const peer = snapshot.relationships.get(member.name)
      return peer === undefined ? [] : [peer]
    }),
  }
}

function onlyIn(some: readonly PeerGroupMember[], others: readonly PeerGroupMember[]) {
  const words = new Set(others.map(memberWord))
  return some.filter((member) => !words.has(memberWord(member)))
}
