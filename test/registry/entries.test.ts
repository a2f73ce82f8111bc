import t, { type Test } from 'tap'
import { parseMeshId } from '../../src/db/ids.ts'
import { databaseNow } from '../../src/db/time.ts'
import { entryRoutes } from '../../src/registry/entry-routes.ts'
import { joinTokenRoutes } from '../../src/registry/join-token-routes.ts'
import { parseJoinToken } from '../../src/pki/join-token.ts'
import { registryDependants } from '../../src/registry/dependants.ts'
import { adminApp } from '../support/admin-app.ts'
import { assertNoSecrets } from '../support/secrets.ts'
import { makeMesh, testKeyring } from '../support/meshes.ts'

const ENTRIES = '/v1/meshes/acme/entries'
const TOKENS = '/v1/meshes/acme/join-tokens'

/** The routes of the registry on a database with the meshes acme and globex. */
const registry = async (t: Test) => {
  const admin = await adminApp(t, {
    mount: (v1, db) => {
      v1.register(entryRoutes, { db, now: databaseNow })
      const workloadUrl = 'https://entente.example:8444'
      v1.register(joinTokenRoutes, { db, now: databaseNow, workloadUrl })
    },
  })
  const keyring = testKeyring()
  await makeMesh(admin.database.db, keyring)
  await makeMesh(admin.database.db, keyring, { meshId: 'globex' })
  const records = async () => {
    const rows = await admin.database.db
      .selectFrom('audit_record')
      .selectAll()
      .orderBy('id')
      .execute()
    return rows.filter(({ action }) => /^(entry|join-token)\./.test(action))
  }
  return { ...admin, db: admin.database.db, records }
}

t.test(
  'an entry is made with its defaults, read, changed and deleted, each in the audit log',
  async (t) => {
    const { call, records } = await registry(t)
    const made = await call('POST', ENTRIES, { body: { spiffeId: '/ns/shop/sa/cart' } })
    t.equal(made.status, 201)
    t.match(made.body, {
      spiffeId: 'spiffe://acme.example/ns/shop/sa/cart',
      trustDomain: 'acme.example',
      x509TtlSeconds: 3600,
      jwtTtlSeconds: 300,
      dnsNames: [],
      federatesWith: 'all',
      hint: null,
      expiresAt: null,
      next: ['entente join-token create --id spiffe://acme.example/ns/shop/sa/cart'],
    })
    const at = `${ENTRIES}/${made.body.id}`
    t.equal(made.headers.get('location'), at)
    t.equal((await call('GET', at)).headers.get('etag'), '"v1"')

    const change = {
      x509TtlSeconds: 60,
      dnsNames: ['cart.example'],
      federatesWith: ['b.example', 'a.example'],
    }
    const changed = await call('PATCH', at, { body: change, headers: { 'if-match': '"v1"' } })
    t.match(changed.body, { ...change, federatesWith: ['a.example', 'b.example'], version: '2' })
    t.equal(changed.body.jwtTtlSeconds, 300, 'what was not named stays')
    const stale = { body: { hint: 'x' }, headers: { 'if-match': '"v1"' } }
    t.equal((await call('PATCH', at, stale)).status, 412)

    const ended = await call('DELETE', at)
    t.match(ended.body, { livingSvids: 0, unusedTokens: 0 })
    t.equal((await call('GET', at)).status, 404)
    t.same(
      (await records()).map(({ action, object }) => `${action} ${object}`),
      ['create', 'update', 'delete'].map(
        (verb) => `entry.${verb} entry/spiffe://acme.example/ns/shop/sa/cart`,
      ),
    )
  },
)

