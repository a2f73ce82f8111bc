import { type Change, type Query } from './answer.ts'
import { evaluate, findService } from './evaluate.ts'
import { applicableRules, type HalfQuestion, judge } from './judge.ts'
import { type PlacedRule, type RuleIndex, type SubjectName } from './rule-index.ts'
import { halfOf, identityHalfOf, NO_LABELS, type Parties, sceneOf } from './scene.ts'
import { serviceKey, type Snapshot, type SnapshotRelationship } from './snapshot.ts'

/**
 * The smallest change that would allow what is denied: one act per link that denies, all of them needed.
 *
 * Empty when it is allowed already, and when no act of this mesh could help: the caller poses as another mesh's,
 * or another mesh decides.
 */
export function smallestChange(snapshot: Snapshot, query: Query): Change[] {
  const scene = sceneOf(snapshot, query)
  if (scene.kind === 'foreign') {
    return scene.missing === undefined ? [] : [newRelationship(scene.missing)]
  }
  const { steps } = evaluate(snapshot, query)
  const denied = new Set(steps.filter((step) => step.outcome === 'deny').map((step) => step.step))
  if (denied.has('tenancy')) return []
  const labels = findService(snapshot, scene, query.subject)?.labels ?? NO_LABELS
  const identity = denied.has('identity') ? identityHalfOf(snapshot, scene, query) : undefined
  return [
    ...(denied.has('relationship') && scene.kind !== 'within' ? [activation(scene.peer)] : []),
    ...(denied.has('subject') ? [newSubject(scene, query.subject)] : []),
    ...(identity === undefined ? [] : ruleChanges(snapshot.rules, identity)),
    ...ruleChanges(snapshot.rules, halfOf(snapshot, scene, { query, labels })),
  ]
}

function newRelationship(name: string): Change {
  return { act: 'relationship.create', command: `entente federation add ${name}` }
}

function activation(peer: SnapshotRelationship): Change {
  return { act: 'relationship.activate', command: wayOut(peer) }
}

function wayOut({ name, state }: SnapshotRelationship): string {
  return state === 'terminated'
    ? `entente federation delete ${name} && entente federation add ${name}`
    : `entente federation show ${name}`
}

function newSubject(scene: Parties, subject: SubjectName): Change {
  const what = `${serviceKey(subject)} --port NAME:PORT --identity ID`
  if (scene.kind !== 'import')
    return { act: 'service.create', command: `entente service add ${what}` }
  return { act: 'offer.create', command: `entente service add --of ${scene.peer.name} ${what}` }
}

function ruleChanges(index: RuleIndex, half: HalfQuestion): Change[] {
  const removals = applicableRules(index, half, 'deny').map(removal)
  const isDenyOnly = half.direction === 'import' && typeof half.subject === 'string'
  if (isDenyOnly || judge(index, half).allow !== undefined) return removals
  const { direction, relationship = 'self', caller, subject } = half
  const preposition = direction === 'export' ? '--to' : '--from'
  const what = typeof subject === 'string' ? `--identity ${subject || "'*'"}` : serviceKey(subject)
  const narrowed = caller === undefined || caller.path === '' ? '' : ` --callers ${caller.path}`
  const command = `entente rule ${direction} ${what} ${preposition} ${relationship}${narrowed}`
  return [...removals, { act: 'rule.create', command }]
}

function removal({ rule }: PlacedRule): Change {
  return { act: 'rule.delete', command: `entente rule delete ${rule.id}`, ruleId: rule.id }
}
