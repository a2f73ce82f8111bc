import fc from 'fast-check'
import t, { type Test } from 'tap'
import { routeTo } from '../../../src/catalog/route/route-to.ts'
import { type Consumer, type RoutedEndpoint } from '../../../src/catalog/route/route.ts'
import { isHeard, type Topology } from '../../../src/mesh/topology/topology.ts'
import { seeded } from '../../support/seeded.ts'
import { CART, endpointOf, NOW, type Parts, topologyOf } from './small-mesh.ts'

const CLUSTERS = ['c-1', 'c-2', 'c-3']
const NETWORKS = ['n-1', 'n-2', 'n-3']

const state = fc.constantFrom('active', 'active', 'draining', 'disabled' as const)
const locality = fc.oneof(
  fc.constant({}),
  fc.record({ region: fc.constantFrom('r-1', 'r-2') }),
  fc.record({ region: fc.constantFrom('r-1', 'r-2'), zone: fc.constantFrom('z-1', 'z-2') }),
)
const topologies: fc.Arbitrary<Topology> = fc
  .record({
    clusters: fc.tuple(
      ...CLUSTERS.map((name) => fc.record({ name: fc.constant(name), state, locality })),
    ),
    networks: fc.tuple(
      ...NETWORKS.map((name) =>
        fc.record({ name: fc.constant(name), isDirectlyReachable: fc.boolean() }),
      ),
    ),
    gateways: fc.uniqueArray(
      fc.record({
        name: fc.constantFrom('g-1', 'g-2', 'g-3', 'g-4'),
        network: fc.constantFrom(...NETWORKS),
        cluster: fc.option(fc.constantFrom(...CLUSTERS), { nil: undefined }),
        state,
        locality,
        weight: fc.integer({ min: 1, max: 4 }),
        heartbeatSeconds: fc.constantFrom(undefined, 10),
        seenAt: fc.constantFrom(undefined, NOW, new Date(NOW.getTime() - 60_000)),
      }),
      { maxLength: 4, selector: ({ name }) => name },
    ),
  })
  .map((parts) => topologyOf(parts as Parts))

const endpoints: fc.Arbitrary<RoutedEndpoint[]> = fc.array(
  fc
    .record({
      cluster: fc.constantFrom(...CLUSTERS),
      network: fc.constantFrom(...NETWORKS),
      workloadUid: fc.constantFrom('pod-1', 'pod-2'),
      address: fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.3'),
      portName: fc.constantFrom('http', 'grpc'),
      weight: fc.integer({ min: 1, max: 3 }),
      isHealthy: fc.constantFrom(true, true, false),
      freshUntil: fc.constantFrom(new Date(NOW.getTime() - 1), NOW, new Date(NOW.getTime() + 1)),
      locality,
    })
    .map(endpointOf),
  { maxLength: 12 },
)
const consumers: fc.Arbitrary<Consumer> = fc.record({
  network: fc.constantFrom(...NETWORKS),
  cluster: fc.option(fc.constantFrom(...CLUSTERS), { nil: undefined }),
  locality,
})

const targetsOf = (topology: Topology, some: readonly RoutedEndpoint[], consumer: Consumer) =>
  routeTo({ topology, service: CART, endpoints: some, consumer, now: NOW }).groups.flatMap(
    (group) => group.targets.map((target) => ({ ...target, kind: group.kind })),
  )

const isAlive = (topology: Topology, { cluster, isHealthy, freshUntil }: RoutedEndpoint) =>
  isHealthy && freshUntil >= NOW && topology.clusters.get(cluster)?.state !== 'disabled'

/** Said anew, from what networks are: an address counts in its network, or if that is closed in its cluster. */
const mayUseAddress = (topology: Topology, { network, cluster }: Consumer, to: RoutedEndpoint) =>
  to.network === network &&
  (to.cluster === cluster || topology.networks.get(network)?.isDirectlyReachable === true)

const check = (
  t: Test,
  property: (topology: Topology, some: RoutedEndpoint[], consumer: Consumer) => boolean,
) => {
  seeded(t, fc.property(topologies, endpoints, consumers, property))
}

t.test('the random meshes have ways of each sort, and services that none leads to', async (t) => {
  const seen = { addresses: 0, gateways: 0, last: 0, nothing: 0 }
  check(t, (topology, some, consumer) => {
    const targets = targetsOf(topology, some, consumer)
    if (targets.some(({ viaGateway }) => viaGateway === undefined)) seen.addresses += 1
    if (targets.some(({ viaGateway }) => viaGateway !== undefined)) seen.gateways += 1
    if (targets.some(({ kind }) => kind === 'last')) seen.last += 1
    if (some.length > 0 && targets.length === 0) seen.nothing += 1
    return true
  })
  for (const [what, times] of Object.entries(seen)) t.ok(times > 50, `${what}: ${times} times`)
})

t.test('the same network is given by addresses, another one by gateways alone', async (t) => {
  check(t, (topology, some, consumer) =>
    targetsOf(topology, some, consumer).every(({ viaGateway, address, network, cluster }) =>
      viaGateway === undefined
        ? some.some(
            (one) =>
              one.address === address &&
              one.network === network &&
              one.cluster === cluster &&
              mayUseAddress(topology, consumer, one),
          )
        : !address.startsWith('10.'),
    ),
  )
})

