import t from 'tap'
import { catalogDependants, offersOfPeer } from '../../../src/catalog/find-services.ts'
import { parseMeshId } from '../../../src/db/ids.ts'
import { policyDependants, rulesOfPeer } from '../../../src/policy/rule/dependants.ts'
import { addMesh, addRelationship, type PolicyApp, policyApp, setState } from '../policy-app.ts'

const cart = {
  namespace: 'shop',
  name: 'cart',
  ports: [{ name: 'http', port: 8080 }],
  identities: ['/ns/shop/sa/cart'],
}

const exportCart = {
  direction: 'export',
  effect: 'allow',
  subject: { namespace: 'shop', name: 'cart' },
  audience: { kind: 'peers', relationships: ['globex'] },
}

async function acmeWithGlobex(t: Parameters<typeof policyApp>[0]): Promise<PolicyApp> {
  const app = await policyApp(t)
  const acme = await addMesh(app.db, 'acme', app.clock.db)
  await addRelationship(app.db, acme, { name: 'globex' })
  await addRelationship(app.db, acme, { name: 'initech', state: 'pending' })
  await app.call('POST', '/meshes/acme/services', { body: cart })
  return app
}

async function decisionOf({ call }: PolicyApp, query: string): Promise<string> {
  const { body } = await call('GET', `/meshes/acme/explain?${query}`)
  return body.decision
}

t.test('a new mesh has one ordinary rule: every namespace to itself', async (t) => {
  const app = await acmeWithGlobex(t)
  const { body } = await app.call('GET', '/meshes/acme/rules')
  t.equal(body.items.length, 1)
  t.equal(body.items[0].line, 'export allow */* to self')
  t.equal(await decisionOf(app, 'service=shop/cart'), 'allow')
  t.equal(await decisionOf(app, 'service=shop/cart&to=globex'), 'deny')
  const { id } = body.items[0]
  t.equal((await app.call('DELETE', `/meshes/acme/rules/${id}`, { ifMatch: '"v1"' })).status, 200)
  t.equal(await decisionOf(app, 'service=shop/cart'), 'deny', 'without it namespaces are isolated')
})

t.test(
  'an export answers to whom it is offered now, who is not active, and what the peer enters',
  async (t) => {
    const { call } = await acmeWithGlobex(t)
    const both = {
      ...exportCart,
      audience: { kind: 'peers', relationships: ['initech', 'globex'] },
    }
    const made = await call('POST', '/meshes/acme/rules', { body: both })
    t.equal(made.status, 201)
    t.equal(made.headers['location'], `/v1/meshes/acme/rules/${made.body.id}`)
    t.equal(made.headers['etag'], '"v1"')
    t.same(made.body.effectNow.reaches, [{ peer: 'globex', count: 1, services: ['shop/cart'] }])
    t.match(made.body.effectNow.notActive, [{ peer: 'initech', state: 'pending' }])
    t.same(made.body.next, [
      '# at globex: entente service add --of acme shop/cart --port http:8080 --identity spiffe://acme.example/ns/shop/sa/cart',
      '# at globex: entente rule import shop/cart --from acme',
      'entente federation show initech',
    ])
  },
)

t.test('an export that another rule forbids says so', async (t) => {
  const { call } = await acmeWithGlobex(t)
  const deny = {
    ...exportCart,
    effect: 'deny',
    subject: { namespace: 'shop', name: '*' },
    audience: { kind: 'all' },
  }
  const denied = await call('POST', '/meshes/acme/rules', { body: deny })
  const made = await call('POST', '/meshes/acme/rules', { body: exportCart })
  t.same(made.body.effectNow.reaches, [{ peer: 'globex', count: 0, services: [] }])
  t.match(made.body.effectNow.withheld, [{ peer: 'globex', service: 'shop/cart' }])
  t.match(made.body.effectNow.withheld[0].reason, denied.body.id)
})

