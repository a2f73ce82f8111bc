import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Binding, bindingsOf, inOrder } from '../binding/bindings.ts'
import { judgeOpen } from '../decision/judge.ts'
import { openHalfOf, type Parties } from '../decision/scene.ts'
import { chunksOf } from '../../db/chunks.ts'
import { serviceKey, type Snapshot, type SnapshotService } from '../snapshot/snapshot.ts'
import { isFor, isNamed } from '../decision/rule-reach.ts'
import { type Rule, type RuleContent } from '../rule/rule.ts'

/** Pairs of a service and a peer that one answer may cost: all of 10,000 services and 100 peers. */
export const MAX_PAIRS = 1_000_000
/** Pairs that are judged before others have their turn: some milliseconds. */
const PAIRS_AT_ONCE = 1000
/** Rules whose subjects are tried one by one; with more of them every service is looked at. */
const MAX_TRIED = 50

/** What somebody sees of a service. */
export interface Seen {
  readonly isVisible: boolean
  /** `namespace/name` there. */
  readonly name: string
  /** Why it is not visible, where another service has its name. */
  readonly conflict?: string
}

/** What one of an audience sees of services at a moment; relationships are taken for active. */
export interface Sight {
  readonly of: (service: SnapshotService) => Seen
  /** Services that can have the name of another one there. */
  readonly sharing: readonly SnapshotService[]
}

/** How services look from there, a clash of names considered. */
export function sightOf(snapshot: Snapshot, scene: Parties, at: Date): Sight {
  const judged = (service: SnapshotService): Seen => {
    const half = openHalfOf(snapshot, scene, { subject: service, labels: service.labels, at })
    const { allow, deny } = judgeOpen(snapshot.rules, half)
    return { isVisible: allow !== undefined && deny === undefined, name: serviceKey(service) }
  }
  const sharing = sharingNames(snapshot, scene)
  if (scene.kind === 'within' || sharing.length === 0) return { of: judged, sharing: [] }
  const bindings = new Map(
    bindingsOf(snapshot, scene, { services: sharing, at }).map((one) => [one.service, seenAs(one)]),
  )
  return { of: (service) => bindings.get(service) ?? judged(service), sharing }
}

function seenAs({ state, name, reason }: Binding): Seen {
  const isVisible = state === 'offered' || state === 'imported'
  return { isVisible, name, ...(state === 'conflict' && { conflict: reason }) }
}

// Those that a rule renames, and those that have a name which a rule gives.
function sharingNames(snapshot: Snapshot, scene: Parties): readonly SnapshotService[] {
  if (scene.kind === 'within' || snapshot.rules.aliases.size === 0) return []
  const rules = [...snapshot.rules.aliases.values()].filter(
    (rule) => rule.direction === scene.kind && isFor(snapshot, rule, scene.peer),
  )
  const services = servicesIn(snapshot, scene)
  if (rules.length === 0 || rules.length > MAX_TRIED) return rules.length === 0 ? [] : services
  return services.filter((service) => rules.some((rule) => speaksOf(rule, service)))
}

function speaksOf({ subject, as }: Rule, service: SnapshotService): boolean {
  if (subject.kind === 'service' && isNamed(subject, service)) return true
  const { namespace = service.namespace, name = service.name } = as ?? {}
  return namespace === service.namespace && name === service.name
}

/** Every service that a scene can be about, by name. */
export function servicesIn(snapshot: Snapshot, scene: Parties): readonly SnapshotService[] {
  if (scene.kind !== 'import') return inOrder(snapshot.services)
  const offers = snapshot.offers.get(scene.peer.name)
  return offers === undefined ? [] : inOrder(offers)
}

/** Those services that some of the rules may speak of, by their names. */
export function subjectsAmong(
  services: readonly SnapshotService[],
  rules: readonly RuleContent[],
): readonly SnapshotService[] {
  const subjects = rules.flatMap(({ subject }) => (subject.kind === 'service' ? [subject] : []))
  if (subjects.length === 0 || subjects.length > MAX_TRIED)
    return subjects.length === 0 ? [] : services
  return services.filter((service) => subjects.some((subject) => isNamed(subject, service)))
}

/** Visits every service, and lets others have their turn in between and afterwards. */
export async function visitInTurns(
  services: readonly SnapshotService[],
  visit: (service: SnapshotService) => void,
): Promise<void> {
  for (const some of chunksOf(services, PAIRS_AT_ONCE)) {
    for (const service of some) visit(service)
    await nextTurn()
  }
}
