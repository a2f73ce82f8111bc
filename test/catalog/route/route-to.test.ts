import t from 'tap'
import { routeTo } from '../../../src/catalog/route/route-to.ts'
import { type Consumer, type Route, type RoutedEndpoint } from '../../../src/catalog/route/route.ts'
import { routeSummary } from '../../../src/catalog/route/summary.ts'
import { type Topology } from '../../../src/mesh/topology/topology.ts'
import { CART, endpointOf, NOW, type Parts, topologyOf } from './small-mesh.ts'

const CLUSTERS: Parts['clusters'] = [
  { name: 'east', locality: { region: 'eu', zone: 'eu-1' } },
  { name: 'west', locality: { region: 'us', zone: 'us-1' } },
]
const NETWORKS: Parts['networks'] = [{ name: 'vpc-a' }, { name: 'vpc-b' }]

const consumer = (some: Partial<Consumer> = {}): Consumer => ({
  network: 'vpc-a',
  cluster: undefined,
  locality: { region: 'eu', zone: 'eu-1' },
  ...some,
})

const ask = (
  topology: Topology,
  endpoints: readonly RoutedEndpoint[],
  who: Consumer = consumer(),
): Route => routeTo({ topology, service: CART, endpoints, consumer: who, now: NOW })

const ago = (seconds: number) => new Date(NOW.getTime() - seconds * 1000)

const kindThrough = (gateway: object, endpoint: object) => {
  const topology = topologyOf({
    clusters: CLUSTERS,
    networks: NETWORKS,
    gateways: [{ name: 'gw', network: 'vpc-b', locality: gateway }],
  })
  const place = { cluster: 'east', network: 'vpc-b', locality: endpoint }
  return ask(topology, [endpointOf(place)]).groups[0]?.kind
}

const addresses = ({ groups }: Route) =>
  groups.map(({ kind, targets }) => [kind, ...targets.map(({ address }) => address)])

t.test('within a network an endpoint is given by its address, nearest first', async (t) => {
  const topology = topologyOf({ clusters: CLUSTERS, networks: NETWORKS })
  const place = { cluster: 'east', network: 'vpc-a' }
  const route = ask(
    topology,
    [
      endpointOf({ ...place, address: '10.0.0.4', locality: { region: 'us', zone: 'us-1' } }),
      endpointOf({ ...place, address: '10.0.0.3', locality: { region: 'eu', zone: 'eu-2' } }),
      endpointOf({ ...place, address: '10.0.0.2' }),
      endpointOf({
        ...place,
        address: '10.0.0.1',
        locality: { region: 'eu', zone: 'eu-1', subzone: 'rack-1' },
      }),
    ],
    consumer({ locality: { region: 'eu', zone: 'eu-1', subzone: 'rack-1' } }),
  )
  t.same(addresses(route), [
    ['same-subzone', '10.0.0.1'],
    ['same-zone', '10.0.0.2'],
    ['same-region', '10.0.0.3'],
    ['rest', '10.0.0.4'],
  ])
  t.match(route.groups[0]?.targets[0], { port: 8080, viaGateway: undefined, sni: undefined })
  t.match(route.groups[1]?.why, 'network vpc-a and in zone eu-1')
})

t.test('a zone of the same name in another region is not near', async (t) => {
  const topology = topologyOf({ clusters: CLUSTERS, networks: NETWORKS })
  const there = { region: 'us', zone: 'eu-1' }
  const route = ask(topology, [endpointOf({ cluster: 'west', network: 'vpc-a', locality: there })])
  t.same(
    route.groups.map(({ kind }) => kind),
    ['rest'],
  )
})

t.test('another network is one target per gateway and port, with Istio’s SNI', async (t) => {
  const topology = topologyOf({
    clusters: CLUSTERS,
    networks: NETWORKS,
    gateways: [
      { name: 'gw-1', network: 'vpc-b', weight: 3 },
      { name: 'gw-2', network: 'vpc-b', sniMode: 'hostname' },
    ],
  })
  const place = { cluster: 'west', network: 'vpc-b' }
  const route = ask(topology, [
    endpointOf({ ...place, address: '10.0.0.1', weight: 2 }),
    endpointOf({ ...place, address: '10.0.0.2' }),
    endpointOf({ ...place, address: '10.0.0.1', port: 9001, portName: 'grpc' }),
  ])
  const [group, ...more] = route.groups
  t.same(more, [])
  t.match(group?.targets, [
    { viaGateway: 'gw-1', portName: 'grpc', port: 15_443, weight: 3 },
    { viaGateway: 'gw-2', portName: 'grpc', weight: 1 },
    { viaGateway: 'gw-1', portName: 'http', address: '203.0.113.1', weight: 9 },
    { viaGateway: 'gw-2', portName: 'http', address: '203.0.113.2', weight: 3 },
  ])
  t.equal(group?.targets[0]?.sni, 'outbound_.9000_._.cart.shop.svc.cluster.local')
  t.equal(group?.targets[1]?.sni, 'cart.shop.svc.cluster.local')
  t.same(routeSummary(route), { outcome: 'allow', reason: '2 gateways' })
})

