import t from 'tap'
import { type MeshId } from '../../../src/db/ids.ts'
import { evaluate } from '../../../src/policy/decision/evaluate.ts'
import { type RuleChanges } from '../../../src/policy/change/rule-change.ts'
import { changesBetween, touchedBy } from '../../../src/policy/change/rule-changes.ts'
import { type Rule, type RuleDraft } from '../../../src/policy/rule/rule.ts'
import { buildSnapshot, type SnapshotInput } from '../../../src/policy/snapshot/snapshot.ts'
import { parseSpiffeId } from '../../../src/spiffe/spiffe-id.ts'
import { parseTrustDomain } from '../../../src/spiffe/trust-domain.ts'
import { EARLY, ruleOf } from '../arbitrary-mesh.ts'

function meshOf(services: readonly string[], peers: readonly string[]): SnapshotInput {
  return {
    meshId: 'acme' as MeshId,
    revisions: { mesh: 1n, relationship: 1n, rule: 1n },
    dnsSuffix: 'mesh.internal',
    trustDomains: [parseTrustDomain('acme.example')],
    services: services.map((name) => ({
      namespace: 'shop',
      name,
      ports: [
        { name: 'http', port: 80 },
        { name: 'admin', port: 81 },
      ],
      labels: {},
      serverIds: [],
      createdAt: EARLY,
    })),
    relationships: peers.map((name) => ({
      id: name,
      name,
      state: 'active' as const,
      trustDomains: [parseTrustDomain(`${name}.example`)],
      waitingFor: [],
    })),
    offers: [],
    groups: [],
    rules: [],
  }
}

const shop = meshOf(['cart'], ['globex'])

interface Narrow extends Partial<Pick<RuleDraft, 'effect' | 'clusters' | 'as'>> {
  readonly name?: string
  readonly ports?: readonly string[]
  readonly callers?: readonly string[]
}

let made = 0

function toGlobex({ name = 'cart', ports, callers, ...more }: Narrow = {}): Rule {
  made += 1
  const draft: RuleDraft = {
    direction: 'export',
    effect: 'allow',
    subject: { namespace: 'shop', name, ...(ports && { ports }) },
    audience: {
      kind: 'peers',
      relationships: ['globex'],
      ...(callers && { callers: { paths: callers } }),
    },
    ...more,
  }
  return ruleOf(draft, `rule-${made}`, new Date(EARLY.getTime() + made))
}

async function told(
  input: SnapshotInput,
  others: readonly Rule[],
  change: { readonly before?: Rule; readonly after?: Rule },
): Promise<RuleChanges> {
  const [before, after] = [change.before, change.after].map((rule) =>
    buildSnapshot({ ...input, rules: [...others, ...(rule === undefined ? [] : [rule])] }),
  )
  if (before === undefined || after === undefined) throw new Error('two snapshots')
  const both = { before: change.before, after: change.after }
  return changesBetween({ before, after, at: EARLY }, touchedBy(after, both))
}

t.test('an export that is narrowed to a cluster denies what is not in it', async (t) => {
  const before = toGlobex()
  const { peers } = await told(shop, [], { before, after: { ...before, clusters: ['east'] } })
  t.match(peers, [
    {
      peer: 'globex',
      direction: 'export',
      items: [{ kind: 'denied', subject: 'shop/cart', who: ['*', 'cluster * but east'] }],
    },
  ])
})

t.test('callers and a port that others have apart are told where they come together', async (t) => {
  const others = [
    toGlobex({ ports: ['http'], callers: ['/a'] }),
    toGlobex({ ports: ['admin'], callers: ['/b'] }),
  ]
  const after = toGlobex({ ports: ['admin'], callers: ['/a'] })
  const { peers } = await told(shop, others, { after })
  t.match(peers, [{ items: [{ kind: 'allowed', who: ['/a', 'port admin'] }] }])
  const asked = {
    subject: { namespace: 'shop', name: 'cart' },
    caller: parseSpiffeId('spiffe://globex.example/a'),
    port: 'admin',
    at: EARLY,
  }
  t.same(
    [others, [...others, after]].map(
      (rules) => evaluate(buildSnapshot({ ...shop, rules }), asked).decision,
    ),
    ['deny', 'allow'],
  )
})

