import t from 'tap'
import { namesSince } from '../../../src/policy/change/names-since.ts'
import { readRule, type RuleDraft } from '../../../src/policy/rule/rule.ts'
import { EARLY, ruleOf } from '../arbitrary-mesh.ts'

const NOW = new Date(EARLY.getTime() + 1000)
const draft = {
  direction: 'import',
  effect: 'allow',
  subject: { namespace: 'shop', name: '*', labels: { matchLabels: { a: 'x', b: 'y' } } },
  audience: { kind: 'peers', relationships: ['globex', 'initech'], groups: ['house'] },
  as: { namespace: 'market' },
  priority: 1,
} satisfies RuleDraft

/** Since when the rule names what it names after a change; null = since it was made. */
function changed(change: Partial<RuleDraft>, before: RuleDraft = draft) {
  const after = { ...before, ...change } as RuleDraft
  return namesSince({ before: ruleOf(before, 'a'), after: readRule(after), now: NOW })
}

t.test('a rule that may give names anew counts from then on', async (t) => {
  const { audience, subject } = draft
  const changes: readonly Partial<RuleDraft>[] = [
    { as: { namespace: 'bazaar' } },
    { as: { namespace: 'market', name: 'x' } },
    { subject: { ...subject, name: 'cart' } },
    { subject: { ...subject, namespace: 'sh*' } },
    { subject: { ...subject, labels: { matchLabels: { a: 'x' } } } },
    { subject: { namespace: 'shop', name: '*' } },
    { audience: { ...audience, relationships: ['globex', 'hooli'] } },
    { audience: { ...audience, groups: ['house', 'friends'] } },
    { audience: { kind: 'all' } },
    { audience: { ...audience, callers: { paths: ['/web'] } } },
    { priority: 2 },
    { ownerScope: ['web'] },
  ]
  for (const change of changes) t.same(changed(change), NOW, JSON.stringify(change))
  t.same(changed({ effect: 'allow' }, { ...draft, effect: 'deny' }), NOW, 'a deny named nothing')
  t.same(changed({}, { ...draft, expiresAt: EARLY }), NOW, 'it had ended')
})

t.test('a rule that names the same, or less, keeps its age', async (t) => {
  const { subject } = draft
  const changes: readonly Partial<RuleDraft>[] = [
    { note: 'why', name: 'fine' },
    { subject: { ...subject, ports: ['http'] } },
    { subject: { ...subject, labels: { matchLabels: { b: 'y', a: 'x' } } } },
    { audience: { kind: 'peers', relationships: ['globex'] } },
    { visibleTo: ['web'], clusters: ['east'] },
    { expiresAt: new Date(NOW.getTime() + 1) },
  ]
  for (const change of changes) t.equal(changed(change), null, JSON.stringify(change))
  const before = { ...ruleOf(draft, 'a'), namesSince: EARLY }
  t.same(namesSince({ before, after: readRule(draft), now: NOW }), EARLY)
})
