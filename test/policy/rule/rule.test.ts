import t from 'tap'
import { ServiceError } from '../../../src/errors.ts'
import {
  checkRule,
  MAX_CALLERS,
  MAX_PEERS,
  MAX_PRIORITY,
} from '../../../src/policy/rule/check-rule.ts'
import { ruleLine } from '../../../src/policy/rule/rule-line.ts'
import { readRule, type RuleDraft } from '../../../src/policy/rule/rule.ts'

const NOW = new Date('2026-02-01T00:00:00Z')

const draft: RuleDraft = {
  direction: 'export',
  effect: 'allow',
  subject: { namespace: 'shop', name: 'cart' },
  audience: { kind: 'peers', relationships: ['globex'] },
}

const every = (name: string) => ({ subject: { namespace: '*', name } })

function pointersOf(broken: Partial<RuleDraft>): string[] {
  try {
    checkRule({ ...draft, ...broken }, NOW)
    return []
  } catch (error) {
    if (!(error instanceof ServiceError) || error.code !== 'RULE_INVALID') throw error
    return error.fields.map((field) => field.pointer)
  }
}

t.test('a rule keeps what its author wrote and fills in the rest', async (t) => {
  const rule = readRule(draft)
  t.equal(rule.priority, 0)
  t.equal(rule.expiresAt, undefined)
  t.equal(rule.audience.callers, undefined)
  t.equal(ruleLine(rule), 'export allow shop/cart to globex')
})

t.test('a rule in one line names direction, effect, subject, audience and callers', async (t) => {
  const rule = readRule({
    direction: 'import',
    effect: 'deny',
    subject: { namespace: '*', name: 'cart*' },
    audience: { kind: 'all', callers: { namespaces: ['pay'], paths: ['/web'] } },
  })
  t.equal(ruleLine(rule), 'import deny */cart* from all (callers pay /web)')
})

t.test('each thing that is wrong is told apart, all at once', async (t) => {
  t.same(
    pointersOf({
      subject: { namespace: 'Shop', name: '*cart' },
      audience: { kind: 'peers', callers: { namespaces: ['a', 'B'], paths: ['web'] } },
      priority: 0.5,
      expiresAt: NOW,
      note: 'x'.repeat(501),
    }),
    [
      '/subject/namespace',
      '/subject/name',
      '/audience/relationships',
      '/audience/callers/namespaces/1',
      '/audience/callers/paths/0',
      '/priority',
      '/expiresAt',
      '/note',
    ],
  )
})

t.test('an audience names relationships exactly when it is made of them', async (t) => {
  const at = ['/audience/relationships']
  t.same(pointersOf({ audience: { kind: 'peers' } }), at)
  t.same(pointersOf({ audience: { kind: 'peers', relationships: [] } }), at)
  t.same(pointersOf({ audience: { kind: 'peers', relationships: ['globex', 'globex'] } }), at)
  t.same(pointersOf({ audience: { kind: 'all', relationships: ['globex'] } }), at)
  t.same(pointersOf({ audience: { kind: 'self', relationships: ['globex'] } }), at)
  const many = Array.from({ length: MAX_PEERS + 1 }, (_, i) => `peer-${i}`)
  t.same(pointersOf({ audience: { kind: 'peers', relationships: many } }), at)
  t.same(pointersOf({ audience: { kind: 'peers', relationships: many.slice(1) } }), [])
})

t.test('a mesh imports nothing from itself', async (t) => {
  t.same(pointersOf({ direction: 'import', audience: { kind: 'self' } }), ['/audience/kind'])
  t.same(pointersOf({ direction: 'export', audience: { kind: 'self' } }), [])
})

t.test('callers name somebody, and not more than a reader can read', async (t) => {
  const at = ['/audience/callers']
  t.same(pointersOf({ audience: { kind: 'all', callers: {} } }), at)
  t.same(pointersOf({ audience: { kind: 'all', callers: { namespaces: [], paths: [] } } }), at)
  const many = Array.from({ length: MAX_CALLERS + 1 }, (_, i) => `/p${i}`)
  t.same(pointersOf({ audience: { kind: 'all', callers: { paths: many } } }), at)
  t.same(pointersOf({ audience: { kind: 'all', callers: { paths: many.slice(1) } } }), [])
})

