import t from 'tap'
import { type RuleDraft } from '../../../src/policy/rule/rule.ts'
import { mayCall, seenBy, smallMesh } from './small-mesh.ts'

const SERVICES = ['foo/mysvc', 'foo/api', 'shop/cart']

const OPEN: RuleDraft = {
  direction: 'export',
  effect: 'allow',
  subject: { namespace: '*', name: '*' },
  audience: { kind: 'self' },
}

t.test('namespaces are open to each other by default: one rule of every new mesh', async (t) => {
  const mesh = smallMesh({ services: SERVICES, rules: [OPEN] })
  t.ok(mayCall(mesh, 'acme.example/ns/bar/sa/web', 'foo/mysvc'))
  t.strictSame(seenBy(mesh, 'globex'), [], 'and to nobody else')
})

t.test('without it they are isolated, and one service is exposed to some callers', async (t) => {
  const one: RuleDraft = {
    ...OPEN,
    subject: { namespace: 'foo', name: 'mysvc' },
    audience: { kind: 'self', callers: { namespaces: ['bar'] } },
  }
  const mesh = smallMesh({ services: SERVICES, rules: [one] })
  t.ok(mayCall(mesh, 'acme.example/ns/bar/sa/web', 'foo/mysvc'))
  t.notOk(mayCall(mesh, 'acme.example/ns/baz/sa/web', 'foo/mysvc'))
  t.notOk(mayCall(mesh, 'acme.example/ns/bar/sa/web', 'foo/api'))
})

t.test('a mesh exposes a set of services, and a set of identities, to other meshes', async (t) => {
  const audience = { kind: 'peers', groups: ['partners'] } as const
  const rules: RuleDraft[] = [
    { ...OPEN, subject: { namespace: 'shop', name: '*' }, audience },
    { ...OPEN, subject: { identity: '/ns/shop/*' }, audience },
    { ...OPEN, direction: 'import', audience: { kind: 'all' } },
  ]
  const mesh = smallMesh({
    services: SERVICES,
    offers: { globex: ['market/quotes'], initech: ['market/quotes'] },
    groups: { partners: ['globex'] },
    rules,
  })
  t.strictSame(seenBy(mesh, 'globex'), ['shop/cart'])
  t.strictSame(seenBy(mesh, 'initech'), [])
  t.ok(mayCall(mesh, 'acme.example/ns/shop/sa/cart', 'market/quotes', 'globex'))
  t.notOk(mayCall(mesh, 'acme.example/ns/pay/sa/api', 'market/quotes', 'globex'))
  t.notOk(mayCall(mesh, 'acme.example/ns/shop/sa/cart', 'market/quotes', 'initech'))
})

t.test('imported identities get local policy', async (t) => {
  const rule: RuleDraft = {
    ...OPEN,
    subject: { namespace: 'foo', name: 'api' },
    audience: { kind: 'peers', relationships: ['globex'], callers: { paths: ['/ns/x/sa/y'] } },
  }
  const mesh = smallMesh({ services: SERVICES, rules: [rule] })
  t.ok(mayCall(mesh, 'globex.example/ns/x/sa/y', 'foo/api'))
  t.notOk(mayCall(mesh, 'globex.example/ns/x/sa/z', 'foo/api'))
  t.notOk(mayCall(mesh, 'initech.example/ns/x/sa/y', 'foo/api'))
})