t.test(
  'ID-13 ID-22 X5-02 entries stand in a domain of their mesh, with a path that is not ours',
  async (t) => {
    const { call } = await registry(t)
    const refused = [
      'spiffe://globex.example/web',
      'spiffe://other.example/web',
      'spiffe://acme.example',
      'spiffe://acme.example/',
      'spiffe://acme.example/a/../b',
      'SPIFFE://acme.example/web',
      '/entente/bundle-endpoint',
      '/entente',
      'spiffe://acme.example/entente/exchange',
      'web',
      '/',
      '//x',
    ]
    for (const spiffeId of refused) {
      const answer = await call('POST', ENTRIES, { body: { spiffeId } })
      t.match(
        answer,
        { status: 422, body: { code: 'ENTRY_INVALID', errors: [{ pointer: '/spiffeId' }] } },
        spiffeId,
      )
      const token = await call('POST', TOKENS, { body: { spiffeId } })
      t.match(token, { status: 422, body: { code: 'ENTRY_INVALID' } }, spiffeId)
    }
    t.equal((await call('POST', ENTRIES, { body: { spiffeId: '/entente-x' } })).status, 201)
    const longest = `/${'x'.repeat(2048 - 22)}`
    t.equal((await call('POST', ENTRIES, { body: { spiffeId: longest } })).status, 201, 'ID-12')
    t.equal((await call('POST', ENTRIES, { body: { spiffeId: `${longest}x` } })).status, 422)
  },
)

t.test('limits of lives, names and domains are checked together', async (t) => {
  const { call } = await registry(t)
  const body = {
    spiffeId: '/web',
    dnsNames: ['*.example', 'a.example', 'a.example'],
    federatesWith: ['Bad.Example'],
    expiresAt: '2020-01-01T00:00:00Z',
  }
  const answer = await call('POST', ENTRIES, { body })
  t.equal(answer.status, 422)
  t.same(
    answer.body.errors.map(({ pointer }: { pointer: string }) => pointer),
    ['/dnsNames/0', '/dnsNames/2', '/federatesWith/0', '/expiresAt'],
  )
  const odd = [
    { x509TtlSeconds: 86_401 },
    { x509TtlSeconds: 1 },
    { jwtTtlSeconds: 3601 },
    { jwtTtlSeconds: '60' },
  ]
  for (const one of [...odd, { selectors: [] }, { federatesWith: 'some' }, { expiresAt: 'soon' }]) {
    t.equal((await call('POST', ENTRIES, { body: { spiffeId: '/web', ...one } })).status, 400)
  }
})

t.test("a mesh's own limits hold for its entries", async (t) => {
  const { call, db } = await registry(t)
  const settings = JSON.stringify({ maxX509SvidSeconds: 600 })
  await db
    .updateTable('mesh')
    .set({ settings })
    .where('mesh_id', '=', parseMeshId('acme'))
    .execute()
  t.equal((await call('POST', ENTRIES, { body: { spiffeId: '/a' } })).body.x509TtlSeconds, 600)
  const more = { spiffeId: '/b', x509TtlSeconds: 601 }
  t.match(await call('POST', ENTRIES, { body: more }), {
    status: 422,
    body: { errors: [{ pointer: '/x509TtlSeconds', detail: 'is 601, wanted 2 to 600 seconds' }] },
  })
})

t.test('one identity has one entry, and a dry run makes none', async (t) => {
  const { call, records } = await registry(t)
  const body = { spiffeId: '/web' }
  t.equal((await call('POST', `${ENTRIES}?dryRun=true`, { body })).status, 200)
  t.same((await call('GET', ENTRIES)).body.items, [])
  t.same(await records(), [])
  t.equal((await call('POST', ENTRIES, { body })).status, 201)
  t.match(await call('POST', ENTRIES, { body }), { status: 409, body: { code: 'ALREADY_EXISTS' } })
  t.equal((await call('POST', '/v1/meshes/nobody/entries', { body })).status, 404)
})

