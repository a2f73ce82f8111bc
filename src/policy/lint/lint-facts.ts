import { meshesWith } from '../../federation/find-relationship.ts'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { clustersOf } from '../../mesh/find-mesh.ts'
import { type Pattern } from '../rule/pattern.ts'
import { type Rule } from '../rule/rule.ts'
import { type Snapshot, type SnapshotRelationship } from '../snapshot/snapshot.ts'
import { type Snapshots } from '../snapshot/snapshots.ts'

/** What the linter is told besides the snapshot of a mesh; what is left out it knows nothing of, and says nothing about. */
export interface LintFacts {
  /** The clusters that are not disabled. */
  readonly clusters?: ReadonlySet<string>
  /** Patterns of identities of ours, as texts, that no registered one fits; without, identities may come from elsewhere. */
  readonly unregistered?: ReadonlySet<string>
  /** The other halves of relationships with meshes of this service, by what we call them. */
  readonly counterparts?: ReadonlyMap<string, Counterpart>
}

/** A peer in this same service: its rules, and how it knows us. */
export interface Counterpart {
  readonly snapshot: Snapshot
  readonly relationship: SnapshotRelationship
}

/** Whether any identity that is registered in a mesh has a path like this. */
export type RegisteredPath = (db: Db, meshId: MeshId, path: Pattern) => Promise<boolean>

/** What {@link loadLintFacts} needs. */
export interface LintFactsDeps {
  readonly db: Db
  readonly snapshots: Pick<Snapshots, 'current'>
  readonly hasRegistered: RegisteredPath
  /** Whether who asks may see the findings of that mesh too: nobody is told of rules that he may not read. */
  readonly mayLint: (meshId: MeshId) => boolean
}

/** Patterns of identities that are looked up; of more nothing is said. */
const MOST_PATTERNS = 200
/** Meshes of this service whose rules are looked at; of more nothing is said. */
const MOST_COUNTERPARTS = 100

/** What of {@link LintFacts} can be known now. */
export async function loadLintFacts(deps: LintFactsDeps, snapshot: Snapshot): Promise<LintFacts> {
  const rules = [...snapshot.rules.byId.values()]
  const unregistered = await loadUnregistered(deps, snapshot.meshId, rules)
  return {
    ...(rules.some((rule) => rule.clusters !== undefined) && {
      clusters: await loadEnabled(deps.db, snapshot.meshId),
    }),
    ...(unregistered && { unregistered }),
    counterparts: await loadCounterparts(deps, snapshot),
  }
}

async function loadEnabled(db: Db, meshId: MeshId): Promise<ReadonlySet<string>> {
  const clusters = await clustersOf(db, meshId)
  return new Set(clusters.flatMap(({ name, state }) => (state === 'disabled' ? [] : [name])))
}

async function loadUnregistered(
  { db, hasRegistered }: LintFactsDeps,
  meshId: MeshId,
  rules: readonly Rule[],
): Promise<ReadonlySet<string> | undefined> {
  const paths = new Map<string, Pattern>()
  for (const { direction, subject } of rules) {
    if (direction === 'export' && subject.kind === 'identity')
      paths.set(subject.path.text, subject.path)
  }
  // With none registered, other issuers name our workloads.
  const any = { text: '*', literal: '', wild: true }
  if (paths.size === 0 || !(await hasRegistered(db, meshId, any))) return undefined
  const unregistered = new Set<string>()
  for (const [text, path] of [...paths].slice(0, MOST_PATTERNS)) {
    if (!(await hasRegistered(db, meshId, path))) unregistered.add(text)
  }
  return unregistered
}

async function loadCounterparts(
  { db, snapshots, mayLint }: LintFactsDeps,
  { meshId, relationshipOf, trustDomains }: Snapshot,
): Promise<ReadonlyMap<string, Counterpart>> {
  const meshes = await meshesWith(db, meshId, [...relationshipOf.keys()])
  const counterparts = new Map<string, Counterpart>()
  for (const [domain, theirs] of meshes) {
    const peer = relationshipOf.get(domain)
    if (peer?.state !== 'active' || !mayLint(theirs)) continue
    if (counterparts.size === MOST_COUNTERPARTS) break
    const snapshot = await snapshots.current(theirs)
    const [us] = [...trustDomains].flatMap((one) => snapshot.relationshipOf.get(one) ?? [])
    if (us?.state === 'active') counterparts.set(peer.name, { snapshot, relationship: us })
  }
  return counterparts
}
