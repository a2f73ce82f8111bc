import t from 'tap'
import { routeToPeer } from '../../../src/catalog/route/peer-route.ts'
import { CART } from './small-mesh.ts'

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
