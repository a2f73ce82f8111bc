import { command } from '../../errors.ts'
import { type Change, type Query } from './answer.ts'
import { evaluate, findService } from './evaluate.ts'
import { applicableRules, type HalfQuestion, judge } from './judge.ts'
import { ruleArgument } from '../rule/rule.ts'
import { type PlacedRule, type RuleIndex } from '../snapshot/rule-index.ts'
import { halfOf, identityHalfOf, NO_LABELS, type Parties, sceneOf } from './scene.ts'
import {
  serviceKey,
  type Snapshot,
  type SnapshotRelationship,
  type SnapshotService,
} from '../snapshot/snapshot.ts'

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
  const service = findService(snapshot, scene, query.subject)
  const labels = service?.labels ?? NO_LABELS
  const identity = denied.has('identity') ? identityHalfOf(snapshot, scene, query) : undefined
  return [
    ...(denied.has('relationship') && scene.kind !== 'within' ? [activation(scene.peer)] : []),
    ...(denied.has('subject') ? [subjectChange(scene, query, service)] : []),
    ...(identity === undefined ? [] : ruleChanges(snapshot.rules, identity)),
    ...ruleChanges(snapshot.rules, halfOf(snapshot, scene, { query, labels })),
  ]
}

function newRelationship(name: string): Change {
  return { act: 'relationship.create', command: command`entente federation add ${name}` }
}

function activation(peer: SnapshotRelationship): Change {
  return { act: 'relationship.activate', command: wayOut(peer) }
}

function wayOut({ name, state }: SnapshotRelationship): string {
  return state === 'terminated'
    ? command`entente federation delete ${name} && entente federation add ${name}`
    : command`entente federation show ${name}`
}

/** What is missing is the service or offer, or the port of it that was asked for. */
function subjectChange(
  scene: Parties,
  { subject, port }: Query,
  service: SnapshotService | undefined,
): Change {
  const key = serviceKey(subject)
  const ports = [...(service?.ports ?? []).map(portText), `${port ?? 'NAME'}:PORT`]
  const listening = ports.flatMap((text) => ['--port', text])
  if (scene.kind === 'import') {
    const { name } = scene.peer
    const add = command`entente service add --of ${name} ${key} ${listening} --identity ID`
    const old = service === undefined ? '' : command`entente service delete --of ${name} ${key} && `
    return { act: 'offer.create', command: old + add }
  }
  return service === undefined
    ? {
        act: 'service.create',
        command: command`entente service add ${key} ${listening} --identity ID`,
      }
    : { act: 'service.change', command: command`entente service change ${key} ${listening}` }
}

function portText({ name, port, protocol }: SnapshotService['ports'][number]): string {
  return `${name}:${port}${protocol === undefined ? '' : `/${protocol}`}`
}

function ruleChanges(index: RuleIndex, half: HalfQuestion): Change[] {
  const removals = applicableRules(index, half, 'deny').map(removal)
  const isDenyOnly = half.direction === 'import' && typeof half.subject === 'string'
  if (isDenyOnly || judge(index, half).allow !== undefined) return removals
  const { direction, relationship = 'self', caller, subject } = half
  const preposition = direction === 'export' ? '--to' : '--from'
  const what = typeof subject === 'string' ? ['--identity', subject || '*'] : [serviceKey(subject)]
  const narrowed = caller === undefined || caller.path === '' ? [] : ['--callers', caller.path]
  const words = [direction, ...what, preposition, relationship, ...narrowed]
  return [...removals, { act: 'rule.create', command: command`entente rule ${words}` }]
}

function removal({ rule }: PlacedRule): Change {
  return {
    act: 'rule.delete',
    command: command`entente rule delete ${ruleArgument(rule)}`,
    ruleId: rule.id,
  }
}
