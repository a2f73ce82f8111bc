import { type ConsumerDraft, readConsumer } from '../../catalog/route/consumer.ts'
import { findRoute } from '../../catalog/route/find-route.ts'
import { type Sharer } from '../../catalog/route/shared-endpoints.ts'
import { type Consumer, type Route } from '../../catalog/route/route.ts'
import { type Port } from '../../catalog/service.ts'
import { type MeshId } from '../../db/ids.ts'
import { type Db, inTransaction } from '../../db/connect.ts'
import { quoted, ServiceError } from '../../errors.ts'
import { loadTopology } from '../../mesh/topology/find-topology.ts'
import { type SpiffeId, trustDomainOf } from '../../spiffe/spiffe-id.ts'
import { type LostName, lostName } from '../binding/lost-name.ts'
import { type Answer, type Query } from '../decision/answer.ts'
import { evaluate } from '../decision/evaluate.ts'
import { type SubjectName } from '../snapshot/rule-index.ts'
import { serviceKey, type Snapshot } from '../snapshot/snapshot.ts'
import { type Snapshots } from '../snapshot/snapshots.ts'
import { findSharer } from './sharer.ts'

/** What the resolving of services stands on. */
export interface ResolveDeps {
  readonly db: Db
  readonly snapshots: Pick<Snapshots, 'current'>
}

/** Who wants to reach which service. */
export interface ResolveQuestion {
  readonly subject: SubjectName
  /** The relationship whose service it is; undefined = ours. */
  readonly of?: string | undefined
  readonly consumer: ConsumerDraft & { readonly namespace?: string | undefined }
  /** The cluster in which rules take who asks to be; one that is only claimed leads the way and opens nothing. */
  readonly cluster?: string | undefined
  /** With one the question is whether it may call, without whether anybody there may see. */
  readonly caller?: SpiffeId | undefined
  /** Name or number of the only port of interest. */
  readonly port?: string | undefined
  /** Who asks does not speak for the service: a port that it does not have is denied as one that is closed. */
  readonly hidesPorts?: boolean | undefined
  /** Who asks may not list clusters and networks. */
  readonly hidesTopology?: boolean | undefined
  /** Decides which rules have ended. */
  readonly at: Date
  /** Decides what is stale. */
  readonly now: Date
}

/** A decision, and the ways to what it allows. */
export interface Resolution {
  readonly snapshot: Snapshot
  readonly query: Query
  readonly answer: Answer
  readonly consumer: Consumer
  /** The name that it lost to another service, which denies it whatever rules say. */
  readonly lost: LostName | undefined
  /** Undefined on a deny: who may not see a service learns nothing of where it is. */
  readonly found: { readonly ports: readonly Port[]; readonly route: Route } | undefined
}

/** How a resolution came out, as counted. */
export function outcomeOf({ found }: Resolution): 'deny' | 'no-route' | 'routed' {
  if (found === undefined) return 'deny'
  return found.route.noRoute === undefined ? 'routed' : 'no-route'
}

/**
 * How a consumer reaches a service: first whether it may and under which name, and only then where.
 *
 * Policy decides on the mesh's snapshot, ways come from what is reported now. Throws INVALID_REQUEST for a consumer
 * or caller that cannot be and for a port that the service does not have, NOT_FOUND for the mesh.
 */
export async function resolve(
  deps: ResolveDeps,
  meshId: MeshId,
  question: ResolveQuestion,
): Promise<Resolution> {
  const snapshot = await deps.snapshots.current(meshId)
  checkCaller(snapshot, question)
  const sharer = await findSharer(deps, snapshot, { query: queryOf(question), now: question.now })
  // Read apart, topology and endpoints could be of two moments, and the ways between them of none.
  return inTransaction(deps.db, (trx) => resolveIn(trx, snapshot, { ...question, sharer }), {
    isolation: 'repeatable read',
  })
}

async function resolveIn(
  trx: Db,
  snapshot: Snapshot,
  question: ResolveQuestion & { readonly sharer: Sharer | undefined },
): Promise<Resolution> {
  const { meshId } = snapshot
  const topology = await loadTopology(trx, meshId)
  const consumer = readConsumer(topology, question.consumer, {
    hidesNames: question.hidesTopology,
  })
  const query = queryOf(question)
  const answer = evaluate(snapshot, query)
  const lost = answer.decision === 'deny' ? undefined : lostName(snapshot, query)
  const resolved = { snapshot, query, answer, lost, consumer }
  if (answer.decision === 'deny' || lost !== undefined) return { ...resolved, found: undefined }
  const asked = portsOf(snapshot, question)
  if (asked === undefined) return { ...resolved, ...denied(snapshot, query, question.port) }
  const ports = asked.filter((port) => isAllowed(snapshot, query, port))
  if (ports.length === 0) return { ...resolved, ...denied(snapshot, query, asked[0]?.name) }
  const { subject, of, sharer, now } = question
  const service = { namespace: subject.namespace, name: subject.name, ports }
  const route = await findRoute(trx, meshId, { service, of, sharer, consumer, topology, now })
  return { ...resolved, found: { ports, route } }
}

/** Ways are those of this mesh's networks; how a peer's workloads come to ours, only the peer's mesh can say. */
function checkCaller({ meshId, trustDomains }: Snapshot, { caller }: ResolveQuestion): void {
  if (caller === undefined || trustDomains.has(trustDomainOf(caller))) return
  const detail = `${quoted(caller)} is no identity of mesh ${meshId}`
  throw new ServiceError('INVALID_REQUEST', detail, {
    fields: [{ in: 'querystring', pointer: '/caller', detail }],
    next: 'entente explain ID --may-call NAMESPACE/NAME',
  })
}

function queryOf({
  subject,
  of,
  caller,
  cluster,
  at,
  consumer: { namespace },
}: ResolveQuestion): Query {
  return { subject, of, caller, cluster, namespace, at }
}

/** Rules may open some ports of a service and not others. */
function isAllowed(snapshot: Snapshot, query: Query, port: Port): boolean {
  return evaluate(snapshot, { ...query, port: port.name }).decision === 'allow'
}

/** The deny of the first port that was asked about, where none is allowed. */
function denied(
  snapshot: Snapshot,
  query: Query,
  port: string | undefined,
): Pick<Resolution, 'query' | 'answer' | 'found'> {
  const ofPort = { ...query, port }
  return { query: ofPort, answer: evaluate(snapshot, ofPort), found: undefined }
}

/** The ports that are asked about; undefined for one that the service does not have, where that is not to be told. */
function portsOf(
  snapshot: Snapshot,
  { subject, of, port, hidesPorts }: ResolveQuestion,
): readonly Port[] | undefined {
  const key = serviceKey(subject)
  const service = of === undefined ? snapshot.services.get(key) : snapshot.offers.get(of)?.get(key)
  const ports = service?.ports ?? []
  if (port === undefined) return ports
  const wanted = ports.filter((one) => one.name === port || String(one.port) === port)
  if (wanted.length > 0) return wanted
  if (hidesPorts === true) return undefined
  const known = ports.map((one) => `${one.name} (${one.port})`).join(', ')
  const detail = `${key} has no port ${quoted(port)}; it has ${known}`
  throw new ServiceError('INVALID_REQUEST', detail, {
    fields: [{ in: 'querystring', pointer: '/port', detail }],
  })
}