t.test('a deny that narrows two things at once is told with both', async (t) => {
  const after = toGlobex({ effect: 'deny', ports: ['admin'], callers: ['/a'] })
  const { peers } = await told(shop, [toGlobex()], { after })
  t.match(peers, [{ items: [{ kind: 'denied', who: ['/a', 'port admin'] }] }])
})

t.test('whoever gets the name of a service that is denied is told', async (t) => {
  const mesh = meshOf(['a', 'b'], ['globex'])
  const others = [toGlobex({ name: '*' }), toGlobex({ name: 'b', as: { name: 'a' } })]
  const after = toGlobex({ name: 'a', effect: 'deny' })
  const { peers } = await told(mesh, others, { after })
  t.match(peers, [
    {
      counts: { visible: 1, hidden: 1 },
      items: [
        { kind: 'hidden', subject: 'shop/a', name: 'shop/a' },
        { kind: 'visible', subject: 'shop/b', name: 'shop/a' },
      ],
    },
  ])
})

t.test('what others allow already, deny already, or nobody could do changes nothing', async (t) => {
  const wide = toGlobex()
  const narrow = toGlobex({ callers: ['/a'] })
  const deny = toGlobex({ effect: 'deny', callers: ['/ns/*'] })
  const inside = toGlobex({ effect: 'deny', callers: ['/ns/web/*'], ports: ['admin'] })
  for (const [others, after] of [
    [[wide], narrow],
    [[wide, deny], inside],
    [[narrow], deny],
  ] as const) {
    t.same((await told(shop, others, { after })).peers, [])
    t.same((await told(shop, others, { before: after })).peers, [])
  }
})

t.test('what others allow of it is left out of what is told', async (t) => {
  const { peers } = await told(shop, [toGlobex({ callers: ['/ns/web/*'] })], { after: toGlobex() })
  t.match(peers, [{ items: [{ kind: 'allowed', who: ['* but /ns/web/*'] }] }])
})

t.test('an identity is told with the cluster that it is limited to', async (t) => {
  const draft: RuleDraft = {
    direction: 'export',
    effect: 'allow',
    subject: { identity: '/web' },
    audience: { kind: 'peers', relationships: ['globex'] },
  }
  const [before, after] = [ruleOf({ ...draft, clusters: ['east'] }, 'id'), ruleOf(draft, 'id')]
  const { peers } = await told(shop, [], { before, after })
  t.match(peers, [
    { items: [{ kind: 'allowed', subject: 'identity /web', who: ['cluster * but east'] }] },
  ])
})

t.test(
  'counts of thousands of services and a dozen peers are exact, and others have their turn',
  async (t) => {
    const names = Array.from({ length: 5000 }, (_, i) => `s${i}`)
    const mesh = meshOf(
      names,
      Array.from({ length: 12 }, (_, i) => `peer${i}`),
    )
    const draft: RuleDraft = {
      direction: 'export',
      effect: 'allow',
      subject: { namespace: '*', name: '*' },
      audience: { kind: 'all' },
    }
    let turns = 0
    const turn = (): void => {
      turns += 1
      next = setImmediate(turn)
    }
    let next = setImmediate(turn)
    const { peers, complete } = await told(mesh, [], { after: ruleOf(draft, 'everything') })
    clearImmediate(next)
    t.equal(complete, true)
    t.equal(peers.length, 12)
    t.ok(peers.every(({ counts, items }) => counts.visible === 5000 && items.length === 20))
    t.ok(turns >= 60, `others had ${turns} turns`)
  },
)
