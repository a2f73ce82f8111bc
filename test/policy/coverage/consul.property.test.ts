import fc from 'fast-check'
import t from 'tap'
import { converted } from '../../cli/convert/converted.ts'
import {
  consulAllows,
  type ConsulCall,
  type ConsulExported,
  type ConsulIntention,
  type ConsulPeers,
  type ConsulState,
} from './consul-decides.ts'
import { mayCall, smallMesh } from './small-mesh.ts'

const RUNS = { seed: 20261123, numRuns: 1_000 }
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
const peers: fc.Arbitrary<ConsulPeers> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...PEERS).map((Peer) => ({ Peer })) },
  { weight: 1, arbitrary: fc.constant({ SamenessGroup: 'eu' }) },
)
const exported: fc.Arbitrary<ConsulExported[]> = fc.array(
  fc
    .tuple(destination, fc.array(peers, { minLength: 1, maxLength: 2 }))
    .map(([one, Consumers]) => ({ ...one, Consumers })),
  { minLength: 1, maxLength: 3 },
)
const action = fc.constantFrom('allow', 'allow', 'allow', 'allow', 'deny', 'deny', undefined)
const intentions: fc.Arbitrary<ConsulIntention[]> = fc.uniqueArray(
  fc
    .tuple(destination, scope(['web', 'batch'], ['front', 'admin', 'job']), peers, action)
    .map(([to, from, whose, Action]) => ({
      destination: to,
      source: { ...from, ...whose, Action },
    })),
  {
    selector: ({ destination: to, source }) => JSON.stringify([to, { ...source, Action: '' }]),
    minLength: 1,
    maxLength: 7,
  },
)
const state: fc.Arbitrary<ConsulState> = fc.record({
  exported,
  intentions,
  groups: fc.record({ eu: fc.subarray(PEERS, { minLength: 1 }) }),
})

const CALLS: readonly ConsulCall[] = PEERS.flatMap((peer) =>
  SERVICES.flatMap((service) =>
    CALLERS.map((caller) => ({ peer, caller: nameOf(caller), service: nameOf(service) })),
  ),
)

t.test(
  'a translation lets nobody in whom Consul keeps out; if nothing was refused nobody is lost',
  async (t) => {
    let exact = 0
    let allowed = 0
    fc.assert(
      fc.property(state, (told) => {
        const { documents, refused } = converted('consul', entries(told))
        const snapshot = smallMesh({ services: SERVICES, documents })
        if (refused.length === 0) exact += 1
        for (const call of CALLS) {
          const theirs = consulAllows(told, call)
          const ours = isAllowed(snapshot, call)
          if (ours) allowed += 1
          if (ours && theirs !== true) throw new Error(`too much: ${JSON.stringify(call)}`)
          if (theirs === true && !ours && refused.length === 0) {
            throw new Error(`too little: ${JSON.stringify(call)}`)
          }
        }
      }),
      RUNS,
    )
    t.ok(exact > RUNS.numRuns / 5, `${exact} of ${RUNS.numRuns} inputs could be said in full`)
    t.ok(allowed > RUNS.numRuns, `${allowed} calls were allowed`)
  },
)

t.test('the comparison would find a translation that keeps every deny', async (t) => {
  const to = { Namespace: 'shop', Name: 'cart' }
  const source = { Namespace: 'web', Peer: 'globex' }
  const told: ConsulState = {
    exported: [{ ...to, Consumers: [{ Peer: 'globex' }] }],
    intentions: [
      { destination: to, source: { ...source, Name: 'front', Action: 'allow' } },
      { destination: to, source: { ...source, Name: '*', Action: 'deny' } },
    ],
    groups: {},
  }
  const call = { peer: 'globex', caller: nameOf('web/front'), service: nameOf('shop/cart') }
  t.equal(consulAllows(told, call), true)
  const { documents } = converted('consul', entries(told))
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

function entries({ exported: services, intentions: all, groups }: ConsulState): string {
  const byDestination = Map.groupBy(all, ({ destination: to }) => `${to.Namespace}/${to.Name}`)
  return [
    { Kind: 'exported-services', Name: 'default', Services: services },
    ...Object.entries(groups).map(([Name, members]) => ({
      Kind: 'sameness-group',
      Name,
      Members: members.map((Peer) => ({ Peer })),
    })),
    ...[...byDestination.values()].map((some) => ({
      Kind: 'service-intentions',
      ...some[0]?.destination,
      Sources: some.map(({ source }) => sourceOf(source)),
    })),
  ]
    .map((entry) => JSON.stringify(entry))
    .join('\n---\n')
}

function sourceOf(source: ConsulIntention['source']): object {
  const conditions = [{ Action: 'allow', HTTP: { PathPrefix: '/' } }]
  return source.Action === undefined ? { ...source, Permissions: conditions } : source
}

function nameOf(text: string): { namespace: string; name: string } {
  const [namespace = '', name = ''] = text.split('/')
  return { namespace, name }
}
