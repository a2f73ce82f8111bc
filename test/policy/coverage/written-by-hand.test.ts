import t from 'tap'
import { checkRule } from '../../../src/policy/rule/check-rule.ts'
import { type RuleDraft } from '../../../src/policy/rule/rule.ts'
import { addMesh, addRelationship, policyApp } from '../policy-app.ts'
import { AT, mayCall, seenBy, seenOf, smallMesh } from './small-mesh.ts'

const EXPORT: RuleDraft = {
  direction: 'export',
  effect: 'allow',
  subject: { namespace: '*', name: '*' },
  audience: { kind: 'all' },
}
const IMPORT: RuleDraft = { ...EXPORT, direction: 'import' }
const labelled = (key: string, value: string) => ({
  namespace: '*',
  name: '*',
  labels: { matchLabels: { [key]: value } },
})
const from = (...relationships: string[]) => ({ kind: 'peers', relationships }) as const

// One service, so that nothing but the name it is given can be wrong.
async function refuse(t: Parameters<typeof policyApp>[0], as: object) {
  const subject = { namespace: 'shop', name: 'cart' }
  const app = await policyApp(t)
  const meshId = await addMesh(app.db, 'acme', app.clock.db)
  await addRelationship(app.db, meshId, { name: 'west' })
  return app.call('POST', '/meshes/acme/rules', { body: { ...IMPORT, subject, as } })
}

t.test('Linkerd: services marked for mirroring are exported and mirrored by label', async (t) => {
  const subject = labelled('mirror.linkerd.io/exported', 'true')
  const marked = ['shop/cart', { 'mirror.linkerd.io/exported': 'true' }] as const
  const mesh = smallMesh({
    services: [marked, 'shop/pay'],
    offers: { globex: [marked, 'shop/pay'] },
    rules: [
      { ...EXPORT, subject },
      { ...IMPORT, subject, audience: from('globex') },
    ],
  })
  t.strictSame(seenBy(mesh, 'globex'), ['shop/cart'])
  t.strictSame(seenOf(mesh, 'globex'), ['cart.shop.svc.globex.mesh.internal'])
})

t.test(
  'Linkerd: the name of a mirror is a template and is refused; a mirror is renamed one by one',
  async (t) => {
    const answer = await refuse(t, { name: '{name}-west' })
    t.equal(answer.status, 422)
    t.match(answer.body, { code: 'RULE_INVALID', errors: [{ pointer: '/as/name' }] })
    t.equal((await refuse(t, { name: 'cart-west' })).status, 201, 'it is the template')
    const one: RuleDraft = {
      ...IMPORT,
      subject: { namespace: 'shop', name: 'cart' },
      audience: from('globex'),
      as: { name: 'cart-west' },
    }
    const mesh = smallMesh({ offers: { globex: ['shop/cart'] }, rules: [one] })
    t.strictSame(seenOf(mesh, 'globex'), ['cart-west.shop.svc.globex.mesh.internal'])
  },
)

t.test('Linkerd: a federated service is a merge and is refused', async (t) => {
  t.equal((await refuse(t, { merge: 'local' })).status, 400)
})

t.test(
  'Kuma: MeshMultiZoneService selects by label; its hostname template and its merging are refused',
  async (t) => {
    const rule = { ...IMPORT, subject: labelled('kuma.io/display-name', 'cart') }
    const shown = ['shop/cart', { 'kuma.io/display-name': 'cart' }] as const
    const mesh = smallMesh({
      offers: { globex: [shown], initech: [shown, 'shop/pay'] },
      rules: [rule],
    })
    t.strictSame(
      [...seenOf(mesh, 'globex'), ...seenOf(mesh, 'initech')],
      ['cart.shop.svc.globex.mesh.internal', 'cart.shop.svc.initech.mesh.internal'],
      'one service a zone, not one for all',
    )
    t.equal((await refuse(t, { hostname: '{{ .DisplayName }}.mzsvc.mesh.local' })).status, 400)
    const many: RuleDraft = { ...rule, as: { name: 'cart' } }
    t.throws(() => checkRule(many, AT), { code: 'RULE_INVALID' }, 'one name for many is a merge')
  },
)

t.test(
  'Cilium shared=false: consumed and not offered is an import without an export',
  async (t) => {
    const rule: RuleDraft = { ...IMPORT, subject: { namespace: 'shop', name: 'cart' } }
    const mesh = smallMesh({
      services: ['shop/cart'],
      offers: { globex: ['shop/cart'] },
      rules: [rule],
    })
    t.strictSame(seenBy(mesh, 'globex'), [])
    t.strictSame(seenOf(mesh, 'globex'), ['cart.shop.svc.globex.mesh.internal'])
  },
)

t.test('Admiral Dependency: only the namespaces that depend on a service see it', async (t) => {
  const rules: RuleDraft[] = [
    {
      ...IMPORT,
      subject: { namespace: 'market', name: 'quotes' },
      audience: from('globex'),
      visibleTo: ['shop'],
    },
    { ...EXPORT, subject: { identity: '*' } },
  ]
  const mesh = smallMesh({ offers: { globex: ['market/quotes', 'market/orders'] }, rules })
  t.strictSame(seenOf(mesh, 'globex', 'shop'), ['quotes.market.svc.globex.mesh.internal'])
  t.strictSame(seenOf(mesh, 'globex', 'pay'), [])
  t.ok(mayCall(mesh, 'acme.example/ns/shop/sa/cart', 'market/quotes', 'globex'))
  t.notOk(mayCall(mesh, 'acme.example/ns/pay/sa/api', 'market/quotes', 'globex'))
})

t.test('Gloo VirtualMesh: selected services go to the listed meshes', async (t) => {
  const rule: RuleDraft = { ...EXPORT, subject: labelled('team', 'shop'), audience: from('globex') }
  const mesh = smallMesh({ services: [['shop/cart', { team: 'shop' }], 'shop/pay'], rules: [rule] })
  t.strictSame(seenBy(mesh, 'globex'), ['shop/cart'])
  t.strictSame(seenBy(mesh, 'initech'), [])
})
