import fc from 'fast-check'
import t from 'tap'
import { converted } from '../../cli/convert/converted.ts'
import {
  consulAllows,
  type ConsulCall,
  type ConsulExported,
  type ConsulIntention,
} from './consul-decides.ts'
import { mayCall, smallMesh } from './small-mesh.ts'

const RUNS = { seed: 20261123, numRuns: 600 }
const PEERS = ['globex', 'initech']
const SERVICES = ['shop/cart', 'shop/pay', 'ops/logs']
const CALLERS = ['web/front', 'web/admin', 'batch/job']

const scope = (namespaces: readonly string[], names: readonly string[]) =>
  fc.oneof(
    fc.constant({ Namespace: '*', Name: '*' }),
    fc.record({ Namespace: fc.constantFrom(...namespaces), Name: fc.constant('*') }),
    fc.record({ Namespace: fc.constantFrom(...namespaces), Name: fc.constantFrom(...names) }),
  )
const destination = scope(['shop', 'ops'], ['cart', 'pay', 'logs'])
const exported: fc.Arbitrary<ConsulExported[]> = fc.array(
  fc
    .tuple(destination, fc.subarray(PEERS, { minLength: 1 }))
    .map(([one, peers]) => ({ ...one, Consumers: peers.map((Peer) => ({ Peer })) })),
  { minLength: 1, maxLength: 3 },
)
const intentions: fc.Arbitrary<ConsulIntention[]> = fc.uniqueArray(
  fc
    .tuple(
      destination,
      scope(['web', 'batch'], ['front', 'admin', 'job']),
      fc.constantFrom(...PEERS),
      fc.constantFrom('allow' as const, 'allow' as const, 'deny' as const),
    )
    .map(([to, from, Peer, Action]) => ({ destination: to, source: { ...from, Peer, Action } })),
  {
    selector: ({ destination: to, source }) =>
      [to.Namespace, to.Name, source.Namespace, source.Name, source.Peer].join(' '),
    minLength: 1,
    maxLength: 7,
  },
)

const CALLS: readonly ConsulCall[] = PEERS.flatMap((peer) =>
  SERVICES.flatMap((service) =>
    CALLERS.map((caller) => ({ peer, caller: nameOf(caller), service: nameOf(service) })),
  ),
)

t.test(
  'a translation lets nobody in whom Consul keeps out, and where nothing was refused nobody is lost',
  async (t) => {
    let exact = 0
    fc.assert(
      fc.property(exported, intentions, (services, sources) => {
        const { documents, refused } = converted('consul', entries(services, sources))
        const snapshot = smallMesh({ services: SERVICES, documents })
        if (refused.length === 0) exact += 1
        for (const call of CALLS) {
          const theirs = consulAllows(services, sources, call)
          const ours = isAllowed(snapshot, call)
          if (ours && !theirs) throw new Error(`too much: ${JSON.stringify(call)}`)
          if (theirs && !ours && refused.length === 0) {
            throw new Error(`too little: ${JSON.stringify(call)}`)
          }
        }
      }),
      RUNS,
    )
    t.ok(exact > RUNS.numRuns / 3, `${exact} of ${RUNS.numRuns} inputs could be said in full`)
  },
)

t.test('the comparison would find a translation that keeps every deny', async (t) => {
  const services = [{ Namespace: 'shop', Name: 'cart', Consumers: [{ Peer: 'globex' }] }]
  const to = { Namespace: 'shop', Name: 'cart' }
  const sources: ConsulIntention[] = [
    {
      destination: to,
      source: { Namespace: 'web', Name: 'front', Peer: 'globex', Action: 'allow' },
    },
    { destination: to, source: { Namespace: 'web', Name: '*', Peer: 'globex', Action: 'deny' } },
  ]
  const call = { peer: 'globex', caller: nameOf('web/front'), service: nameOf('shop/cart') }
  t.ok(consulAllows(services, sources, call))
  const { documents } = converted('consul', entries(services, sources))
  t.ok(isAllowed(smallMesh({ services: SERVICES, documents }), call))
  const kept = {
    kind: 'Rule',
    name: 'kept',
    direction: 'export',
    effect: 'deny',
    subject: { namespace: 'shop', name: 'cart' },
    audience: { kind: 'peers', relationships: ['globex'], callers: { namespaces: ['web'] } },
  }
  t.notOk(isAllowed(smallMesh({ services: SERVICES, documents: [...documents, kept] }), call))
})

function isAllowed(
  snapshot: ReturnType<typeof smallMesh>,
  { peer, caller, service }: ConsulCall,
): boolean {
  const id = `${peer}.example/ns/${caller.namespace}/dc/dc1/svc/${caller.name}`
  return mayCall(snapshot, id, `${service.namespace}/${service.name}`)
}

function entries(services: readonly ConsulExported[], all: readonly ConsulIntention[]): string {
  const byDestination = Map.groupBy(all, ({ destination: to }) => `${to.Namespace}/${to.Name}`)
  return [
    { Kind: 'exported-services', Name: 'default', Services: services },
    ...[...byDestination.values()].map((some) => ({
      Kind: 'service-intentions',
      ...some[0]?.destination,
      Sources: some.map(({ source }) => source),
    })),
  ]
    .map((entry) => JSON.stringify(entry))
    .join('\n---\n')
}

function nameOf(text: string): { namespace: string; name: string } {
  const [namespace = '', name = ''] = text.split('/')
  return { namespace, name }
}
