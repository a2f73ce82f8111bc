import t from 'tap'
import { inTransaction } from '../../../src/db/connect.ts'
import { parseMeshId } from '../../../src/db/ids.ts'
import { createPeerGroup, deletePeerGroup } from '../../../src/federation/group/peer-groups.ts'
import {
  changeRule,
  createRule,
  deleteRule,
  loadRule,
} from '../../../src/policy/change/change-rules.ts'
import { rulesOfGroup } from '../../../src/policy/rule/dependants.ts'
import { changesOfGroup } from '../../../src/policy/change/group-changes.ts'
import { type RuleDraft } from '../../../src/policy/rule/rule.ts'
import { addMesh, addRelationship, type PolicyApp, policyApp } from '../policy-app.ts'

const meshId = parseMeshId('acme')

async function acme(t: Parameters<typeof policyApp>[0]): Promise<PolicyApp> {
  const app = await policyApp(t)
  await addMesh(app.db, 'acme', app.clock.db)
  for (const name of ['globex', 'initech']) await addRelationship(app.db, meshId, { name })
  for (const [name, labels] of [
    ['cart', { tier: 'front' }],
    ['stock', { tier: 'back' }],
  ] as const) {
    const ports = [
      { name: 'http', port: 8080 },
      { name: 'admin', port: 9000 },
    ]
    const body = { namespace: 'shop', name, ports, identities: [`/ns/shop/sa/${name}`], labels }
    await app.call('POST', '/meshes/acme/services', { body })
  }
  return app
}

const draft: RuleDraft = {
  direction: 'export',
  effect: 'allow',
  subject: { namespace: 'shop', name: '*' },
  audience: { kind: 'peers', relationships: ['globex'] },
}

async function exportsTo({ call }: PolicyApp, peer: string) {
  const { body } = await call('GET', `/meshes/acme/relationships/${peer}/exports`)
  return body.items
}

t.test('labels and ports choose what a peer sees and may call', async (t) => {
  const app = await acme(t)
  const subject = {
    ...draft.subject,
    labels: { matchExpressions: [{ key: 'tier', operator: 'NotIn', values: ['back'] }] },
    ports: ['http'],
  }
  const made = await app.call('POST', '/meshes/acme/rules', { body: { ...draft, subject } })
  t.equal(made.body.line, 'export allow shop/* [tier notin (back)] ports http to globex')
  t.match(await exportsTo(app, 'globex'), [
    { name: 'cart', state: 'offered', ports: [{ name: 'http' }], callers: ['*'] },
  ])
  const read = await app.call('GET', `/meshes/acme/rules/${made.body.id}`)
  t.same(read.body.subject, subject, 'it is kept as it was written')
})

t.test(
  'a group stands for its members, in the order of precedence between a peer and all',
  async (t) => {
    const app = await acme(t)
    const { call, db, clock } = app
    const context = { actor: 'tester', now: clock.now() }
    const members = [{ self: true as const }, { relationship: 'initech' }]
    await inTransaction(db, (trx) =>
      createPeerGroup(trx, meshId, { draft: { name: 'friends', members }, context }),
    )
    const body = { ...draft, name: 'for-friends', audience: { kind: 'peers', groups: ['friends'] } }
    const made = await call('POST', '/meshes/acme/rules', { body })
    t.equal(made.body.line, 'export allow shop/* to group friends')
    t.same(
      made.body.effectNow.reaches.map(({ peer, count }: { peer: string; count: number }) => [
        peer,
        count,
      ]),
      [
        ['self', 2],
        ['initech', 2],
      ],
    )
    t.equal((await exportsTo(app, 'globex')).length, 0)
    const all = await call('POST', '/meshes/acme/rules', {
      body: { ...draft, audience: { kind: 'all' } },
    })
    const cited = async (peer: string) => (await exportsTo(app, peer))[0].ruleId
    t.equal(await cited('initech'), made.body.id)
    t.equal(await cited('globex'), all.body.id)
    t.match(await rulesOfGroup(db, { meshId, name: 'friends' }), [
      { name: 'for-friends', blocks: true },
    ])
    const ending = {
      name: 'friends',
      context,
      requireVersion: () => undefined,
      dependants: [rulesOfGroup],
      memberEffects: changesOfGroup,
    }
    await t.rejects(
      inTransaction(db, (trx) => deletePeerGroup(trx, meshId, { ...ending, force: false })),
      { code: 'CONFLICT' },
    )
    await inTransaction(db, (trx) => deletePeerGroup(trx, meshId, { ...ending, force: true }))
    t.equal(await cited('initech'), all.body.id)
    t.equal(
      (await call('GET', '/meshes/acme/rules/for-friends')).body.line,
      'export allow shop/* to nobody',
    )
    const unknown = await call('POST', '/meshes/acme/rules', {
      body: { ...draft, audience: { kind: 'peers', groups: ['friends'] }, clusters: ['moon'] },
    })
    t.match(unknown, { status: 422, body: { errors: [{ pointer: '/clusters/0' }] } })
  },
)

