import { isOwned } from '../../access/owner-scope.ts'
import { command } from '../../errors.ts'
import { type Query } from '../decision/answer.ts'
import { aliased, findService } from '../decision/evaluate.ts'
import { sceneOf } from '../decision/scene.ts'
import { isNamed } from '../decision/rule-reach.ts'
import { ruleArgument } from '../rule/rule.ts'
import { serviceKey, type Snapshot, type SnapshotService } from '../snapshot/snapshot.ts'
import { type Between, type Binding, bindingsOf } from './bindings.ts'

/** A service that rules allow and that goes without its name, since another one has it. */
export interface LostName {
  readonly binding: Binding & { readonly conflictsWith: NonNullable<Binding['conflictsWith']> }
  /** As a link of the chain of reasons. */
  readonly step: { readonly step: 'name'; readonly outcome: 'deny'; readonly reason: string }
  /** Commands that help, for the reader of the snapshot. */
  readonly next: readonly string[]
}

/**
 * Whether the service of a question lost its name to another one: then nobody reaches it, whatever rules allow.
 *
 * Says the same of it as the list of everything between the two meshes; only services that could have its name are
 * looked at, and none where no rule renames. Undefined too where rules do not allow it to begin with.
 */
export function lostName(snapshot: Snapshot, query: Query): LostName | undefined {
  if (snapshot.rules.aliases.size === 0) return undefined
  const scene = sceneOf(snapshot, query)
  if (scene.kind === 'foreign' || scene.kind === 'within') return undefined
  const service = findService(snapshot, scene, query.subject)
  if (service === undefined) return undefined
  const { at } = query
  const [alone] = bindingsOf(snapshot, scene, { services: [service], at })
  if (alone === undefined) return undefined
  const services = new Set([service, ...candidatesFor(snapshot, scene, alone.name)])
  const binding = bindingsOf(snapshot, scene, { services, at }).find(
    (one) => one.service === service,
  )
  if (binding?.conflictsWith === undefined) return undefined
  const { conflictsWith, reason } = binding
  return {
    binding: { ...binding, conflictsWith },
    step: { step: 'name', outcome: 'deny', reason },
    next: nextAfterLoss(snapshot, binding),
  }
}

/** What helps a service that lost its name: who may see the rule that gives the name twice is sent to it. */
export function nextAfterLoss({ ownerScope }: Snapshot, { rule }: Binding): string[] {
  if (rule === undefined || !isOwned(ownerScope, rule.ownerScope ?? [])) return []
  return [command`entente rule show ${ruleArgument(rule)}   # gives the name twice`]
}

/** Services that have this name by themselves, or that some rule could give it. */
function candidatesFor(snapshot: Snapshot, scene: Between, title: string): SnapshotService[] {
  const all = scene.kind === 'export' ? snapshot.services : snapshot.offers.get(scene.peer.name)
  if (all === undefined) return []
  const own = all.get(title)
  const [namespace, name = ''] = title.split('/')
  const renamed = [...snapshot.rules.aliases.values()].flatMap((rule) => {
    const { subject, as, direction } = rule
    if (subject.kind !== 'service' || direction !== scene.kind) return []
    if (as?.namespace !== undefined && as.namespace !== namespace) return []
    if (as?.name !== undefined && as.name !== name) return []
    // A rule that gives a name of its own speaks of one name.
    const called = as?.name === undefined ? name : subject.name.literal
    return namedAlike(all, called).filter(
      (service) => isNamed(subject, service) && serviceKey(aliased(service, as)) === title,
    )
  })
  return own === undefined ? renamed : [own, ...renamed]
}

const ALIKE = new WeakMap<object, ReadonlyMap<string, readonly SnapshotService[]>>()

/** The services of one name in all namespaces; put together once for each state of the catalogue. */
function namedAlike(
  services: ReadonlyMap<string, SnapshotService>,
  name: string,
): readonly SnapshotService[] {
  const known = ALIKE.get(services) ?? Map.groupBy(services.values(), (service) => service.name)
  ALIKE.set(services, known)
  return known.get(name) ?? []
}
