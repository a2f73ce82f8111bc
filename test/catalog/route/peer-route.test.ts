import t from 'tap'
import { routeToPeer } from '../../../src/catalog/route/peer-route.ts'
import { CART, endpointOf, topologyOf } from './small-mesh.ts'

const consumer = { network: 'vpc-a', cluster: undefined, locality: { region: 'eu', zone: 'eu-1' } }
const [http] = CART.ports
const service = { ...CART, ports: http === undefined ? [] : [http] }

t.test(
  'a peer’s service is reached by the gateways of its offer, the near ones first',
  async (t) => {
    const gateways = [
      { address: 'us.globex.example', port: 15_443, region: 'us', weight: 2 },
      { address: '2001:db8::1', port: 443, region: 'eu', zone: 'eu-1' },
    ]
    const route = routeToPeer({ relationship: 'globex', service, gateways, consumer })
    const sni = 'outbound_.80_._.cart.shop.svc.cluster.local'
    t.match(route.groups, [
      { kind: 'same-region', targets: [{ viaGateway: '[2001:db8::1]:443', sni, weight: 1 }] },
      { kind: 'rest', targets: [{ viaGateway: 'us.globex.example:15443', sni, weight: 2 }] },
    ])
    const targets = route.groups.flatMap((group) => group.targets)
    t.same(
      targets.map(({ network, cluster }) => [network, cluster]),
      [
        [undefined, undefined],
        [undefined, undefined],
      ],
      'nothing is known of its networks and clusters',
    )
  },
)

t.test('a peer that told of no gateway cannot be reached', async (t) => {
  const route = routeToPeer({ relationship: 'globex', service, gateways: [], consumer })
  t.match(route, { groups: [], noRoute: 'globex told of no gateway to shop/cart' })
})

t.test(
  'in a shared network a port with endpoints needs no gateway, another one does',
  async (t) => {
    const topology = topologyOf({
      clusters: [{ name: 'g1', networks: ['vpc-a'] }],
      networks: [{ name: 'vpc-a' }],
    })
    const endpoints = [endpointOf({ cluster: 'g1', network: 'vpc-a', address: '10.9.0.7' })]
    const gateways = [{ address: 'gw.globex.example', port: 15_443 }]
    const shared = { topology, endpoints }
    const route = routeToPeer({ relationship: 'globex', service: CART, gateways, shared, consumer })
    t.same(
      route.groups
        .flatMap((group) => group.targets)
        .map(({ portName, address, viaGateway, cluster }) => ({
          portName,
          address,
          viaGateway,
          cluster,
        }))
        .toSorted((a, b) => (a.portName < b.portName ? -1 : 1)),
      [
        {
          portName: 'grpc',
          address: 'gw.globex.example',
          viaGateway: 'gw.globex.example:15443',
          cluster: undefined,
        },
        { portName: 'http', address: '10.9.0.7', viaGateway: undefined, cluster: undefined },
      ],
    )
  },
)
