import { type Route, type Unreached } from '../../catalog/route/route.ts'
import { command } from '../../errors.ts'
import { type Query } from '../decision/answer.ts'
import { serviceKey } from '../snapshot/snapshot.ts'

/** Most gateways that are suggested, to be heard or to be made. */
const MAX_GATEWAYS = 3

/** Commands that help where a way is missing: to see what is there, and to open one. */
export function nextForRoute({ subject, of }: Query, { noRoute, unreached }: Route): string[] {
  const ways = new Set(unreached.flatMap(wayTo))
  if (ways.size > 0) return ['entente gateway list', ...[...ways].slice(0, MAX_GATEWAYS)]
  if (noRoute === undefined) return []
  const service = serviceKey(subject)
  return of === undefined
    ? [command`entente service endpoints ${service}`]
    : [command`entente service list --of ${of}`]
}

/** A gateway that only has to be heard again is not made a second time. */
function wayTo({ network, silent }: Unreached): string[] {
  return silent.length > 0
    ? silent.map((name) => command`entente gateway heartbeat ${name}`)
    : [command`entente gateway create NAME --network ${network} --address ADDRESS --port 15443`]
}
