import t from 'tap'
import { type MeshId } from '../../../src/db/ids.ts'
import { effectOf } from '../../../src/policy/change/rule-effect.ts'
import { buildSnapshot, type SnapshotInput } from '../../../src/policy/snapshot/snapshot.ts'
import { parseTrustDomain } from '../../../src/spiffe/trust-domain.ts'
import { EARLY, ruleOf } from '../arbitrary-mesh.ts'

function meshOf(services: number, peers: number): SnapshotInput {
  return {
    meshId: 'acme' as MeshId,
    revisions: { mesh: 1n, relationship: 1n, rule: 1n },
    dnsSuffix: 'mesh.internal',
    trustDomains: [parseTrustDomain('acme.example')],
    services: Array.from({ length: services }, (_, i) => ({
      namespace: 'shop',
      name: `s${i}`,
      ports: [],
      labels: {},
      serverIds: [],
      createdAt: EARLY,
    })),
    relationships: Array.from({ length: peers }, (_, i) => ({
      id: `peer${i}`,
      name: `peer${i}`,
      state: 'active' as const,
      trustDomains: [parseTrustDomain(`peer${i}.example`)],
      waitingFor: [],
    })),
    offers: [],
    groups: [],
    rules: [],
  }
}

const everything = ruleOf(
  {
    direction: 'export',
    effect: 'allow',
    subject: { namespace: '*', name: '*' },
    audience: { kind: 'all' },
  },
  'everything',
)

t.test('names are cut at twenty, counts are not', async (t) => {
  const input = meshOf(50, 1)
  const { reaches, withheld, complete } = await effectOf(
    buildSnapshot({ ...input, rules: [everything] }),
    everything,
    EARLY,
  )
  t.equal(reaches[0]?.count, 50)
  t.equal(reaches[0]?.services.length, 20)
  t.same(withheld, [])
  t.equal(complete, true)
  const hidden = await effectOf(buildSnapshot(input), everything, EARLY)
  t.equal(hidden.reaches[0]?.count, 0)
  t.equal(hidden.withheld.length, 20)
})

t.test('of a rule for a hundred peers every service is counted for each', async (t) => {
  const input = { ...meshOf(1000, 100), rules: [everything] }
  const { reaches, complete } = await effectOf(buildSnapshot(input), everything, EARLY)
  t.equal(complete, true)
  t.equal(reaches.length, 100)
  t.ok(reaches.every(({ count }) => count === 1000))
})

t.test(
  'beyond a million pairs of service and peer only the first are counted, and it says so',
  async (t) => {
    const input = { ...meshOf(1300, 800), rules: [everything] }
    const { reaches, complete } = await effectOf(buildSnapshot(input), everything, EARLY)
    t.equal(complete, false)
    t.equal(reaches.length, 800)
    t.ok(reaches.every(({ count }) => count === 1250))
  },
)

t.test('a service whose name another one has is not visible, and told why', async (t) => {
  const rename = ruleOf(
    {
      direction: 'export',
      effect: 'allow',
      subject: { namespace: 'shop', name: 's1' },
      audience: { kind: 'all' },
      as: { name: 's0' },
    },
    'rename',
    new Date(EARLY.getTime() + 1),
  )
  const snapshot = buildSnapshot({ ...meshOf(2, 1), rules: [everything, rename] })
  const { reaches, withheld } = await effectOf(snapshot, rename, EARLY)
  t.equal(reaches[0]?.count, 0)
  t.match(withheld, [{ service: 'shop/s1', reason: /shop\/s0 is the name of shop\/s0 already/ }])
})

t.test('an audience of the mesh itself is one, and of nobody none', async (t) => {
  const subject = { namespace: '*', name: '*' }
  const self = ruleOf(
    { direction: 'export', effect: 'allow', subject, audience: { kind: 'self' } },
    'self',
  )
  const snapshot = buildSnapshot({ ...meshOf(2, 2), rules: [self] })
  t.same(
    (await effectOf(snapshot, self, EARLY)).reaches.map(({ peer, count }) => `${peer} ${count}`),
    ['self 2'],
  )
  const nobody = ruleOf({ ...everything, subject, audience: { kind: 'peers' } } as never, 'nobody')
  t.same((await effectOf(snapshot, nobody, EARLY)).reaches, [])
})