t.test(
  'both halves of an import: what is on record, what we take, what only the peer knows',
  async (t) => {
    const app = await acmeWithGlobex(t)
    const offers = '/meshes/acme/relationships/globex/offers'
    await app.call('POST', offers, { body: { ...cart, namespace: 'market', name: 'quotes' } })
    const before = await app.call('GET', offers)
    t.match(before.body.items, [
      {
        name: 'quotes',
        imported: false,
        hostname: 'quotes.market.svc.globex.mesh.internal',
        next: ['entente rule import market/quotes --from globex'],
      },
    ])
    const body = {
      direction: 'import',
      effect: 'allow',
      subject: { namespace: 'market', name: '*' },
      audience: { kind: 'peers', relationships: ['globex'] },
    }
    const made = await app.call('POST', '/meshes/acme/rules', { body })
    t.same(made.body.effectNow.reaches, [{ peer: 'globex', count: 1, services: ['market/quotes'] }])
    t.same(made.body.next, [
      'entente rule export --identity PATH --to globex',
      'entente explain ID --may-call market/quotes --of globex',
    ])
    const identity = { ...body, direction: 'export', subject: { identity: '/web' } }
    const shown = await app.call('POST', '/meshes/acme/rules', { body: identity })
    t.match(shown.body.changes.peers, [
      { peer: 'globex', items: [{ kind: 'allowed', subject: 'identity /web' }] },
    ])
    t.match((await app.call('GET', offers)).body.items, [{ imported: true, next: [] }])

    const caller = encodeURIComponent('spiffe://acme.example/web')
    const asked = `/meshes/acme/explain?service=market/quotes&of=globex&caller=${caller}`
    const { body: answer } = await app.call('GET', asked)
    t.match(answer, {
      decision: 'allow',
      question: 'call',
      undecided: ['globex'],
      hostname: 'quotes.market.svc.globex.mesh.internal',
      serverIds: ['spiffe://globex.example/ns/shop/sa/cart'],
      next: [],
    })
    t.match(
      answer.steps.find((step: { step: string }) => step.step === 'exportRule'),
      {
        outcome: 'unknown',
        reason: 'decided by globex',
        decidedBy: 'globex',
      },
    )
  },
)

t.test('explain names the smallest change, and that change is enough', async (t) => {
  const app = await acmeWithGlobex(t)
  const caller = encodeURIComponent('spiffe://globex.example/ns/web/sa/front')
  const asked = `service=shop/cart&caller=${caller}`
  const { body } = await app.call('GET', `/meshes/acme/explain?${asked}`)
  t.same(body.next, ['entente rule export shop/cart --to globex --callers /ns/web/sa/front'])
  const callers = { paths: ['/ns/web/sa/front'] }
  const narrowed = { ...exportCart, audience: { ...exportCart.audience, callers } }
  await app.call('POST', '/meshes/acme/rules', { body: narrowed })
  t.equal(await decisionOf(app, asked), 'allow')
  const other = encodeURIComponent('spiffe://globex.example/ns/pay/sa/x')
  t.equal(await decisionOf(app, `service=shop/cart&caller=${other}`), 'deny')
})

t.test(
  'a suspended or terminated relationship closes both directions, and its rules stay',
  async (t) => {
    const app = await acmeWithGlobex(t)
    const { db, call } = app
    const everything = {
      effect: 'allow',
      subject: { namespace: '*', name: '*' },
      audience: { kind: 'all' },
    }
    for (const direction of ['export', 'import']) {
      await call('POST', '/meshes/acme/rules', { body: { ...everything, direction } })
    }
    await call('POST', '/meshes/acme/relationships/globex/offers', { body: cart })
    const questions = ['service=shop/cart&to=globex', 'service=shop/cart&of=globex']
    for (const [state, decision] of [
      ['active', 'allow'],
      ['suspended', 'deny'],
      ['active', 'allow'],
      ['terminated', 'deny'],
    ] as const) {
      await setState(db, parseMeshId('acme'), 'globex', state)
      for (const asked of questions)
        t.equal(await decisionOf(app, asked), decision, `${state}: ${asked}`)
    }
    t.equal((await call('GET', '/meshes/acme/rules')).body.items.length, 3)
  },
)

t.test(
  'a deleted relationship leaves a rule that applies to nobody, and its name to a successor that it does not reach',
  async (t) => {
    const app = await acmeWithGlobex(t)
    const { db, call } = app
    const { body: rule } = await call('POST', '/meshes/acme/rules', { body: exportCart })
    await db.deleteFrom('relationship').where('name', '=', 'globex').execute()
    await addRelationship(db, parseMeshId('acme'), { name: 'globex' })
    await setState(db, parseMeshId('acme'), 'globex', 'active')
    const read = await call('GET', `/meshes/acme/rules/${rule.id}`)
    t.equal(read.body.line, 'export allow shop/cart to nobody')
    t.equal(await decisionOf(app, 'service=shop/cart&to=globex'), 'deny')
    const noted = await call('PATCH', `/meshes/acme/rules/${rule.id}`, {
      body: { note: 'old' },
      ifMatch: '"v1"',
    })
    t.equal(noted.status, 200, 'it can still be changed')
  },
)

