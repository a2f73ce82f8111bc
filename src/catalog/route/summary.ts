import { type Route, type RouteTarget } from './route.ts'

/** A route in one line, as a link of a chain of reasons. */
export interface RouteSummary {
  /** `deny` when there is no way at all. */
  readonly outcome: 'allow' | 'deny'
  readonly reason: string
}

/** What a route comes to: how many addresses and gateways, or why there is no way. */
export function routeSummary({ noRoute, groups, unreached }: Route): RouteSummary {
  if (noRoute !== undefined) return { outcome: 'deny', reason: `no route: ${noRoute}` }
  const targets = groups.flatMap((group) => group.targets)
  const direct = new Set(targets.flatMap(placeOf)).size
  const through = new Set(targets.flatMap(({ viaGateway }) => viaGateway ?? [])).size
  const ways = [
    ...(direct > 0 ? [counted(direct, 'address', 'addresses')] : []),
    ...(through > 0 ? [counted(through, 'gateway', 'gateways')] : []),
  ]
  const lacking = unreached.map(({ reason }) => reason)
  const except = lacking.length === 0 ? '' : `; not reached: ${lacking.join(', ')}`
  return { outcome: 'allow', reason: `${ways.join(' and ')}${except}` }
}

/** Where a target is, if it is an address of the service: once for all of its ports. */
function placeOf({ viaGateway, network, cluster, address }: RouteTarget): string[] {
  return viaGateway === undefined ? [JSON.stringify([network, cluster, address])] : []
}

function counted(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`
}