t.test('open networks: nobody within sees a gateway of theirs', async (t) => {
  check(t, (topology, some, consumer) =>
    topology.networks.get(consumer.network)?.isDirectlyReachable === true
      ? targetsOf(topology, some, consumer).every(
          ({ viaGateway, network }) => viaGateway === undefined || network !== consumer.network,
        )
      : true,
  )
})

t.test('never addresses and gateways for one cluster in one network', async (t) => {
  check(t, (topology, some, consumer) =>
    CLUSTERS.every((cluster) => {
      const ofCluster = some.filter((one) => one.cluster === cluster && one.network === 'n-1')
      const ways = targetsOf(topology, ofCluster, consumer)
      return new Set(ways.map(({ viaGateway }) => viaGateway === undefined)).size <= 1
    }),
  )
})

t.test('nothing disabled, stale, unhealthy or unheard is ever a way', async (t) => {
  check(t, (topology, some, consumer) => {
    const alive = some.filter((one) => isAlive(topology, one))
    const gateways = topology.gateways.filter(
      (gateway) =>
        gateway.state !== 'disabled' &&
        isHeard(gateway, NOW) &&
        topology.clusters.get(gateway.cluster ?? '')?.state !== 'disabled',
    )
    return targetsOf(topology, some, consumer).every(({ viaGateway, address, cluster, network }) =>
      viaGateway === undefined
        ? alive.some(
            (one) => one.address === address && one.cluster === cluster && one.network === network,
          )
        : gateways.some(({ name }) => name === viaGateway),
    )
  })
})

t.test(
  'every living endpoint is reached in exactly one way, or named as not reached',
  async (t) => {
    check(t, (topology, some, consumer) =>
      some
        .filter((one) => isAlive(topology, one))
        .every((one) => {
          const route = routeTo({ topology, service: CART, endpoints: [one], consumer, now: NOW })
          const targets = route.groups.flatMap((group) => group.targets)
          const isDirect = targets.length === 1 && targets[0]?.viaGateway === undefined
          const isThrough =
            targets.length > 0 && targets.every(({ viaGateway }) => viaGateway !== undefined)
          const isUnreached = route.unreached.length === 1 && route.noRoute !== undefined
          return [isDirect, isThrough, isUnreached].filter(Boolean).length === 1
        }),
    )
  },
)

t.test('an answer has groups or a reason, never neither and never both', async (t) => {
  check(t, (topology, some, consumer) => {
    const route = routeTo({ topology, service: CART, endpoints: some, consumer, now: NOW })
    return route.groups.length > 0
      ? route.noRoute === undefined && route.groups.every(({ targets }) => targets.length > 0)
      : (route.noRoute ?? '').length > 0
  })
})

t.test('what drains comes last, and tiers count from one without a gap', async (t) => {
  check(t, (topology, some, consumer) => {
    const { groups } = routeTo({ topology, service: CART, endpoints: some, consumer, now: NOW })
    const isInOrder = groups.every(({ tier }, index) => tier === index + 1)
    const isDraining = (name: string | undefined) =>
      topology.clusters.get(name ?? '')?.state === 'draining'
    return (
      isInOrder &&
      groups.every(({ kind, targets }, index) =>
        kind === 'last'
          ? index === groups.length - 1
          : targets.every(({ cluster }) => !isDraining(cluster)),
      )
    )
  })
})

t.test('the weights of a network’s gateways are to each other as their own weights', async (t) => {
  check(t, (topology, some, consumer) => {
    const open = new Set(
      [...topology.networks.values()].flatMap((n) => (n.isDirectlyReachable ? n.name : [])),
    )
    const ways = targetsOf(topology, some, consumer).filter(
      ({ viaGateway, kind, network }) =>
        viaGateway !== undefined && kind !== 'last' && open.has(network ?? ''),
    )
    const own = (name: string | undefined) =>
      topology.gateways.find((gateway) => gateway.name === name)?.weight ?? 0
    return ways.every((a) =>
      ways
        .filter((b) => a.network === b.network && a.portName === b.portName)
        .every((b) => a.weight * own(b.viaGateway) === b.weight * own(a.viaGateway)),
    )
  })
})

t.test('the order of reports and gateways changes nothing', async (t) => {
  const shuffled = fc.tuple(topologies, endpoints, consumers).chain(([topology, some, consumer]) =>
    fc.record({
      topology: fc.constant(topology),
      some: fc.constant(some),
      consumer: fc.constant(consumer),
      mixed: fc.shuffledSubarray(some, { minLength: some.length }),
      gateways: fc.shuffledSubarray([...topology.gateways], {
        minLength: topology.gateways.length,
      }),
    }),
  )
  seeded(
    t,
    fc.property(shuffled, ({ topology, some, consumer, mixed, gateways }) => {
      const question = { service: CART, consumer, now: NOW }
      const route = routeTo({ ...question, topology, endpoints: some })
      const other = routeTo({ ...question, topology: { ...topology, gateways }, endpoints: mixed })
      return JSON.stringify(route) === JSON.stringify(other)
    }),
  )
})
