import t from 'tap'
import { lint } from '../../../src/policy/lint/lint.ts'
import { LINT_CODES } from '../../../src/policy/lint/lint-finding.ts'
import { type RuleDraft } from '../../../src/policy/rule/rule.ts'
import { type Snapshot } from '../../../src/policy/snapshot/snapshot.ts'
import { EARLY, LATE } from '../arbitrary-mesh.ts'
import { deny, meshWith, type Part, rule, to } from './lint-mesh.ts'

const web = { paths: ['/web'] }
const toGroup = (group: string) => ({ audience: { relationships: [], groups: [group] } })
const toAll = { kind: 'all' as const, relationships: [] }
const everything = { namespace: '*', name: '*' }
const labelled = (labels: object) => ({ subject: { namespace: 'shop', name: '*', labels } })

const TABLE: readonly (readonly [
  why: string,
  drafts: readonly RuleDraft[],
  codes: readonly string[],
])[] = [
  ['a plain rule', [rule({})], []],
  [
    'an unknown service',
    [rule({ subject: { namespace: 'shop', name: 'crat' } })],
    ['rule.service-unknown'],
  ],
  [
    'a pattern of nothing',
    [rule({ subject: { namespace: 'shop', name: 'x*' } })],
    ['rule.matches-nothing'],
  ],
  [
    'a namespace of nothing',
    [rule({ subject: { namespace: 'sh', name: '*' } })],
    ['rule.matches-nothing'],
  ],
  ['labels that some have', [rule(labelled({ matchLabels: { tier: 'front' } }))], []],
  [
    'labels that none has',
    [rule(labelled({ matchLabels: { tier: 'back' } }))],
    ['rule.matches-nothing'],
  ],
  [
    'a port there is',
    [rule({ subject: { namespace: 'shop', name: 'cart', ports: ['http'] } })],
    [],
  ],
  [
    'a port there is not',
    [rule({ subject: { namespace: 'shop', name: 'cart', ports: ['grpc'] } })],
    ['rule.port-unknown'],
  ],
  [
    'an end that has passed',
    [rule({ expiresAt: new Date('2026-03-01T00:00:00Z') })],
    ['rule.expired'],
  ],
  ['nobody left', [rule(to())], ['rule.audience-empty']],
  ['an empty group', [rule(toGroup('nobody'))], ['rule.audience-empty']],
  ['a group of the mesh itself', [rule(toGroup('ourselves'))], []],
  [
    'an import from the mesh itself',
    [rule({ direction: 'import', ...toGroup('ourselves') })],
    ['rule.audience-empty'],
  ],
  ['a relationship that is over', [rule(to('gone'))], ['rule.audience-over']],
  ['one that is pending', [rule(to('hooli'))], ['export.reaches-nobody']],
  ['one of two that is active', [rule(to('hooli', 'globex'))], []],
  ['all without callers', [rule({ audience: toAll })], ['rule.any-caller']],
  ['all with callers', [rule({ audience: { ...toAll, callers: web } })], []],
  [
    'any caller by name',
    [rule({ audience: { callers: { paths: ['*', '/web'] } } })],
    ['rule.callers-say-nothing'],
  ],
  [
    'any caller by the root of all paths',
    [rule({ audience: { callers: { paths: ['/*'] } } })],
    ['rule.callers-say-nothing'],
  ],
  [
    'any caller of any namespace',
    [rule({ audience: { callers: { paths: ['/ns/*'] } } })],
    ['rule.callers-say-nothing'],
  ],
  ['callers of a namespace', [rule({ audience: { callers: { paths: ['/ns/shop/*'] } } })], []],
  [
    'all with callers that keep nobody out',
    [rule({ audience: { ...toAll, callers: { paths: ['/*'] } } })],
    ['rule.any-caller', 'rule.callers-say-nothing'],
  ],
  ['everything to a peer', [rule({ subject: everything })], ['rule.everything-to-peers']],
  [
    'everything to a peer for some callers',
    [rule({ subject: everything, audience: { callers: web } })],
    [],
  ],
  [
    'everything to all',
    [rule({ subject: everything, audience: toAll })],
    ['rule.everything-to-all'],
  ],
  [
    'every identity to all',
    [rule({ subject: { identity: '*' }, audience: toAll })],
    ['rule.identities-to-all'],
  ],
  [
    'everything to ourselves',
    [rule({ subject: everything, audience: { kind: 'self', relationships: [] } })],
    [],
  ],
  ['a deny of everything to all', [deny({ subject: everything, audience: toAll })], []],
  [
    'a deny over all of it',
    [rule({}), deny({ subject: { namespace: 'shop', name: '*' } })],
    ['rule.shadowed'],
  ],
  [
    'a deny over the same pattern',
    [
      rule({ subject: { namespace: 'sh*', name: 'c*' } }),
      deny({ subject: { namespace: 's*', name: '*' } }),
    ],
    ['rule.shadowed'],
  ],
  ['a deny over a part of it', [rule({ subject: { namespace: 'shop', name: '*' } }), deny({})], []],
  ['a deny to another peer', [rule({}), deny(to('initech'))], []],
  ['a deny to its group', [rule({}), deny(toGroup('both'))], ['rule.shadowed']],
  ['a deny to one of its group', [rule(toGroup('both')), deny(to('globex'))], []],
  ['a deny of some callers', [rule({}), deny({ audience: { callers: web } })], []],
  [
    'a deny of more callers',
    [rule({ audience: { callers: web } }), deny({ audience: { callers: { paths: ['/w*'] } } })],
    ['rule.shadowed'],
  ],
  [
    'a deny that ends earlier',
    [rule({}), deny({ expiresAt: new Date('2027-01-01T00:00:00Z') })],
    [],
  ],
  ['a deny in one cluster', [rule({}), deny({ clusters: ['east'] })], []],
  [
    'a deny of the other direction',
    [rule({}), deny({ direction: 'import', audience: toAll, subject: everything })],
    [],
  ],
  [
    'an identity that is denied',
    [rule({ subject: { identity: '/web' } }), deny({ subject: { identity: '/w*' } })],
    ['rule.shadowed'],
  ],
  ['an import of nothing', [rule({ direction: 'import' })], ['rule.matches-nothing']],
]

