import { type Locality } from '../../mesh/topology/topology.ts'
import { type OfferGateway } from '../endpoint.ts'
import { groupsOf, type Way } from './groups.ts'
import { nearnessThroughGateway } from './nearness.ts'
import { directWay } from './route-to.ts'
import { type Consumer, type Route, type RoutedService } from './route.ts'
import { type SharedEndpoints } from './shared-endpoints.ts'
import { sniOf } from './sni.ts'

/** A question about ways to a service that a peer offers. */
export interface PeerRouteQuestion {
  /** Our name for the peer. */
  readonly relationship: string
  /** As the peer names it. */
  readonly service: RoutedService
  readonly gateways: readonly OfferGateway[]
  /** What of it is in the consumer's own network, where both meshes share that. */
  readonly shared?: SharedEndpoints | undefined
  readonly consumer: Consumer
}

/**
 * How a consumer reaches a service of a peer: through the gateways of the offer, unless it is in a network that both
 * meshes share; then a port that has endpoints there is given by their addresses alone.
 *
 * A foreign mesh's networks are opaque otherwise, and of a shared one its clusters still are. Its gateways pass TLS
 * through by the name that the peer's own side knows.
 */
export function routeToPeer(question: PeerRouteQuestion): Route {
  const { relationship, service, gateways, consumer } = question
  const ways = service.ports.flatMap((port) => {
    const direct = waysWithin(port.name, question)
    if (direct.length > 0) return direct
    return gateways.map((gateway) => wayThrough(gateway, { port, service, consumer }))
  })
  const groups = groupsOf(ways, consumer)
  if (groups.length > 0) return { noRoute: undefined, groups, unreached: [] }
  const title = `${service.namespace}/${service.name}`
  return { noRoute: `${relationship} told of no gateway to ${title}`, groups, unreached: [] }
}

function waysWithin(portName: string, { shared, consumer }: PeerRouteQuestion): Way[] {
  if (shared === undefined) return []
  return shared.endpoints
    .filter((endpoint) => endpoint.portName === portName)
    .map((endpoint) => directWay({ topology: shared.topology, consumer }, endpoint))
    .map((way) => ({ ...way, target: { ...way.target, cluster: undefined } }))
}

function wayThrough(
  gateway: OfferGateway,
  {
    port,
    service,
    consumer,
  }: { port: RoutedService['ports'][number]; service: RoutedService; consumer: Consumer },
): Way {
  const { address, region, zone, weight = 1 } = gateway
  const locality: Locality = {
    ...(region !== undefined && { region }),
    ...(zone !== undefined && { zone }),
  }
  const host = address.includes(':') ? `[${address}]` : address
  return {
    target: {
      address,
      port: gateway.port,
      portName: port.name,
      viaGateway: `${host}:${gateway.port}`,
      sni: sniOf('auto-passthrough', service, port.port),
      network: undefined,
      cluster: undefined,
      locality,
    },
    tier: nearnessThroughGateway(consumer, locality, region === undefined ? 'rest' : 'same-region'),
    shares: [{ amount: weight, weight: 1, total: 1 }],
  }
}
