import { command } from '../../errors.ts'
import { deleteCommand, type LintFinding, onRule } from './lint-finding.ts'
import { contradictionIn } from './lint-selector.ts'
import { selects } from '../rule/label-selector.ts'
import { audienceOf } from '../decision/rule-reach.ts'
import { fits, type Pattern } from '../rule/pattern.ts'
import { type Rule, type ServiceSubject } from '../rule/rule.ts'
import { type Snapshot, type SnapshotService } from '../snapshot/snapshot.ts'
import { pathOf } from '../../spiffe/spiffe-id.ts'
import { type LintFacts } from './lint-facts.ts'

/** Services by namespace: what rules are compared with, so that an exact one meets few. */
export type Shelves = ReadonlyMap<string, readonly SnapshotService[]>

/** Services by namespace. */
function shelve(services: Iterable<SnapshotService>): Shelves {
  return Map.groupBy(services, ({ namespace }) => namespace)
}

/** What decides whether a rule can match at all. */
export interface SubjectContext {
  readonly snapshot: Snapshot
  readonly own: Shelves
  readonly offers: ReadonlyMap<string, Shelves>
}

/** The services of a mesh and the offers of its peers, by namespace. */
export function subjectContext(snapshot: Snapshot): SubjectContext {
  return {
    snapshot,
    own: shelve(snapshot.services.values()),
    offers: new Map([...snapshot.offers].map(([peer, all]) => [peer, shelve(all.values())])),
  }
}

/** A rule for clusters none of which is left, or all of which are disabled. */
export function lintClusters(rule: Rule, { clusters: enabled }: LintFacts): LintFinding[] {
  const { clusters } = rule
  if (clusters === undefined || enabled === undefined) return []
  if (clusters.some((cluster) => enabled.has(cluster))) return []
  const tells = `${clusters.join(', ')}: disabled or gone, so it matches nothing there`
  const next = ['entente cluster list', deleteCommand(rule)]
  return [onRule('rule.clusters-off', rule, { tells, next })]
}

/** Why the subject of a rule matches nothing as things are, if so. */
export function lintSubject(
  rule: Rule,
  context: SubjectContext,
  facts: LintFacts = {},
): LintFinding[] {
  const { subject } = rule
  if (subject.kind === 'identity') return lintIdentity(rule, { path: subject.path, context, facts })
  const contradiction = subject.labels === undefined ? undefined : contradictionIn(subject.labels)
  if (contradiction !== undefined) {
    const tells = `no value of label ${contradiction} satisfies its selector, so it never matches`
    return [onRule('rule.labels-contradict', rule, { tells, next: [deleteCommand(rule)] })]
  }
  const shelves = shelvesFor(rule, context)
  const named = [...shelves].flatMap((one) => servicesOn(one, subject))
  if (named.length === 0) return isEverything(subject) ? [] : [unmatched(rule, subject)]
  return [...lintPorts(rule, subject, named), ...lintVisibility(rule, context)]
}

// Whom a peer has only it knows: what we keep out of its identities may be right for one that we never met.
function lintIdentity(
  rule: Rule,
  about: {
    readonly path: Pattern
    readonly context: SubjectContext
    readonly facts: LintFacts
  },
): LintFinding[] {
  const { path, context, facts } = about
  if (rule.direction !== 'export' || facts.unregistered?.has(path.text) !== true) return []
  const servers = [...context.snapshot.services.values()].flatMap(({ serverIds }) => serverIds)
  if (servers.some((id) => fits(path, pathOf(id)))) return []
  const tells = 'no identity that is registered here or serves a service of ours is meant by it'
  const next = ['entente entry list', deleteCommand(rule)]
  return [onRule('rule.identity-unknown', rule, { tells, next })]
}

// Waits for whatever comes, so that nothing is there now says nothing about it.
function isEverything({ namespace, name, labels }: ServiceSubject): boolean {
  return namespace.text === '*' && name.text === '*' && labels === undefined
}

function shelvesFor(rule: Rule, { snapshot, own, offers }: SubjectContext): readonly Shelves[] {
  if (rule.direction === 'export') return [own]
  return audienceOf(snapshot, rule).flatMap((peer) =>
    peer === 'self' ? [] : (offers.get(peer.name) ?? []),
  )
}

/** The services there that a rule means. */
export function servicesOn(shelves: Shelves, subject: ServiceSubject): SnapshotService[] {
  const { namespace, name, labels } = subject
  const lists = namespace.wild
    ? [...shelves].filter(([one]) => fits(namespace, one)).map(([, services]) => services)
    : [shelves.get(namespace.literal) ?? []]
  return lists
    .flat()
    .filter((one) => fits(name, one.name) && (labels === undefined || selects(labels, one.labels)))
}

function unmatched(rule: Rule, { namespace, name, labels }: ServiceSubject): LintFinding {
  const service = `${namespace.text}/${name.text}`
  const isExact = !namespace.wild && !name.wild && labels === undefined
  if (rule.direction === 'import') {
    const tells = 'no peer there has such a service on record here'
    const next = ['entente federation show RELATIONSHIP', ...(isExact ? [deleteCommand(rule)] : [])]
    return onRule('rule.matches-nothing', rule, { tells, next })
  }
  if (!isExact) {
    const tells = 'no service of this mesh is meant by it now'
    return onRule('rule.matches-nothing', rule, { tells, next: ['entente service list'] })
  }
  const tells = `${service} is no service of this mesh`
  const next = [command`entente service add ${service} --port http:8080 --identity PATH`]
  return onRule('rule.service-unknown', rule, { tells, next: [...next, deleteCommand(rule)] })
}

function lintPorts(
  rule: Rule,
  { ports = [] }: ServiceSubject,
  services: readonly SnapshotService[],
): LintFinding[] {
  if (ports.length === 0) return []
  const known = new Set(services.flatMap((one) => one.ports.map((port) => port.name)))
  const unknown = ports.filter((port) => !known.has(port))
  if (unknown.length === 0) return []
  const tells = `no service meant by it has a port named ${unknown.join(' or ')}`
  const next = [`ports there are: ${[...known].slice(0, 10).join(', ') || 'none'}`]
  return [onRule('rule.port-unknown', rule, { tells, next })]
}

function lintVisibility(rule: Rule, { own }: SubjectContext): LintFinding[] {
  const { visibleTo } = rule
  if (visibleTo === undefined) return []
  if (visibleTo.some((pattern) => isUsed(pattern, own))) return []
  const tells = `no service of ours runs in ${visibleTo.map(({ text }) => text).join(' or ')}`
  const next = ['right if only clients run there; else correct visibleTo']
  return [onRule('rule.visible-to-nobody', rule, { tells, next })]
}

function isUsed(pattern: Pattern, shelves: Shelves): boolean {
  if (!pattern.wild) return shelves.has(pattern.literal)
  return [...shelves.keys()].some((namespace) => fits(pattern, namespace))
}