function requirement(operator: string, ...values: string[]) {
  return { key: 'tier', operator, ...(values.length > 0 && { values }) }
}

const codesOf = (snapshot: Snapshot): string[] => lint(snapshot, LATE).map(({ code }) => code)

t.test(
  'each sort of rule that is not as it seems is found, and its neighbours are not',
  async (t) => {
    for (const [why, drafts, codes] of TABLE) t.same(codesOf(meshWith(drafts)), codes, why)
  },
)

t.test(
  'a selector that nothing can satisfy is told from one that nothing satisfies now',
  async (t) => {
    for (const [impossible, ...matchExpressions] of [
      [true, requirement('In', 'a'), requirement('NotIn', 'a', 'b')],
      [true, requirement('In', 'a'), requirement('In', 'b')],
      [true, requirement('Exists'), requirement('DoesNotExist')],
      [true, requirement('In', 'a'), requirement('DoesNotExist')],
      [false, requirement('In', 'a', 'c'), requirement('NotIn', 'a')],
      [false, requirement('NotIn', 'front'), requirement('Exists')],
    ] as const) {
      const [code] = codesOf(meshWith([rule(labelled({ matchExpressions }))]))
      t.equal(code, impossible ? 'rule.labels-contradict' : 'rule.matches-nothing')
    }
    const equal = { matchLabels: { tier: 'a' }, matchExpressions: [requirement('NotIn', 'a')] }
    t.same(codesOf(meshWith([rule(labelled(equal))])), ['rule.labels-contradict'])
  },
)

const offer = {
  namespace: 'market',
  name: 'quotes',
  ports: [],
  labels: {},
  serverIds: [],
  createdAt: EARLY,
  gateways: [],
  source: 'manual' as const,
}

t.test(
  'an offer that no rule imports is told with the command for it; one that is denied is not',
  async (t) => {
    const offers = [
      { ...offer, relationship: 'globex' },
      { ...offer, relationship: 'hooli' },
    ]
    t.same(lint(meshWith([], { offers }), EARLY), [
      {
        code: 'offer.not-imported',
        severity: 'notice',
        object: 'offer/globex/market/quotes',
        message: 'globex offers market/quotes and no rule of ours imports it',
        next: ['entente rule import market/quotes --from globex'],
      },
    ])
    const imports = rule({ direction: 'import', subject: everything })
    t.same(lint(meshWith([imports], { offers }), EARLY), [])
    t.same(lint(meshWith([{ ...imports, effect: 'deny' }], { offers }), EARLY), [])
    const hidden = { ...imports, visibleTo: ['nowhere'] }
    t.same(codesOf(meshWith([hidden], { offers })), ['rule.visible-to-nobody'])
    t.same(codesOf(meshWith([{ ...imports, visibleTo: ['pa*'] }], { offers })), [])
  },
)

t.test(
  'every finding names its rule, says why, and says what to do; errors come first',
  async (t) => {
    const drafts = TABLE.flatMap(([, some]) => some)
    const findings = lint(
      meshWith(drafts.map((draft, i) => (i % 2 === 0 ? draft : { ...draft, name: `n${i}` }))),
      LATE,
    )
    t.ok(findings.length > 15)
    for (const { code, severity, object, message, next } of findings) {
      t.equal(severity, LINT_CODES[code])
      t.match(object, /^rule\/[rn][0-9]+$/)
      t.match(message, /^(export|import) .+: .+/)
      t.ok(next.length > 0, `${code} says what to do`)
    }
    const order = ['error', 'warning', 'notice']
    const ranks = findings.map(({ severity }) => order.indexOf(severity))
    t.same(
      ranks,
      ranks.toSorted((a, b) => a - b),
    )
  },
)

t.test('a command names a rule so that no other of its name is meant', async (t) => {
  const ended = { name: 'mine', expiresAt: EARLY }
  const deletion = (part: Part) => lint(meshWith([rule({ ...ended, ...part })]), LATE)[0]?.next
  t.same(deletion({}), ['entente rule delete mine'])
  t.same(deletion({ ownerScope: ['shop'] }), ['entente rule delete r0'])
})
