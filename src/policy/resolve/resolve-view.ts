import { type Route, type RouteTarget } from '../../catalog/route/route.ts'
import { smallestChange } from '../decision/remedy.ts'
import { type ResolveView, type RouteView, type WorkloadResolveView } from './resolve-api.ts'
import { nextForRoute } from './resolve-next.ts'
import { type Resolution } from './resolve.ts'
import { serviceKey } from '../snapshot/snapshot.ts'

/** A resolution as an administrator sees it: with the chain of reasons, and what would allow it. */
export function viewResolution(resolution: Resolution, namespace: string | undefined): ResolveView {
  const { snapshot, query, answer, lost, found } = resolution
  return {
    ...viewQuestion(resolution, namespace),
    decision: lost === undefined ? answer.decision : 'deny',
    question: answer.question,
    steps: [...answer.steps, ...(lost === undefined ? [] : [lost.step])],
    undecided: [...answer.undecided],
    route: found === undefined ? null : viewRoute(resolution, found),
    at: query.at.toISOString(),
    revision: String(snapshot.revision),
    next:
      found === undefined
        ? [...(lost?.next ?? []), ...smallestChange(snapshot, query).map(({ command }) => command)]
        : nextForRoute(query, found.route),
  }
}

/** A resolution as a workload sees it, which may call the service; undefined when it may not. */
export function viewForWorkload(
  resolution: Resolution,
  namespace: string | undefined,
): WorkloadResolveView | undefined {
  const { found } = resolution
  if (found === undefined) return undefined
  return { ...viewQuestion(resolution, namespace), ...viewRoute(resolution, found) }
}

function viewQuestion(
  { query, consumer }: Resolution,
  namespace: string | undefined,
): Pick<ResolveView, 'service' | 'of' | 'consumer'> {
  return {
    service: serviceKey(query.subject),
    of: query.of ?? null,
    consumer: {
      network: consumer.network,
      cluster: consumer.cluster ?? null,
      namespace: namespace ?? null,
      caller: query.caller ?? null,
      locality: { ...consumer.locality },
    },
  }
}

function viewRoute(
  { answer }: Resolution,
  { ports, route }: NonNullable<Resolution['found']>,
): RouteView {
  return {
    hostname: answer.hostname ?? null,
    serverIds: [...answer.serverIds],
    ports: ports.map((port) => ({ ...port })),
    noRoute: route.noRoute ?? null,
    groups: viewGroups(route),
    unreached: route.unreached.map(({ network, endpoints, reason }) => ({
      network,
      endpoints,
      reason,
    })),
  }
}

function viewGroups({ groups }: Route): RouteView['groups'] {
  return groups.map((group) => ({ ...group, targets: group.targets.map(viewTarget) }))
}

function viewTarget(target: RouteTarget): RouteView['groups'][number]['targets'][number] {
  const { viaGateway, sni, network, cluster, locality } = target
  return {
    ...target,
    viaGateway: viaGateway ?? null,
    sni: sni ?? null,
    network: network ?? null,
    cluster: cluster ?? null,
    locality: { ...locality },
  }
}