t.test('priority and end stay within what they mean', async (t) => {
  t.same(pointersOf({ priority: MAX_PRIORITY }), [])
  t.same(pointersOf({ priority: MAX_PRIORITY + 1 }), ['/priority'])
  t.same(pointersOf({ expiresAt: new Date(NOW.getTime() + 1) }), [])
  t.same(pointersOf({ expiresAt: new Date(Number.NaN) }), ['/expiresAt'])
})

t.test('a change is judged for what it touches, not for what became odd before', async (t) => {
  const odd = { ...draft, audience: { kind: 'peers' as const }, expiresAt: NOW }
  t.throws(() => checkRule(odd, NOW), { code: 'RULE_INVALID' })
  t.doesNotThrow(() => checkRule(odd, NOW, ['note', 'effect']))
  t.throws(() => checkRule(odd, NOW, ['audience']), { code: 'RULE_INVALID' })
  t.throws(() => checkRule(odd, NOW, ['expiresAt']), { code: 'RULE_INVALID' })
})

t.test('what narrows or renames is judged by what the rule speaks of', async (t) => {
  const identity = { subject: { identity: '/web' } }
  t.same(pointersOf(identity), [])
  t.same(pointersOf({ subject: { identity: 'web' } }), ['/subject/identity'])
  t.same(pointersOf({ ...identity, direction: 'import' }), ['/effect'])
  t.same(pointersOf({ ...identity, direction: 'import', effect: 'deny' }), [])
  t.same(pointersOf({ ...identity, audience: { kind: 'self' } }), ['/audience/kind'])
  t.same(pointersOf({ ...identity, audience: { kind: 'all', callers: { paths: ['*'] } } }), [
    '/audience/callers',
  ])
  t.same(pointersOf({ ...identity, as: { name: 'x' } }), ['/as'])
  t.same(pointersOf({ visibleTo: ['shop'] }), ['/visibleTo'])
  t.same(pointersOf({ direction: 'import', visibleTo: ['shop', 'p*', '*x'] }), ['/visibleTo/2'])
  t.same(pointersOf({ direction: 'import', visibleTo: [] }), ['/visibleTo'])
  t.same(pointersOf({ clusters: [] }), ['/clusters'])
  t.same(pointersOf({ clusters: ['east', 'East', 'east'] }), ['/clusters', '/clusters/1'])
  t.same(pointersOf({ ownerScope: ['shop*'] }), ['/ownerScope/0'])
  const named = { namespace: 'shop', name: 'cart' }
  t.same(pointersOf({ subject: { ...named, ports: ['http', 'no port'] } }), ['/subject/ports/1'])
  t.same(pointersOf({ subject: { ...named, labels: {} } }), ['/subject/labels'])
})

t.test(
  'a name is given to one service at a time, and only to what is allowed to peers',
  async (t) => {
    t.same(pointersOf({ ...every('cart'), as: { name: 'basket' } }), [])
    t.same(pointersOf({ ...every('*'), as: { namespace: 'market' } }), [])
    t.same(pointersOf({ ...every('c*'), as: { name: 'basket' } }), ['/as'])
    t.same(pointersOf({ as: {} }), ['/as'])
    t.same(pointersOf({ as: { namespace: '*', name: 'Basket' } }), ['/as/namespace', '/as/name'])
    t.same(pointersOf({ effect: 'deny', as: { name: 'x' } }), ['/as'])
    t.same(pointersOf({ audience: { kind: 'self' }, as: { name: 'x' } }), ['/as'])
  },
)

t.test('a rule in one line tells all that it says', async (t) => {
  const rule = readRule({
    ...draft,
    direction: 'import',
    subject: {
      namespace: '*',
      name: 'cart',
      labels: { matchLabels: { tier: 'front' } },
      ports: ['http'],
    },
    audience: { kind: 'peers', relationships: ['globex'], groups: ['eu'] },
    as: { name: 'basket' },
    visibleTo: ['pay'],
    clusters: ['east'],
  })
  t.equal(
    ruleLine(rule),
    'import allow */cart [tier=front] ports http from globex, group eu as */basket visible to pay in clusters east',
  )
})

t.test('a rule has a largest size, whatever it is made of', async (t) => {
  const relationships = Array.from({ length: MAX_PEERS }, (_, i) => `${'p'.repeat(60)}${i}`)
  t.same(pointersOf({ audience: { kind: 'peers', relationships } }), [])
  const paths = Array.from({ length: MAX_CALLERS }, (_, i) => `/${'x'.repeat(1500)}${i}`)
  t.same(pointersOf({ audience: { ...draft.audience, callers: { paths } } }), [''])
})
