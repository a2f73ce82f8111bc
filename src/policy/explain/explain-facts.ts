import { type ConsumerDraft, readConsumer } from '../../catalog/route/consumer.ts'
import { findRoute } from '../../catalog/route/find-route.ts'
import { type Consumer } from '../../catalog/route/route.ts'
import { routeSummary } from '../../catalog/route/summary.ts'
import { inTransaction } from '../../db/connect.ts'
import { isServiceError } from '../../errors.ts'
import { type RelationshipView } from '../../federation/api.ts'
import { loadRelationship } from '../../federation/find-relationship.ts'
import { viewRelationship, type ViewDeps } from '../../federation/view.ts'
import { loadTopology } from '../../mesh/topology/find-topology.ts'
import { type Topology } from '../../mesh/topology/topology.ts'
import { lostName } from '../binding/lost-name.ts'
import { type Query } from '../decision/answer.ts'
import { evaluate, findService } from '../decision/evaluate.ts'
import { findSharer, type SharerDeps } from '../resolve/sharer.ts'
import { type ExplainFacts, type RouteStep } from './explain.ts'
import { sceneOf } from '../decision/scene.ts'
import { type Snapshot } from '../snapshot/snapshot.ts'

/** What facts beside rules are read with. */
export interface FactsDeps extends Pick<ViewDeps, 'anchors' | 'readers'>, SharerDeps {}

/** A question, from where in this mesh it is asked, and the moment by which what is reported is stale. */
export interface FactsWanted {
  readonly query: Query
  readonly consumer: ConsumerDraft
  readonly now: Date
}

/**
 * What stands beside the rules of a question: the relationship as it is, and the way to what is allowed.
 *
 * Which way a peer takes to a service of ours is the peer's affair; ways are for consumers of this mesh. Throws
 * INVALID_REQUEST for a consumer that cannot be.
 */
export async function factsOf(
  deps: FactsDeps,
  snapshot: Snapshot,
  wanted: FactsWanted,
): Promise<ExplainFacts> {
  const { query } = wanted
  const scene = sceneOf(snapshot, query)
  if (scene.kind === 'foreign') return {}
  const relationship =
    scene.kind === 'within'
      ? undefined
      : await relationshipOf(deps, snapshot, { name: scene.peer.name, at: query.at })
  if (scene.kind === 'export') return { relationship }
  const service = findService(snapshot, scene, query.subject)
  const isDenied = evaluate(snapshot, query).decision === 'deny'
  if (service === undefined || isDenied || lostName(snapshot, query) !== undefined) {
    return { relationship }
  }
  const ports = service.ports.filter(({ name }) => query.port === undefined || name === query.port)
  const { namespace, name } = query.subject
  const route = await routeOf(deps, snapshot, { ...wanted, service: { namespace, name, ports } })
  return { relationship, route }
}

// The snapshot may know a relationship that has just gone.
async function relationshipOf(
  deps: FactsDeps,
  { meshId }: Snapshot,
  { name, at }: { readonly name: string; readonly at: Date },
): Promise<RelationshipView | undefined> {
  try {
    return await viewRelationship(deps, await loadRelationship(deps.db, meshId, name), at)
  } catch (error) {
    if (isServiceError(error, 'NOT_FOUND')) return undefined
    throw error
  }
}

async function routeOf(
  deps: FactsDeps,
  snapshot: Snapshot,
  about: FactsWanted & { readonly service: Parameters<typeof findRoute>[2]['service'] },
): Promise<RouteStep> {
  const { query, now, service } = about
  const { meshId } = snapshot
  const sharer = await findSharer(deps, snapshot, { query, now })
  return inTransaction(
    deps.db,
    async (trx) => {
      const topology = await loadTopology(trx, meshId)
      const consumer = consumerIn(topology, about.consumer)
      if ('reason' in consumer) return consumer
      const wanted = { service, of: query.of, sharer, consumer, topology, now }
      return routeSummary(await findRoute(trx, meshId, wanted))
    },
    { isolation: 'repeatable read' },
  )
}

/** The consumer; a mesh of several networks needs to be told in which it is. */
function consumerIn(topology: Topology, draft: ConsumerDraft): Consumer | RouteStep {
  const isTold = draft.network !== undefined || draft.cluster !== undefined
  try {
    return readConsumer(topology, draft)
  } catch (error) {
    if (isTold || !isServiceError(error, 'INVALID_REQUEST')) throw error
    return { outcome: 'unknown', reason: error.message }
  }
}
