import { type Labels, MAX_LABELS, sortedLabels } from './label.ts'
import {
  MAX_IDENTITIES,
  MAX_PORTS,
  type Port,
  type Service,
  type ServiceContent,
  serviceTitle,
} from './service.ts'

/** What one source says of a service. */
export interface SourcedContent extends ServiceContent {
  readonly source: string
  /** When the source first saw it. */
  readonly since: Date
}

/** The catalogue as it is, what a source sees, and what all sources said before. */
export interface SyncScene {
  readonly source: string
  readonly now: Date
  readonly services: ReadonlyMap<string, Service>
  /** Contents by the title of their service. */
  readonly sourced: ReadonlyMap<string, readonly SourcedContent[]>
  readonly wanted: readonly ServiceContent[]
  /** Titles of services that the source sees without knowing who serves them: they stay as they are. */
  readonly kept: ReadonlySet<string>
  /** Namespaces that the source speaks of; undefined = all. */
  readonly namespaces: ReadonlySet<string> | undefined
}

/** A service that changes. */
export interface Replaced {
  readonly before: Service
  readonly after: Service
}

/** What a sync would do. */
export interface SyncPlan {
  readonly created: readonly Service[]
  readonly updated: readonly Replaced[]
  readonly deleted: readonly Service[]
  readonly unchanged: number
  /** Services that people entered: nothing but people changes them. */
  readonly ofPeople: readonly string[]
  /** What the source says from now on. */
  readonly said: readonly SourcedContent[]
  /** What it said before and says no more. */
  readonly unsaid: readonly SourcedContent[]
}

/**
 * What the catalogue becomes when a source sees these services and no others.
 *
 * One name is one service in all clusters of a mesh, so it is made of what all its sources say, the oldest first; it
 * goes when the last of them no longer sees it. What people entered is never touched.
 */
export function planSync(scene: SyncScene): SyncPlan {
  const { services, wanted } = scene
  const isOfPeople = ({ namespace, name }: ServiceContent): boolean =>
    services.get(serviceTitle({ namespace, name }))?.managedBy.length === 0
  const said = wanted.filter((one) => !isOfPeople(one)).map((one) => saidNow(scene, one))
  const unsaid = unsaidBy(scene)
  const changes = [
    ...said.map((one) => outcomeOf(scene, serviceTitle(one), one)),
    ...unsaid.map((one) => outcomeOf(scene, serviceTitle(one), undefined)),
  ]
  return {
    created: changes.flatMap(({ before, after }) =>
      before === undefined && after !== undefined ? [after] : [],
    ),
    updated: changes.flatMap(({ before, after }) =>
      before !== undefined && after !== undefined && before !== after ? [{ before, after }] : [],
    ),
    deleted: changes.flatMap(({ before, after }) =>
      before !== undefined && after === undefined ? [before] : [],
    ),
    unchanged: changes.filter(({ before, after }) => before !== undefined && before === after)
      .length,
    ofPeople: wanted.filter(isOfPeople).map(serviceTitle),
    said,
    unsaid,
  }
}

/** What one service becomes of what its sources say, the oldest first; of two that differ the older one counts. */
function mergeContents(contents: readonly SourcedContent[]): {
  readonly ports: readonly Port[]
  readonly identities: ServiceContent['identities']
  readonly labels: Labels
} {
  const ports: Port[] = []
  const labels = new Map<string, string>()
  for (const content of contents) {
    for (const port of content.ports) {
      if (!ports.some((one) => one.name === port.name || one.port === port.port)) ports.push(port)
    }
    for (const [key, value] of Object.entries(content.labels)) {
      if (!labels.has(key) && labels.size < MAX_LABELS) labels.set(key, value)
    }
  }
  const identities = new Set(contents.flatMap((content) => content.identities))
  return {
    ports: ports.slice(0, MAX_PORTS),
    identities: [...identities].slice(0, MAX_IDENTITIES).toSorted(),
    labels: sortedLabels(Object.fromEntries(labels)),
  }
}

function saidNow({ source, sourced, now }: SyncScene, content: ServiceContent): SourcedContent {
  const before = sourced.get(serviceTitle(content))?.find((one) => one.source === source)
  return { ...content, source, since: before?.since ?? now }
}

function unsaidBy({ source, sourced, wanted, kept, namespaces }: SyncScene): SourcedContent[] {
  const seen = new Set(wanted.map(serviceTitle))
  return [...sourced].flatMap(([title, contents]) =>
    contents.filter(
      (one) =>
        one.source === source &&
        !seen.has(title) &&
        !kept.has(title) &&
        namespaces?.has(one.namespace) !== false,
    ),
  )
}

interface Outcome {
  readonly before: Service | undefined
  /** The same as before when nothing changes; undefined when it goes. */
  readonly after: Service | undefined
}

function outcomeOf(
  { source, services, sourced, now }: SyncScene,
  title: string,
  said: SourcedContent | undefined,
): Outcome {
  const before = services.get(title)
  const others = (sourced.get(title) ?? []).filter((one) => one.source !== source)
  const contents = [...others, ...(said === undefined ? [] : [said])].toSorted(byAge)
  const [first] = contents
  if (first === undefined) return { before, after: undefined }
  const managedBy = contents.map((one) => one.source)
  const content = { ...mergeContents(contents), managedBy }
  const { namespace, name } = first
  if (before === undefined) {
    return { before, after: { namespace, name, ...content, version: 1n, createdAt: now } }
  }
  if (isSame(before, content)) return { before, after: before }
  return { before, after: { ...before, ...content, version: before.version + 1n } }
}

function byAge(a: SourcedContent, b: SourcedContent): number {
  return a.since.getTime() - b.since.getTime() || (a.source < b.source ? -1 : 1)
}

type Kept = Pick<Service, 'ports' | 'identities' | 'labels' | 'managedBy'>

function isSame(a: Kept, b: Kept): boolean {
  return textOf(a) === textOf(b)
}

/** One text for equal contents; jsonb does not keep the order of members. */
function textOf({ ports, identities, labels, managedBy }: Kept): string {
  const told = ports.map(({ name, port, protocol }) => [name, port, protocol ?? null])
  const keys = Object.entries(labels).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify([told, [...identities].toSorted(), keys, managedBy])
}
