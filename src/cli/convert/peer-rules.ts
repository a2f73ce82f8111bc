import { type JsonRecord } from '../declarative/json-schema.ts'
import { type Draft } from './draft.ts'

/** Relationships and groups that a rule names. */
export interface Peers {
  readonly relationships?: readonly string[]
  readonly groups?: readonly string[]
}

/** Peers as a rule's audience has them. */
export function audienceOf({ relationships = [], groups = [] }: Peers): JsonRecord {
  return {
    kind: 'peers',
    ...(relationships.length > 0 && { relationships }),
    ...(groups.length > 0 && { groups }),
  }
}

/**
 * The rule that the other systems do not have: which identities of ours a peer is shown. They show all, so where
 * they import, all are exposed.
 */
export function exposeIdentities(draft: Draft, origin: string, peers: Peers | 'all'): void {
  const words =
    peers === 'all' ? ['all'] : [...(peers.relationships ?? []), ...(peers.groups ?? [])]
  draft.ruleOnce(
    [origin, 'identities', ...words],
    {
      direction: 'export',
      effect: 'allow',
      subject: { identity: '*' },
      audience: peers === 'all' ? { kind: 'all' } : audienceOf(peers),
    },
    'callers of imported services present their identities; narrow it to those that need to',
  )
}
