import t from 'tap'
import { availabilityOf, TIERS } from '../../../src/mesh/topology/availability.ts'
import { orderedControlPlanes } from '../../../src/mesh/topology/control-plane-order.ts'
import type {
  Topology,
  TopologyCluster,
  TopologyControlPlane,
} from '../../../src/mesh/topology/topology.ts'

const NOW = new Date('2026-11-01T12:00:00Z')
const ago = (seconds: number) => new Date(NOW.getTime() - seconds * 1000)

/** Clusters written as `name@region/zone`, a `*` behind it where it has a control plane of its own. */
function topology(
  clusters: readonly string[],
  over: {
    readonly clusters?: Readonly<Record<string, Partial<TopologyCluster>>>
    readonly planes?: Readonly<Record<string, Partial<TopologyControlPlane>>>
  } = {},
): Topology {
  const planes = new Map<string, TopologyControlPlane>()
  const made = new Map<string, TopologyCluster>()
  for (const text of clusters) {
    const [name = '', place = ''] = text.replace('*', '').split('@')
    const [region, zone] = place.split('/')
    const isPrimary = text.endsWith('*')
    const locality = {
      ...(region === undefined || region === '' ? {} : { region }),
      ...(zone === undefined ? {} : { zone }),
    }
    made.set(name, {
      name,
      role: isPrimary ? 'primary' : 'remote',
      state: 'active',
      locality,
      networks: ['default'],
      controlPlanes: [],
      ...over.clusters?.[name],
    })
    if (isPrimary) planes.set(name, plane(name, { cluster: name, locality }))
  }
  for (const [name, rest] of Object.entries(over.planes ?? {})) {
    planes.set(name, { ...plane(name, {}), ...planes.get(name), ...rest })
  }
  return { clusters: made, networks: new Map(), gateways: [], controlPlanes: planes }
}

function plane(name: string, rest: Partial<TopologyControlPlane>): TopologyControlPlane {
  return {
    name,
    type: rest.cluster === undefined ? 'external' : 'primary',
    cluster: undefined,
    address: undefined,
    locality: {},
    state: 'active',
    heartbeatSeconds: undefined,
    seenAt: undefined,
    ...rest,
  }
}

t.test(
  '27 the five placements are ranked as the page ranks them, with what would raise each',
  (t) => {
    const ranked: readonly (readonly [number, readonly string[], RegExp | undefined])[] = [
      [0, ['a@eu/1*', 'b@us/1'], /control plane in region us/],
      [1, ['a@eu/1*', 'b@eu/2', 'c@us/1*', 'd@us/2'], /second control plane in region eu/],
      [2, ['a@eu/1*', 'b@eu/1*', 'c@eu/2', 'd@eu/1'], /control plane in zone eu\/2/],
      [3, ['a@eu/1*', 'b@eu/1', 'c@eu/2*', 'd@eu/2'], /second control plane in zone eu\/1/],
      [4, ['a@eu/1*', 'b@eu/1*', 'c@eu/1', 'd@eu/2*', 'e@eu/2*'], /own in cluster c/],
      [5, ['a@eu/1*', 'b@eu/2*', 'c@us/1*'], undefined],
    ]
    for (const [tier, clusters, raise] of ranked) {
      const found = availabilityOf(topology(clusters), NOW)
      t.equal(found.tier, tier, `${clusters.join(' ')}: ${found.reason}`)
      t.ok(found.reason.startsWith(TIERS[found.tier]))
      if (raise === undefined) t.same(found.raise, [])
      else t.match(found.raise[0], raise)
    }
    t.end()
  },
)

t.test(
  '27 one cluster with its own control plane is at the top; with an outside one it is not',
  (t) => {
    t.equal(availabilityOf(topology(['a*']), NOW).tier, 5)
    const outside = topology(['a@eu/1'], {
      planes: { cloud: { locality: { region: 'eu', zone: '1' } } },
    })
    t.equal(availabilityOf(outside, NOW).tier, 1)
    t.end()
  },
)

