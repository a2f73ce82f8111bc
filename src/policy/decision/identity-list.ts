import { type SnapshotService } from '../snapshot/snapshot.ts'
import { callerPaths } from '../rule/callers.ts'
import { findService } from './evaluate.ts'
import { type Query } from './answer.ts'
import { applicableRules } from './judge.ts'
import { type PlacedRule } from '../snapshot/rule-index.ts'
import { halfOf, openHalf, sceneOf } from './scene.ts'
import { type Snapshot } from '../snapshot/snapshot.ts'

/** Identities and patterns that are spelled out; beyond, a number stands. */
const MAX_SPELLED = 5

/**
 * Who may serve a service and who may call it, in words; undefined when there is no such service.
 *
 * Callers are those whom the rules of this mesh speak of, whoever asked: patterns for paths of SPIFFE IDs.
 */
export function identityList(snapshot: Snapshot, query: Query): string | undefined {
  const scene = sceneOf(snapshot, query)
  if (scene.kind === 'foreign') return undefined
  const service = findService(snapshot, scene, query.subject)
  if (service === undefined) return undefined
  const half = openHalf(halfOf(snapshot, scene, { query, labels: service.labels }))
  const allows = applicableRules(snapshot.rules, half, 'allow')
  const whose = scene.kind === 'export' ? scene.peer.name : snapshot.meshId
  return `${serversOf(service)}; ${callersOf(allows, whose)}`
}

function serversOf({ serverIds }: SnapshotService): string {
  if (serverIds.length === 0) return 'no identity is named that may serve it, so nobody can check'
  return `served by ${spelled(serverIds)}`
}

function callersOf(allows: readonly PlacedRule[], whose: string): string {
  const patterns = new Set(allows.flatMap(({ rule }) => callerPaths(rule.audience.callers)))
  if (patterns.size === 0) return `nobody of ${whose} may call it`
  if (patterns.has('*')) return `anybody of ${whose} whom no rule denies may call it`
  return `callers of ${whose} that no rule denies: ${spelled([...patterns])}`
}

function spelled(words: readonly string[]): string {
  const more = words.length - MAX_SPELLED
  return `${words.slice(0, MAX_SPELLED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}