t.test('a rule is found by its name, which is taken once', async (t) => {
  const { call } = await acme(t)
  const body = { ...draft, name: 'shop-to-globex' }
  const made = await call('POST', '/meshes/acme/rules', { body })
  const at = '/meshes/acme/rules/shop-to-globex'
  t.equal((await call('GET', at)).body.id, made.body.id)
  t.match(await call('POST', '/meshes/acme/rules', { body }), {
    status: 409,
    body: { code: 'ALREADY_EXISTS', next: 'entente rule show shop-to-globex' },
  })
  t.equal((await call('PATCH', at, { body: { name: null }, ifMatch: '*' })).status, 200)
  t.equal((await call('GET', at)).status, 404)
  const asId = await call('POST', '/meshes/acme/rules', { body: { ...draft, name: made.body.id } })
  t.match(asId, { status: 422, body: { errors: [{ pointer: '/name' }] } })
})

t.test('a service goes under the name that a rule gives it, and two never under one', async (t) => {
  const app = await acme(t)
  const { call } = app
  const rule = (name: string, as: object) => ({
    ...draft,
    subject: { namespace: 'shop', name },
    as,
  })
  const cart = await call('POST', '/meshes/acme/rules', {
    body: rule('cart', { namespace: 'market', name: 'basket' }),
  })
  t.match(cart.body.changes.peers, [
    { peer: 'globex', items: [{ kind: 'visible', subject: 'shop/cart', name: 'market/basket' }] },
  ])
  t.match(cart.body.next[0], /^# at globex: entente service add --of acme market\/basket /)
  t.match(
    (await call('GET', '/meshes/acme/explain?service=shop/cart&to=globex')).body.decision,
    'allow',
  )
  const clash = await call('POST', '/meshes/acme/rules', {
    body: rule('stock', { namespace: 'market', name: 'basket' }),
  })
  t.match(clash, {
    status: 422,
    body: {
      errors: [
        {
          pointer: '/as',
          detail: 'shop/stock and shop/cart would both be market/basket to globex',
        },
      ],
    },
  })
  const renamed = await call('PATCH', `/meshes/acme/rules/${cart.body.id}`, {
    body: { as: { name: 'trolley' } },
    ifMatch: '*',
  })
  t.match(renamed.body.changes.peers[0].items, [
    { kind: 'renamed', was: 'market/basket', name: 'shop/trolley' },
  ])
  const late = { ...draft, subject: { namespace: '*', name: 'stock' }, as: { namespace: 'market' } }
  t.equal((await call('POST', '/meshes/acme/rules', { body: late })).status, 201)
  const more = {
    namespace: 'pay',
    name: 'stock',
    ports: [{ name: 'http', port: 1 }],
    identities: ['/pay'],
  }
  await call('POST', '/meshes/acme/services', { body: more })
  t.match(
    (await exportsTo(app, 'globex')).filter(({ name }: { name: string }) => name === 'stock'),
    [
      { namespace: 'pay', state: 'offered', exportedName: 'market/stock' },
      { namespace: 'shop', state: 'conflict', conflictsWith: { service: 'pay/stock' } },
    ],
    'what comes later is shown',
  )
})

t.test('a dry run tells what a change or the end of a rule would do, per peer', async (t) => {
  const { call } = await acme(t)
  const made = await call('POST', '/meshes/acme/rules', { body: draft })
  const at = `/meshes/acme/rules/${made.body.id}`
  const narrowed = { audience: { ...draft.audience, callers: { namespaces: ['web'] } } }
  const dry = await call('PATCH', `${at}?dryRun=true`, { body: narrowed, ifMatch: '*' })
  t.match(dry.body.changes.peers, [
    {
      peer: 'globex',
      counts: { allowed: 0, denied: 2, visible: 0 },
      items: [{ kind: 'denied', subject: 'shop/cart', who: ['* but /ns/web/*'] }, {}],
    },
  ])
  const ended = await call('DELETE', `${at}?dryRun=true`, { ifMatch: '*' })
  t.match(ended.body.changes.peers, [
    {
      peer: 'globex',
      counts: { hidden: 2 },
      items: [{ kind: 'hidden', subject: 'shop/cart' }, {}],
    },
  ])
  t.equal((await call('GET', at)).status, 200)
})

t.test('an author for some namespaces makes, changes and finds rules of those only', async (t) => {
  const { db, clock } = await acme(t)
  const own = { actor: 'dev', now: clock.now(), ownerScope: ['shop'] }
  const all = { actor: 'admin', now: clock.now() }
  const make = (draft: RuleDraft, context: typeof own | typeof all) =>
    inTransaction(db, (trx) => createRule(trx, meshId, { draft, context }))
  const everywhere = { ...draft, subject: { namespace: '*', name: 'cart' } }
  const mine = await make(draft, own)
  t.same(mine.ownerScope, ['shop'])
  for (const beyond of [
    everywhere,
    { ...draft, subject: { namespace: 'shop*', name: '*' } },
    { ...draft, as: { namespace: 'pay' } },
    { ...draft, ownerScope: ['pay'] },
    { ...draft, subject: { identity: '/ns/shop*' } },
    { ...draft, subject: { identity: '/ns/pay/*' } },
    { ...draft, direction: 'import' as const },
    { ...draft, direction: 'import' as const, visibleTo: ['shop', 'pay'] },
    {
      ...draft,
      direction: 'import' as const,
      visibleTo: ['shop'],
      as: { name: 'x' },
      subject: { namespace: 'a', name: 'b' },
    },
    { ...draft, direction: 'import' as const, effect: 'deny' as const, subject: { identity: '*' } },
  ]) {
    await t.rejects(make(beyond, own), { code: 'FORBIDDEN' }, JSON.stringify(beyond))
  }
  await make({ ...draft, subject: { identity: '/ns/shop/*' } }, own)
  await make({ ...draft, direction: 'import', visibleTo: ['shop'] }, own)
  const theirs = await make(everywhere, all)
  const edit = { rule: theirs.id, context: own, requireVersion: () => undefined }
  for (const touch of [
    () => inTransaction(db, (trx) => deleteRule(trx, meshId, edit)),
    () => inTransaction(db, (trx) => changeRule(trx, meshId, { ...edit, change: { note: 'x' } })),
    () => loadRule(db, meshId, { target: theirs.id, ownerScope: ['shop'] }),
  ]) {
    const refused: Promise<unknown> = touch()
    await t.rejects(refused, { code: 'NOT_FOUND', message: `mesh acme has no rule "${theirs.id}"` })
  }
  const widen = { ...edit, rule: mine.id, change: { subject: everywhere.subject } }
  await t.rejects(
    inTransaction(db, (trx) => changeRule(trx, meshId, widen)),
    { code: 'FORBIDDEN' },
  )
  await t.rejects(
    inTransaction(db, (trx) => changeRule(trx, meshId, { ...widen, context: all })),
    { code: 'RULE_INVALID' },
    'whoever owns it could change it later',
  )
})

t.test(
  'authors of different namespaces may give one name, and none learns of the other',
  async (t) => {
    const { db, clock } = await acme(t)
    const make = (namespace: string | undefined) => {
      const ownerScope = namespace === undefined ? undefined : [namespace]
      const context = { actor: 'dev', now: clock.now(), ownerScope }
      const subject = { namespace: namespace ?? 'bank', name: 'x' }
      const wanted = { ...draft, name: 'mine', subject }
      return inTransaction(db, (trx) => createRule(trx, meshId, { draft: wanted, context }))
    }
    const load = (ownerScope?: readonly string[]) =>
      loadRule(db, meshId, { target: 'mine', ...(ownerScope && { ownerScope }) })
    const [shop, pay] = [await make('shop'), await make('pay')]
    t.equal((await load(['shop'])).id, shop.id)
    t.equal((await load(['pay'])).id, pay.id)
    await t.rejects(load(['web']), { code: 'NOT_FOUND' })
    await t.rejects(make('shop'), { code: 'ALREADY_EXISTS' })
    await t.rejects(load(), { code: 'CONFLICT', message: /several namespaces have a rule "mine"/ })
    const ofMesh = await make(undefined)
    t.equal((await load()).id, ofMesh.id, 'a rule of the whole mesh goes before')
  },
)
