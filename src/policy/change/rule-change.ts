import { type ChangeKind } from '../../federation/group/peer-changes-api.ts'
import { type Snapshot } from '../snapshot/snapshot.ts'
import { type Peer } from '../decision/rule-reach.ts'
import { type Direction, type Rule } from '../rule/rule.ts'

/** One thing that becomes otherwise. */
export interface RuleChangeItem {
  readonly kind: ChangeKind
  /** `namespace/name`, or `identity` and a pattern. */
  readonly subject: string
  /** Its name there; of what is renamed the new one. */
  readonly name?: string
  /** Of what is renamed: its name before. */
  readonly was?: string
  /** Of what becomes allowed or denied, which calls: paths, `port NAME`, `cluster NAME`, `namespace NAME`. */
  readonly who: readonly string[]
}

/** What becomes otherwise for one of the audience. */
export interface PeerChanges {
  /** A relationship's name, or `self`. */
  readonly peer: string
  readonly direction: Direction
  readonly counts: Readonly<Record<ChangeKind, number>>
  /** The first of them. */
  readonly items: readonly RuleChangeItem[]
}

/** Everything that a change does, per peer; peers for whom nothing changes are left out. */
export interface RuleChanges {
  readonly peers: readonly PeerChanges[]
  /** Whether every service was looked at; a change of enormous reach is not compared as a whole. */
  readonly complete: boolean
}

/** The snapshots around a change, and the moment at which they are compared. */
export interface Around {
  readonly before: Snapshot
  readonly after: Snapshot
  readonly at: Date
}

/** Which rules, as they were and as they are, say another thing to which peers. */
export interface Touched {
  readonly rules: readonly Rule[]
  readonly peers: readonly Peer[]
}

/** What of a change touches one of its audience in one direction. */
export interface TouchedPeer {
  readonly rules: readonly Rule[]
  readonly peer: Peer
  readonly direction: Direction
}