t.test('the same IP in two networks stays two', async (t) => {
  const topology = topologyOf({
    clusters: CLUSTERS,
    networks: NETWORKS,
    gateways: [{ name: 'gw', network: 'vpc-b' }],
  })
  const route = ask(topology, [
    endpointOf({ cluster: 'east', network: 'vpc-a' }),
    endpointOf({ cluster: 'west', network: 'vpc-b' }),
  ])
  const targets = route.groups.flatMap((group) => group.targets)
  t.match(targets, [
    { address: '10.0.0.5', network: 'vpc-a', viaGateway: undefined },
    { address: '203.0.113.1', network: 'vpc-b', viaGateway: 'gw' },
  ])
})

t.test('what two reporters tell of one address counts once', async (t) => {
  const topology = topologyOf({ clusters: CLUSTERS, networks: NETWORKS })
  const one = endpointOf({ cluster: 'east', network: 'vpc-a' })
  const later = new Date(NOW.getTime() + 90_000)
  const route = ask(topology, [one, { ...one, weight: 5, freshUntil: later }])
  t.match(route.groups, [{ targets: [{ weight: 5 }] }])
  t.equal(route.groups[0]?.targets.length, 1)
})

t.test(
  'a network whose addresses are closed is reached by gateways, also from within',
  async (t) => {
    const topology = topologyOf({
      clusters: CLUSTERS,
      networks: [{ name: 'vpc-a', isDirectlyReachable: false }],
      gateways: [
        { name: 'gw-east', network: 'vpc-a', cluster: 'east' },
        { name: 'gw-west', network: 'vpc-a', cluster: 'west' },
      ],
    })
    const endpoints = [
      endpointOf({ cluster: 'east', network: 'vpc-a', address: '10.0.0.1' }),
      endpointOf({ cluster: 'west', network: 'vpc-a', address: '10.0.0.2' }),
    ]
    const fromEast = ask(topology, endpoints, consumer({ cluster: 'east' }))
    t.same(addresses(fromEast), [
      ['same-zone', '10.0.0.1'],
      ['rest', '203.0.113.2'],
    ])
    const fromNowhere = ask(topology, endpoints)
    t.same(addresses(fromNowhere), [
      ['same-region', '203.0.113.1'],
      ['rest', '203.0.113.2'],
    ])
  },
)

t.test('the gateway of another cluster does not stand in front of closed addresses', async (t) => {
  const topology = topologyOf({
    clusters: CLUSTERS,
    networks: [{ name: 'vpc-a', isDirectlyReachable: false }],
    gateways: [{ name: 'gw-east', network: 'vpc-a', cluster: 'east' }],
  })
  const route = ask(topology, [endpointOf({ cluster: 'west', network: 'vpc-a' })])
  t.match(route, { groups: [], noRoute: /cluster west in network vpc-a has no gateway/ })
})

t.test('without a gateway there is no route, and the reason says so', async (t) => {
  const topology = topologyOf({ clusters: CLUSTERS, networks: NETWORKS })
  const route = ask(topology, [endpointOf({ cluster: 'west', network: 'vpc-b' })])
  t.same(route, {
    noRoute: 'network vpc-b has no gateway',
    groups: [],
    unreached: [
      { network: 'vpc-b', endpoints: 1, reason: 'network vpc-b has no gateway', silent: [] },
    ],
  })
  t.same(routeSummary(route), { outcome: 'deny', reason: 'no route: network vpc-b has no gateway' })
})

t.test('what cannot be reached is named beside what can', async (t) => {
  const topology = topologyOf({
    clusters: CLUSTERS,
    networks: NETWORKS,
    gateways: [{ name: 'gw', network: 'vpc-b', state: 'disabled' }],
  })
  const route = ask(topology, [
    endpointOf({ cluster: 'east', network: 'vpc-a' }),
    endpointOf({ cluster: 'west', network: 'vpc-b' }),
  ])
  t.equal(route.noRoute, undefined)
  t.match(route.unreached, [{ network: 'vpc-b', reason: /gw is disabled/ }])
  t.match(routeSummary(route).reason, /^1 address; not reached: no gateway of network vpc-b/)
})