t.test('a renamed relationship takes its rules along', async (t) => {
  const app = await acmeWithGlobex(t)
  const { db, call } = app
  const { body: rule } = await call('POST', '/meshes/acme/rules', { body: exportCart })
  await db
    .updateTable('relationship')
    .set({ name: 'globex-prod' })
    .where('name', '=', 'globex')
    .execute()
  await setState(db, parseMeshId('acme'), 'globex-prod', 'active')
  t.equal(
    (await call('GET', `/meshes/acme/rules/${rule.id}`)).body.line,
    'export allow shop/cart to globex-prod',
  )
  t.equal(await decisionOf(app, 'service=shop/cart&to=globex-prod'), 'allow')
})

t.test('a rule ends by itself', async (t) => {
  const app = await acmeWithGlobex(t)
  const expiresAt = '2027-01-15T09:00:00Z'
  await app.call('POST', '/meshes/acme/rules', { body: { ...exportCart, expiresAt } })
  const asked = 'service=shop/cart&to=globex'
  t.equal(await decisionOf(app, asked), 'allow')
  t.equal(await decisionOf(app, `${asked}&at=2027-01-15T09:00:00Z`), 'deny', 'asked about then')
  await app.clock.advance(3_600_000)
  t.equal(await decisionOf(app, asked), 'deny', 'asked then')
  const past = await app.call('POST', '/meshes/acme/rules', { body: { ...exportCart, expiresAt } })
  t.match(past, {
    status: 422,
    body: { code: 'RULE_INVALID', errors: [{ pointer: '/expiresAt' }] },
  })
})

t.test('a change needs the version it was made on', async (t) => {
  const { call } = await acmeWithGlobex(t)
  const { body: rule } = await call('POST', '/meshes/acme/rules', {
    body: { ...exportCart, note: 'why' },
  })
  const at = `/meshes/acme/rules/${rule.id}`
  t.equal((await call('PATCH', at, { body: { effect: 'deny' } })).status, 428)
  t.equal((await call('DELETE', at)).status, 428)
  const changed = await call('PATCH', at, { body: { effect: 'deny', note: null }, ifMatch: '"v1"' })
  t.match(changed, { status: 200, headers: { etag: '"v2"' }, body: { effect: 'deny', note: null } })
  t.match(changed.body.audience, exportCart.audience, 'what was not named stays')
  t.equal((await call('DELETE', at, { ifMatch: '"v1"' })).status, 412)
  t.equal((await call('DELETE', at, { ifMatch: '"v2"' })).status, 200)
  t.equal((await call('GET', at)).status, 404)
})

t.test('of two changes made on one version at the same time exactly one wins', async (t) => {
  const { call } = await acmeWithGlobex(t)
  const { body: rule } = await call('POST', '/meshes/acme/rules', { body: exportCart })
  const at = `/meshes/acme/rules/${rule.id}`
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, i) =>
      call('PATCH', at, { body: { note: `n${i}` }, ifMatch: '"v1"' }),
    ),
  )
  t.same(
    answers.map(({ status }) => status).toSorted((a, b) => a - b),
    [200, ...Array(7).fill(412)],
  )
  const winner = answers.find(({ status }) => status === 200)
  t.equal((await call('GET', at)).body.note, winner?.body.note)
})

t.test('rules written at the same time all stand, and the snapshot has them all', async (t) => {
  const { call, snapshots } = await acmeWithGlobex(t)
  const bodies = Array.from({ length: 12 }, (_, i) => ({ ...exportCart, note: `rule ${i}` }))
  const answers = await Promise.all(
    bodies.map((body) => call('POST', '/meshes/acme/rules', { body })),
  )
  t.ok(answers.every(({ status }) => status === 201))
  const snapshot = await snapshots.current(parseMeshId('acme'))
  t.equal(snapshot.rules.byId.size, 13)
})

t.test('refused rules name the field and what to do', async (t) => {
  const { call } = await acmeWithGlobex(t)
  const unknown = {
    ...exportCart,
    audience: { kind: 'peers', relationships: ['globex', 'nobody'] },
  }
  t.match(await call('POST', '/meshes/acme/rules', { body: unknown }), {
    status: 422,
    body: {
      code: 'RULE_INVALID',
      next: 'entente federation list',
      errors: [{ pointer: '/audience/relationships/1' }],
    },
  })
  const shapeless = { ...exportCart, audience: 'all' }
  t.equal((await call('POST', '/meshes/acme/rules', { body: shapeless })).status, 400)
  t.equal((await call('GET', '/meshes/acme/rules/no-such-rule')).status, 404)
  t.equal((await call('GET', '/meshes/acme/explain?service=cart')).status, 400)
  t.match(await call('GET', '/meshes/acme/explain?service=shop/cart&caller=web'), {
    body: { code: 'SPIFFE_ID_INVALID' },
  })
})

