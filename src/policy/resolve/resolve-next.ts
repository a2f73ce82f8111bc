import { type Route } from '../../catalog/route/route.ts'
import { type Query } from '../decision/answer.ts'
import { serviceKey } from '../snapshot/snapshot.ts'

/** Most networks for which a gateway is suggested. */
const MAX_NETWORKS = 3

/** Commands that help where a way is missing: to see what is there, and to open one. */
export function nextForRoute({ subject, of }: Query, { noRoute, unreached }: Route): string[] {
  const networks = [...new Set(unreached.map(({ network }) => network))].slice(0, MAX_NETWORKS)
  if (networks.length > 0) {
    const make = networks.map(
      (network) =>
        `entente gateway create NAME --network ${network} --address ADDRESS --port 15443`,
    )
    return ['entente gateway list', ...make]
  }
  if (noRoute === undefined) return []
  const service = serviceKey(subject)
  return of === undefined
    ? [`entente service endpoints ${service}`]
    : [`entente service list --of ${of}`]
}
