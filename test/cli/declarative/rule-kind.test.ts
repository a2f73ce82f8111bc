import t from 'tap'
import { compare } from '../../../src/cli/declarative/compare.ts'
import { type JsonRecord } from '../../../src/cli/declarative/json-schema.ts'
import { rule } from '../../../src/cli/declarative/rule-kind.ts'
import { ChangeRuleBody, CreateRuleBody } from '../../../src/policy/rule/rule-api.ts'

const document: JsonRecord = {
  name: 'carts',
  direction: 'export',
  effect: 'allow',
  subject: { namespace: 'shop', name: 'cart' },
  audience: { kind: 'peers', relationships: ['initech', 'globex'] },
}

const view: JsonRecord = {
  ...document,
  audience: { kind: 'peers', relationships: ['globex', 'initech'] },
  as: null,
  visibleTo: null,
  priority: 0,
  note: null,
}

function patchFor(live: JsonRecord, wanted: JsonRecord = document): JsonRecord {
  return compare({
    wanted: rule.comparable?.(wanted, live) ?? wanted,
    live: rule.shape?.(live) ?? live,
    create: CreateRuleBody as never,
    change: ChangeRuleBody as never,
    nameMember: 'name',
    replaced: rule.replaced,
  }).patch
}

t.test(
  'a rule as its document has it needs no change, in whatever order peers stand',
  async (t) => {
    t.same(patchFor(view), {})
  },
)

t.test('callers, labels and ports that a document leaves out go', async (t) => {
  const audience = { kind: 'peers', relationships: ['globex', 'initech'] }
  const callers = { namespaces: ['web'], paths: [] }
  t.same(patchFor({ ...view, audience: { ...audience, callers } }), { audience })
  const { subject } = document
  const narrowed = {
    namespace: 'shop',
    name: 'cart',
    labels: { matchLabels: { a: 'b' } },
    ports: ['x'],
  }
  t.same(patchFor({ ...view, subject: narrowed }), { subject })
  t.same(patchFor({ ...view, as: { name: 'x' }, note: 'y' }), { as: null, note: null })
  const same = { ...document, audience: { ...audience, callers: { namespaces: ['web'] } } }
  t.same(patchFor({ ...view, audience: { ...audience, callers } }, same), {})
})

t.test('a rule comes after what it names', async (t) => {
  const audience = { kind: 'peers', relationships: ['globex'], groups: ['eu'] }
  t.same(rule.refersTo?.({ ...document, audience, clusters: ['east'] }), [
    { kind: 'Relationship', name: 'globex' },
    { kind: 'PeerGroup', name: 'eu' },
    { kind: 'Cluster', name: 'east' },
  ])
})