t.test('a gateway that is not heard is gone, a draining one comes last', async (t) => {
  const heartbeat = { network: 'vpc-b', heartbeatSeconds: 10 }
  const gateways = [
    { name: 'gw-1', ...heartbeat, seenAt: ago(31) },
    { name: 'gw-2', ...heartbeat, seenAt: ago(30) },
    { name: 'gw-3', network: 'vpc-b', state: 'draining' as const },
    { name: 'gw-4', network: 'vpc-b', state: 'disabled' as const },
  ]
  const endpoints = [endpointOf({ cluster: 'west', network: 'vpc-b' })]
  const route = ask(topologyOf({ clusters: CLUSTERS, networks: NETWORKS, gateways }), endpoints)
  t.match(route.groups, [
    { kind: 'rest', targets: [{ viaGateway: 'gw-2' }] },
    { kind: 'last', targets: [{ viaGateway: 'gw-3' }] },
  ])
  const lost = gateways.filter(({ name }) => name === 'gw-1' || name === 'gw-4')
  const without = ask(
    topologyOf({ clusters: CLUSTERS, networks: NETWORKS, gateways: lost }),
    endpoints,
  )
  t.equal(
    without.noRoute,
    'no gateway of network vpc-b is alive: gw-1 is not heard, gw-4 is disabled',
  )
})

t.test('a gateway goes with its cluster', async (t) => {
  const gateways = [{ name: 'gw', network: 'vpc-b', cluster: 'west' }]
  const endpoints = [endpointOf({ cluster: 'east', network: 'vpc-b' })]
  const kinds = (['active', 'draining', 'disabled'] as const).map((state) => {
    const clusters: Parts['clusters'] = [{ name: 'east' }, { name: 'west', state }]
    return ask(topologyOf({ clusters, networks: NETWORKS, gateways }), endpoints).groups.map(
      ({ kind }) => kind,
    )
  })
  t.same(kinds, [['rest'], ['last'], []])
})

t.test('a draining cluster comes last and a disabled one not at all', async (t) => {
  const clusters: Parts['clusters'] = [
    { name: 'east', state: 'draining', locality: { region: 'eu', zone: 'eu-1' } },
    { name: 'west', locality: { region: 'us' } },
    { name: 'south', state: 'disabled' },
  ]
  const route = ask(topologyOf({ clusters, networks: NETWORKS }), [
    endpointOf({ cluster: 'east', network: 'vpc-a', address: '10.0.0.1' }),
    endpointOf({ cluster: 'west', network: 'vpc-a', address: '10.0.0.2' }),
    endpointOf({ cluster: 'south', network: 'vpc-a', address: '10.0.0.3' }),
  ])
  t.same(addresses(route), [
    ['rest', '10.0.0.2'],
    ['last', '10.0.0.1'],
  ])
})

t.test('behind a gateway draining endpoints count only when there are no others', async (t) => {
  const gateways = [{ name: 'gw', network: 'vpc-b' }]
  const clusters: Parts['clusters'] = [{ name: 'east', state: 'draining' }, { name: 'west' }]
  const topology = topologyOf({ clusters, networks: NETWORKS, gateways })
  const draining = endpointOf({ cluster: 'east', network: 'vpc-b', weight: 7 })
  const active = endpointOf({ cluster: 'west', network: 'vpc-b', weight: 2 })
  t.match(ask(topology, [draining, active]).groups, [{ kind: 'rest', targets: [{ weight: 2 }] }])
  t.match(ask(topology, [draining]).groups, [{ kind: 'last', targets: [{ weight: 7 }] }])
})

t.test(
  'stale and unhealthy endpoints are no way, and an answer without any says why',
  async (t) => {
    const topology = topologyOf({ clusters: CLUSTERS, networks: NETWORKS })
    const place = { cluster: 'east', network: 'vpc-a' }
    const route = ask(topology, [
      endpointOf({ ...place, freshUntil: new Date(NOW.getTime() - 1) }),
      endpointOf({ ...place, isHealthy: false }),
      endpointOf({ cluster: 'nowhere', network: 'vpc-a' }),
    ])
    t.same(route.groups, [])
    t.equal(
      route.noRoute,
      'no endpoint of shop/cart, port http or grpc is alive: ' +
        '1 in a cluster or network that is gone, 1 stale, 1 unhealthy',
    )
    t.match(ask(topology, []).noRoute, 'no cluster reports an endpoint of shop/cart')
    t.match(ask(topology, [endpointOf({ ...place, freshUntil: NOW })]).groups, [{ tier: 1 }])
  },
)

t.test('a way through a gateway is as near as the farther of its two halves', async (t) => {
  const near = { region: 'eu', zone: 'eu-1' }
  const far = { region: 'us' }
  t.equal(kindThrough(near, near), 'same-region', 'never before an address in the same zone')
  t.equal(kindThrough(far, near), 'rest')
  t.equal(kindThrough(near, far), 'rest')
  t.equal(kindThrough({}, near), 'same-region', 'a gateway of unknown place does not count')
})

t.test('a group holds a thousand targets at most and says when there are more', async (t) => {
  const topology = topologyOf({ clusters: CLUSTERS, networks: NETWORKS })
  const endpoints = Array.from({ length: 1001 }, (_, index) =>
    endpointOf({ cluster: 'east', network: 'vpc-a', port: index + 1 }),
  )
  t.match(ask(topology, endpoints.slice(1)).groups, [{ truncated: false }])
  const [group] = ask(topology, endpoints).groups
  t.match(group, { truncated: true })
  t.equal(group?.targets.length, 1000)
})