t.test('lists page by SPIFFE ID and find one by it', async (t) => {
  const { call } = await registry(t)
  const paths = ['/c', '/a', '/b/x', '/b']
  for (const spiffeId of paths) await call('POST', ENTRIES, { body: { spiffeId } })
  const seen: string[] = []
  let cursor = ''
  do {
    const { body } = await call('GET', `${ENTRIES}?limit=2${cursor}`)
    seen.push(...body.items.map((one: { spiffeId: string }) => one.spiffeId.slice(21)))
    cursor = body.nextCursor === null ? '' : `&cursor=${body.nextCursor}`
  } while (cursor !== '')
  t.same(seen, paths.toSorted())
  const found = await call('GET', `${ENTRIES}?spiffeId=${encodeURIComponent('/b')}`)
  t.equal(found.body.items.length, 1)
  t.equal((await call('GET', `${ENTRIES}?cursor=x`)).status, 400)
})

t.test('a mesh shows nothing of another, by id, list or token', async (t) => {
  const { call } = await registry(t)
  const mine = await call('POST', ENTRIES, { body: { spiffeId: '/web' } })
  const token = await call('POST', TOKENS, { body: { spiffeId: '/web' } })
  const other = '/v1/meshes/globex'
  t.equal((await call('GET', `${other}/entries/${mine.body.id}`)).status, 404)
  t.equal(
    (await call('PATCH', `${other}/entries/${mine.body.id}`, { body: { hint: 'x' } })).status,
    404,
  )
  t.equal((await call('DELETE', `${other}/entries/${mine.body.id}`)).status, 404)
  t.equal((await call('DELETE', `${other}/join-tokens/${token.body.id}`)).status, 404)
  t.same((await call('GET', `${other}/entries`)).body.items, [])
  t.same((await call('GET', `${other}/join-tokens`)).body.items, [])
})

t.test(
  'a join token is shown once, with the whole command, and makes the entry if there is none',
  async (t) => {
    const { call, records, db, lines } = await registry(t)
    const made = await call('POST', TOKENS, { body: { spiffeId: '/web' } })
    t.equal(made.status, 201)
    t.equal(made.headers.get('cache-control'), 'no-store')
    t.match(made.body, { spiffeId: 'spiffe://acme.example/web', state: 'usable', madeEntry: true })
    const command =
      './bin/entente svid fetch --address entente.example:8444 --token-file join.token --out svid'
    t.same([made.body.command, made.body.next], [command, [command]])
    const { secret, address, meshId, trustDomain } = parseJoinToken(made.body.token)
    t.same([address, meshId, trustDomain], ['entente.example:8444', 'acme', 'acme.example'])
    const life = Date.parse(made.body.expiresAt) - Date.parse(made.body.createdAt)
    t.ok(life > 3_598_000 && life <= 3_600_000, 'an hour')

    const again = await call('POST', TOKENS, { body: { spiffeId: '/web', ttlSeconds: 60 } })
    t.match(again.body, { madeEntry: false, entryId: made.body.entryId })
    t.not(again.body.token, made.body.token)

    const list = await call('GET', TOKENS)
    t.equal(list.body.items.length, 2)
    const rows = await db.selectFrom('join_token').selectAll().execute()
    const audit = (await records()).map(({ body }) => Buffer.from(body).toString())
    const shown = [list.text, JSON.stringify(rows), ...audit, ...lines].join('\n')
    assertNoSecrets(t, shown, [secret, made.body.token as string])

    t.equal((await call('DELETE', `${TOKENS}/${made.body.id}`)).status, 200)
    t.equal((await call('DELETE', `${TOKENS}/${made.body.id}`)).status, 404)
    t.same(
      (await records()).map(({ action }) => action),
      ['entry.create', 'join-token.create', 'join-token.create', 'join-token.delete'],
    )
  },
)

t.test('a dry run of a join token makes neither token nor entry, and shows no token', async (t) => {
  const { call, db } = await registry(t)
  const dry = await call('POST', `${TOKENS}?dryRun=true`, { body: { spiffeId: '/web' } })
  t.equal(dry.status, 200)
  t.notMatch(dry.text, 'entente-join-v1')
  t.same(await db.selectFrom('entry').select('id').execute(), [])
  t.same(await db.selectFrom('join_token').select('id').execute(), [])
})