t.test('27 in a region of one zone, one control plane per zone is one per region', (t) => {
  t.equal(availabilityOf(topology(['a@eu/1*', 'b@eu/1']), NOW).tier, 1)
  t.end()
})

t.test('27 where nobody said where clusters are, all of them count as one place', (t) => {
  const found = availabilityOf(topology(['a*', 'b*', 'c']), NOW)
  t.equal(found.tier, 2)
  t.match(found.reason, /without a known region.*a, b, c/)
  t.match(found.raise[0], /zone of cluster c, which is not known/)
  t.end()
})

t.test('27 only what lives counts: silence, draining and disabled hosts are named', (t) => {
  const silent = { heartbeatSeconds: 10, seenAt: ago(31) }
  const dead = availabilityOf(topology(['a@eu/1*'], { planes: { a: silent } }), NOW)
  t.equal(dead.tier, 0)
  t.match(dead.reason, /no control plane lives: control plane a \(eu\/1\) was last heard 2026-/)
  const late = { heartbeatSeconds: 10, seenAt: ago(30) }
  t.equal(availabilityOf(topology(['a@eu/1*'], { planes: { a: late } }), NOW).tier, 5)
  const never = topology(['a@eu/1*'], { planes: { a: { heartbeatSeconds: 10 } } })
  t.match(availabilityOf(never, NOW).raise, [/was never heard/])
  const draining = topology(['a@eu/1*', 'b@eu/2*'], { clusters: { b: { state: 'draining' } } })
  const drained = availabilityOf(draining, NOW)
  t.equal(drained.tier, 1)
  t.match(drained.reason, /not counted: control plane b .* cluster b, which is draining/)
  const disabled = topology(['a@eu/1*', 'b@eu/2*'], { clusters: { b: { state: 'disabled' } } })
  t.equal(availabilityOf(disabled, NOW).tier, 5, 'a disabled cluster needs none')
  t.equal(availabilityOf(topology([]), NOW).tier, 0)
  t.end()
})

t.test(
  '26 the rank decides among control planes that live; draining ones come next, dead ones last',
  (t) => {
    const over = {
      clusters: { a: { controlPlanes: ['p1', 'p2', 'p3', 'p4', 'b'] } },
      planes: {
        p1: { heartbeatSeconds: 10, seenAt: ago(60), locality: { region: 'eu', zone: '1' } },
        p2: { state: 'draining', locality: { region: 'eu', zone: '2' } },
        p3: { state: 'disabled' },
        p4: { locality: { region: 'us' }, address: 'p4.example' },
      },
    } as const
    const order = orderedControlPlanes(topology(['a@eu/1', 'b@eu/1*'], over), 'a', NOW)
    t.same(
      order.map(({ name, standing, rank }) => [name, standing, rank]),
      [
        ['p4', 'available', 4],
        ['b', 'available', 5],
        ['p2', 'draining', 2],
        ['p1', 'gone', 1],
        ['p3', 'disabled', 3],
      ],
    )
    t.match(
      order.map(({ reason }) => reason),
      [
        'rank 4, active (promises no heartbeat), in another region (us)',
        'rank 5, active (promises no heartbeat), in the same zone',
        'rank 2, draining, in another zone of the region (2)',
        /rank 1, last heard .* although it promised every 10 s, in the same zone/,
        'rank 3, disabled, distance not known',
      ],
    )
    t.throws(() => orderedControlPlanes(topology(['a*']), 'nowhere', NOW), { code: 'NOT_FOUND' })
    t.end()
  },
)

function standingUnder(state: TopologyCluster['state']) {
  const over = { clusters: { a: { controlPlanes: ['b'] }, b: { state } } }
  return orderedControlPlanes(topology(['a', 'b*'], over), 'a', NOW)[0]?.standing
}

t.test('26 a control plane goes down and up with the cluster that it runs in', (t) => {
  t.equal(standingUnder('active'), 'available')
  t.equal(standingUnder('draining'), 'draining')
  t.equal(standingUnder('disabled'), 'disabled')
  t.end()
})
