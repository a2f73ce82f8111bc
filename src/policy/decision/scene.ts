import { type Labels } from '../../catalog/label.ts'
import { type CallerFacts, callerFacts } from '../rule/callers.ts'
import { type Query, type Step } from './answer.ts'
import { type HalfQuestion } from './judge.ts'
import { type SubjectName } from '../snapshot/rule-index.ts'
import { type Snapshot, type SnapshotRelationship } from '../snapshot/snapshot.ts'
import { pathOf, trustDomainOf } from '../../spiffe/spiffe-id.ts'

/** Who provides and who asks, as seen from one mesh. */
export type Parties =
  /** Our service, asked for by ourselves. */
  | { readonly kind: 'within' }
  /** Our service, asked for by a peer. */
  | { readonly kind: 'export'; readonly peer: SnapshotRelationship }
  /** A peer's service, asked for by ourselves. */
  | { readonly kind: 'import'; readonly peer: SnapshotRelationship }

/** A question that nobody here can decide; `missing` names what a relationship would have to be made with. */
export interface Foreign {
  readonly kind: 'foreign'
  readonly step: Step
  readonly missing?: string
}

/** What a question turns out to be about. */
export type Scene = Parties | Foreign

/** Finds the parties of a question. */
export function sceneOf(snapshot: Snapshot, query: Query): Scene {
  const { of } = query
  const provider = of === undefined ? undefined : snapshot.relationships.get(of)
  if (of !== undefined && provider === undefined) return unknownRelationship(of)
  const asking = askingPeer(snapshot, query)
  if (asking !== undefined && 'kind' in asking) return asking
  if (provider === undefined) {
    return asking === undefined ? { kind: 'within' } : { kind: 'export', peer: asking }
  }
  return asking === undefined ? { kind: 'import', peer: provider } : passingOn(provider, asking)
}

/** The question about one half of the decision, as the rules of this mesh hear it. */
export function halfOf(
  snapshot: Snapshot,
  scene: Parties,
  { query, labels }: { readonly query: Query; readonly labels: Labels },
): HalfQuestion {
  const caller = callerOf(query)
  return {
    ...partyOf(snapshot, scene),
    direction: scene.kind === 'import' ? 'import' : 'export',
    subject: query.subject,
    labels,
    caller,
    port: query.port,
    cluster: clusterOf(query),
    namespace: query.namespace ?? (caller && (caller.namespace ?? null)),
    atMs: query.at.getTime(),
  }
}

/**
 * The question about the identity of a caller: whether ours may be presented to the peer (export), or whether we
 * keep the peer's out (import). Undefined without a caller, and within the mesh.
 */
export function identityHalfOf(
  snapshot: Snapshot,
  scene: Parties,
  query: Query,
): HalfQuestion | undefined {
  if (scene.kind === 'within' || query.caller === undefined) return undefined
  return {
    ...partyOf(snapshot, scene),
    direction: scene.kind === 'import' ? 'export' : 'import',
    subject: pathOf(query.caller),
    labels: NO_LABELS,
    caller: undefined,
    port: undefined,
    cluster: clusterOf(query),
    namespace: undefined,
    atMs: query.at.getTime(),
  }
}

/** The question about one service with nothing narrowed. */
export function openHalfOf(
  snapshot: Snapshot,
  scene: Parties,
  asked: { readonly subject: SubjectName; readonly labels: Labels; readonly at: Date },
): HalfQuestion {
  return {
    ...partyOf(snapshot, scene),
    direction: scene.kind === 'import' ? 'import' : 'export',
    subject: asked.subject,
    labels: asked.labels,
    caller: undefined,
    port: undefined,
    cluster: undefined,
    namespace: undefined,
    atMs: asked.at.getTime(),
  }
}

/** The question with nothing narrowed: what a service is called does not depend on who asks. */
export function openHalf(half: HalfQuestion): HalfQuestion {
  return { ...half, caller: undefined, port: undefined, cluster: undefined, namespace: undefined }
}

/** What a service that nobody knows is labelled with. */
export const NO_LABELS: Labels = {}

function partyOf(
  snapshot: Snapshot,
  scene: Parties,
): Pick<HalfQuestion, 'relationship' | 'groups'> {
  if (scene.kind === 'within') return { relationship: undefined, groups: snapshot.ownGroups }
  const { name } = scene.peer
  return { relationship: name, groups: snapshot.groupsOf.get(name) ?? [] }
}

function callerOf({ caller }: Query): CallerFacts | undefined {
  return caller === undefined ? undefined : callerFacts(pathOf(caller))
}

/** Where a consumer is may be left open as long as nobody in particular calls. */
function clusterOf({ cluster, caller }: Query): HalfQuestion['cluster'] {
  return cluster ?? (caller && null)
}

function askingPeer(
  snapshot: Snapshot,
  { to, caller }: Query,
): SnapshotRelationship | Foreign | undefined {
  if (to !== undefined) return snapshot.relationships.get(to) ?? unknownRelationship(to)
  if (caller === undefined) return undefined
  const domain = trustDomainOf(caller)
  if (snapshot.trustDomains.has(domain)) return undefined
  return snapshot.relationshipOf.get(domain) ?? unknownDomain(domain)
}

function unknownRelationship(name: string): Foreign {
  const reason = `no relationship is named ${name}`
  return { kind: 'foreign', step: { step: 'relationship', outcome: 'deny', reason }, missing: name }
}

function unknownDomain(domain: string): Foreign {
  const reason = `trust domain ${domain} is neither ours nor that of any relationship`
  return {
    kind: 'foreign',
    step: { step: 'relationship', outcome: 'deny', reason },
    missing: domain,
  }
}

function passingOn(provider: SnapshotRelationship, asking: SnapshotRelationship): Foreign {
  const reason =
    provider.name === asking.name
      ? `both ends belong to ${provider.name}, which alone decides it`
      : `nothing imported is exported again: ${provider.name} decides what ${asking.name} may see`
  return { kind: 'foreign', step: { step: 'tenancy', outcome: 'deny', reason } }
}