t.test('a dry run of a rule shows what it would do and does nothing', async (t) => {
  const app = await acmeWithGlobex(t)
  const dry = await app.call('POST', '/meshes/acme/rules?dryRun=true', { body: exportCart })
  t.match(dry, { status: 200, body: { effectNow: { reaches: [{ peer: 'globex', count: 1 }] } } })
  t.equal((await app.call('GET', `/meshes/acme/rules/${dry.body.id}`)).status, 404)
  t.equal(await decisionOf(app, 'service=shop/cart&to=globex'), 'deny')
})

t.test('rules page by id without repeating or hiding any, and by direction', async (t) => {
  const { call } = await acmeWithGlobex(t)
  for (let i = 0; i < 4; i += 1) await call('POST', '/meshes/acme/rules', { body: exportCart })
  const importing = { ...exportCart, direction: 'import' }
  await call('POST', '/meshes/acme/rules', { body: importing })
  const ids = new Set<string>()
  let cursor = ''
  do {
    const { body } = await call('GET', `/meshes/acme/rules?limit=2${cursor}`)
    for (const { id } of body.items) ids.add(id)
    cursor = body.nextCursor === null ? '' : `&cursor=${body.nextCursor}`
  } while (cursor !== '')
  t.equal(ids.size, 6)
  const imports = await call('GET', '/meshes/acme/rules?direction=import')
  t.equal(imports.body.items.length, 1)
})

t.test('a cursor of another list is refused and never reaches the database', async (t) => {
  const { call } = await acmeWithGlobex(t)
  const cursor = Buffer.from('["shop"]').toString('base64url')
  const answer = await call('GET', `/meshes/acme/rules?cursor=${cursor}`)
  t.match(answer, { status: 400, body: { code: 'INVALID_REQUEST', next: /first page/ } })
})

t.test('two meshes with equal names everywhere see nothing of each other', async (t) => {
  const app = await policyApp(t)
  const { db, clock, call } = app
  for (const name of ['acme', 'other']) {
    const mesh = await addMesh(db, name, clock.db)
    await addRelationship(db, mesh, { name: 'globex' })
    await call('POST', `/meshes/${name}/services`, { body: cart })
  }
  const { body: rule } = await call('POST', '/meshes/acme/rules', { body: exportCart })
  await call('POST', '/meshes/acme/relationships/globex/offers', { body: cart })
  await call('POST', '/meshes/acme/services', { body: { ...cart, name: 'secret' } })

  const seen = JSON.stringify([
    (await call('GET', '/meshes/other/services')).body,
    (await call('GET', '/meshes/other/rules')).body,
    (await call('GET', '/meshes/other/relationships/globex/offers')).body,
    (await call('GET', '/meshes/other/explain?service=shop/secret&to=globex')).body,
    (await call('GET', '/meshes/other/explain?service=shop/cart&of=globex')).body,
  ])
  t.notMatch(seen, /acme/)
  t.notMatch(seen, rule.id)
  t.equal((await call('GET', `/meshes/other/rules/${rule.id}`)).status, 404)
  t.equal((await call('DELETE', `/meshes/other/rules/${rule.id}`, { ifMatch: '*' })).status, 404)
  t.equal((await call('DELETE', '/meshes/other/relationships/globex/offers/shop/cart')).status, 404)
  t.match((await call('GET', '/meshes/other/explain?service=shop/cart&to=globex')).body, {
    decision: 'deny',
  })
  t.match((await call('GET', '/meshes/acme/explain?service=shop/cart&to=globex')).body, {
    decision: 'allow',
  })
  const foreign = encodeURIComponent('spiffe://other.example/web')
  t.match((await call('GET', `/meshes/acme/explain?service=shop/cart&caller=${foreign}`)).body, {
    decision: 'deny',
  })
})

t.test('ending a relationship tells which rules and offers speak of it', async (t) => {
  const { call, db } = await acmeWithGlobex(t)
  const meshId = parseMeshId('acme')
  const { body: rule } = await call('POST', '/meshes/acme/rules', { body: exportCart })
  await call('POST', '/meshes/acme/relationships/globex/offers', { body: cart })
  const row = await db
    .selectFrom('relationship')
    .select('id')
    .where('name', '=', 'globex')
    .executeTakeFirstOrThrow()
  const target = {
    kind: 'relationship',
    meshId,
    relationshipId: row.id,
    name: 'globex',
    trustDomains: [],
  } as const
  t.match(await rulesOfPeer(db, target), [{ kind: 'rule', name: rule.id, blocks: false }])
  t.match(await offersOfPeer(db, target), [{ kind: 'offer', name: 'shop/cart' }])
  t.match(await policyDependants(db, { kind: 'mesh', meshId }), [{ name: '2 rules' }])
  t.match(await catalogDependants(db, { kind: 'mesh', meshId }), [{ name: '1 service' }])
})