t.test('a join token ends before the root that it names can leave', async (t) => {
  const { call, db } = await registry(t)
  const leaves = new Date(Date.now() + 600_500)
  await db
    .updateTable('authority')
    .set({ state: 'retired', remove_at: leaves })
    .where('kind', '=', 'x509_root')
    .where('mesh_id', '=', parseMeshId('acme'))
    .execute()
  const made = await call('POST', TOKENS, { body: { spiffeId: '/web' } })
  t.ok(Date.parse(made.body.expiresAt) <= leaves.getTime())
  t.ok(Date.parse(made.body.expiresAt) > leaves.getTime() - 2000)
})

t.test('a trust domain that another system signs has no join tokens here', async (t) => {
  const { call, db } = await registry(t)
  await db.updateTable('trust_domain').set({ issuer: 'observed' }).execute()
  t.match(await call('POST', TOKENS, { body: { spiffeId: '/web' } }), {
    status: 409,
    body: { code: 'ISSUER_ELSEWHERE', detail: /are signed by the system/ },
  })
})

t.test('the end of a mesh names its entries', async (t) => {
  const { call, db } = await registry(t)
  const target = { kind: 'mesh', meshId: parseMeshId('acme') } as const
  t.same(await registryDependants(db, target), [])
  await call('POST', ENTRIES, { body: { spiffeId: '/web' } })
  t.match(await registryDependants(db, target), [{ kind: 'entry', name: '1 entry', blocks: false }])
})

t.test('a cursor that no list gave out is refused, also one that holds no id', async (t) => {
  const { call } = await registry(t)
  const forged = Buffer.from('["x"]').toString('base64url')
  for (const cursor of ['x', forged]) {
    t.equal((await call('GET', `${TOKENS}?cursor=${cursor}`)).status, 400)
  }
  t.equal((await call('GET', `${TOKENS}?entryId=x`)).status, 400)
  t.equal((await call('GET', `${ENTRIES}/x`)).status, 422)
})

t.test('an entry is tied to a cluster of its mesh, and to none that is not there', async (t) => {
  const { call, records } = await registry(t)
  const made = await call('POST', ENTRIES, { body: { spiffeId: '/reporter', cluster: 'default' } })
  t.equal(made.body.cluster, 'default')
  const at = `${ENTRIES}/${made.body.id}`
  t.equal((await call('GET', at)).body.cluster, 'default')
  const unknown = await call('PATCH', at, { body: { cluster: 'east' } })
  t.match(unknown, {
    status: 422,
    body: { code: 'ENTRY_INVALID', errors: [{ pointer: '/cluster', detail: /but default/ }] },
  })
  const kept = await call('PATCH', at, { body: { hint: 'r' } })
  t.equal(kept.body.cluster, 'default', 'what was not named stays')
  t.equal((await call('PATCH', at, { body: { cluster: null } })).body.cluster, null)
  t.match((await call('DELETE', at)).body, { reportedEndpoints: 0 })
  const last = (await records()).at(-2)
  const { before, after } = JSON.parse(Buffer.from(last?.body ?? []).toString()).body
  t.same([before.cluster, after.cluster ?? null], ['default', null])
})

t.test('an entry is found by its id, its SPIFFE ID and the path of it', async (t) => {
  const { call } = await registry(t)
  const { body } = await call('POST', ENTRIES, { body: { spiffeId: '/web' } })
  for (const name of [body.id, 'spiffe://acme.example/web', '/web']) {
    const at = `${ENTRIES}/${encodeURIComponent(name)}`
    t.equal((await call('GET', at)).body.id, body.id, name)
  }
  const named = `${ENTRIES}/${encodeURIComponent('/web')}`
  t.equal((await call('PATCH', named, { body: { hint: 'x' } })).body.hint, 'x')
  t.equal((await call('DELETE', named)).status, 200)
  t.equal((await call('GET', named)).status, 404)
  const foreign = encodeURIComponent('spiffe://globex.example/web')
  t.equal((await call('GET', `${ENTRIES}/${foreign}`)).status, 422)
})
