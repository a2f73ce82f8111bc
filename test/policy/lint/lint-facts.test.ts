import t from 'tap'
import { parseMeshId } from '../../../src/db/ids.ts'
import { lint } from '../../../src/policy/lint/lint.ts'
import { type RuleDraft } from '../../../src/policy/rule/rule.ts'
import { type Snapshot } from '../../../src/policy/snapshot/snapshot.ts'
import { parseSpiffeId } from '../../../src/spiffe/spiffe-id.ts'
import { parseTrustDomain } from '../../../src/spiffe/trust-domain.ts'
import { EARLY, LATE } from '../arbitrary-mesh.ts'
import { deny, meshWith, rule, to } from './lint-mesh.ts'

const codesOf = (snapshot: Snapshot): string[] => lint(snapshot, LATE).map(({ code }) => code)

t.test('a rule for clusters is told of when all of them are disabled or gone', async (t) => {
  const snapshot = meshWith([rule({ clusters: ['east', 'west'] })])
  const found = (...enabled: string[]) =>
    lint(snapshot, LATE, { clusters: new Set(enabled) }).map(({ code }) => code)
  t.same(found('north', 'west'), [])
  t.same(found('north'), ['rule.clusters-off'])
  t.same(codesOf(snapshot), [], 'of clusters that nobody tells of nothing is said')
  t.same(lint(meshWith([rule({})]), LATE, { clusters: new Set() }), [])
})

t.test(
  'an identity of ours that nobody registered and no service is served by is told of',
  async (t) => {
    const [web, served] = [{ identity: '/web' }, { identity: '/ns/shop/*' }]
    const services = [
      {
        namespace: 'shop',
        name: 'cart',
        ports: [],
        labels: {},
        serverIds: [parseSpiffeId('spiffe://acme.example/ns/shop/sa/cart')],
        createdAt: EARLY,
      },
    ]
    const snapshot = meshWith(
      [
        rule({ subject: web, name: 'web' }),
        rule({ subject: served }),
        rule({ direction: 'import', effect: 'deny', subject: web }),
      ],
      { services },
    )
    const facts = { unregistered: new Set(['/web', '/ns/shop/*']) }
    t.match(lint(snapshot, LATE, facts), [{ code: 'rule.identity-unknown', object: 'rule/web' }])
    t.same(lint(snapshot, LATE, facts).length, 1)
    t.same(codesOf(snapshot), [])
  },
)

const imports = (namespace: string) =>
  rule({
    direction: 'import',
    subject: { namespace, name: '*' },
    audience: { relationships: ['acme-here'] },
  })

t.test('an export that no mesh of this service imports is told of', async (t) => {
  const acme = meshWith([rule({ as: { namespace: 'market' } })])
  const theirRelationship = {
    id: 'acme',
    name: 'acme-here',
    state: 'active' as const,
    trustDomains: [parseTrustDomain('acme.example')],
    waitingFor: [],
  }
  const theirs = (...rules: RuleDraft[]) => {
    const snapshot = meshWith(rules, {
      meshId: parseMeshId('globex'),
      relationships: [theirRelationship],
    })
    return new Map([['globex', { snapshot, relationship: theirRelationship }]])
  }
  const codes = (snapshot: Snapshot, ...rules: RuleDraft[]) =>
    lint(snapshot, LATE, { counterparts: theirs(...rules) }).map(({ code }) => code)
  t.match(lint(acme, LATE, { counterparts: theirs(imports('shop')) }), [
    {
      code: 'export.not-imported',
      message: /no rule of globex imports any of it/,
      next: ['entente rule import market/cart --from acme-here --mesh globex'],
    },
  ])
  t.same(codes(acme, imports('market')), [], 'it goes by the name that it is exported under')
  t.same(codes(acme, imports('market'), { ...imports('*'), effect: 'deny' }), [
    'export.not-imported',
  ])
  t.same(codes(meshWith([rule(to('globex', 'initech'))])), [], 'initech is elsewhere')
  t.same(codes(meshWith([rule(to('globex', 'gone'))])), ['export.not-imported'])
  t.same(codes(meshWith([deny({})])), [])
})
