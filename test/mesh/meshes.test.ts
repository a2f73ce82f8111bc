import t, { type Test } from 'tap'
import { authorityFounder, republishOnSettings } from '../../src/authority/found.ts'
import { databaseNow } from '../../src/db/time.ts'
import type { Dependant } from '../../src/mesh/hooks.ts'
import { meshRoutes } from '../../src/mesh/routes.ts'
import { trustDomainRoutes } from '../../src/mesh/trust-domain-routes.ts'
import { adminApp } from '../support/admin-app.ts'
import { testKeyring } from '../support/meshes.ts'

async function meshApp(t: Test, over: { publicUrl?: string } = {}) {
  const keyring = testKeyring()
  const ending: Dependant[] = []
  const publicUrl = over.publicUrl ?? 'https://spiffe.example.com'
  const admin = await adminApp(t, {
    mount: (v1, db) => {
      v1.register(trustDomainRoutes, { db, publicUrl })
      v1.register(meshRoutes, {
        db,
        now: databaseNow,
        publicUrl,
        defaultSettings: {},
        hasWebCertificate: false,
        founders: [authorityFounder(keyring)],
        followers: [republishOnSettings],
        crossings: async () => ({ relationships: [], next: [] }),
        dependants: [async () => ending],
        resolve: async () => ['192.0.2.1'],
      })
    },
  })
  return { ...admin, ending }
}

const ACME = { meshId: 'acme', trustDomain: 'acme.example' }

t.test('a mesh is created with everything it needs to hand out', async (t) => {
  const { call, database } = await meshApp(t)
  const made = await call('POST', '/v1/meshes', { body: ACME })
  t.equal(made.status, 201)
  t.equal(made.headers.get('location'), '/v1/meshes/acme')
  t.equal(made.headers.get('etag'), '"v1"')
  t.match(made.body, {
    meshId: 'acme',
    displayName: 'acme',
    dnsSuffix: 'mesh.internal',
    environment: null,
    version: '1',
    trustDomains: [
      {
        name: 'acme.example',
        bundleUrl: 'https://acme.spiffe.example.com/bundles/acme.example',
        bundleHost: 'acme.spiffe.example.com',
        profile: 'https_spiffe',
        endpointSpiffeId: 'spiffe://acme.example/entente/bundle-endpoint',
        selfServing: true,
        hostCheck: { resolvesToUs: true },
      },
    ],
    clusters: [{ name: 'default', role: 'primary' }],
  })
  t.ok(
    made.body.next.some((line: string) => line.startsWith('entente federation invite --mesh acme')),
  )
  t.same((await call('GET', '/v1/meshes/acme')).body.trustDomains, made.body.trustDomains)
  t.match((await call('GET', '/v1/meshes/acme/trust-domains')).body.items, [
    { name: 'acme.example' },
  ])
  const records = await database.db.selectFrom('audit_record').select(['action', 'actor']).execute()
  const [record] = records.filter(({ action }) => action === 'mesh.create')
  t.match(record?.actor, /^token:/)
})

t.test('ids, trust domains and bundle hosts are unique in the service', async (t) => {
  const { call } = await meshApp(t)
  const create = (body: object) => call('POST', '/v1/meshes', { body })
  t.equal((await create({ ...ACME, bundleHost: 'one.example' })).status, 201)
  const refused = [
    { meshId: 'acme', trustDomain: 'other.example' },
    { meshId: 'other', trustDomain: 'acme.example' },
    { meshId: 'other', trustDomain: 'other.example', bundleHost: 'one.example' },
  ]
  for (const body of refused) {
    const answer = await create(body)
    t.equal(answer.status, 409, JSON.stringify(body))
    t.equal(answer.body.code, 'ALREADY_EXISTS')
    t.match(answer.body.detail, /taken in this service/)
  }
  t.equal((await call('GET', '/v1/meshes')).body.items.length, 1, 'and nothing of them stays')
  const both = await Promise.all([
    create({ meshId: 'b1', trustDomain: 'b.example' }),
    create({ meshId: 'b2', trustDomain: 'b.example' }),
  ])
  t.same(
    both.map(({ status }) => status).toSorted((one, other) => one - other),
    [201, 409],
    'also at the same moment',
  )
})

t.test('40 the id of a mesh is a DNS label that no change makes another', async (t) => {
  const { call } = await meshApp(t)
  for (const meshId of ['', 'Acme', 'a.b', 'a_b', '-a', 'a-', 'a'.repeat(64)]) {
    const answer = await call('POST', '/v1/meshes', { body: { ...ACME, meshId } })
    t.equal(answer.status, 400, meshId)
  }
  const meshId = 'a'.repeat(63)
  t.equal((await call('POST', '/v1/meshes', { body: { ...ACME, meshId } })).status, 201)
  const renamed = await call('PATCH', `/v1/meshes/${meshId}`, { body: { meshId: 'other' } })
  t.equal(renamed.status, 400)
  t.match(renamed.text, /meshId/)
  t.equal((await call('GET', `/v1/meshes/${meshId}`)).body.version, '1')
  t.equal((await call('GET', '/v1/meshes/other')).status, 404)
})

t.test('a mesh that cannot work is refused with the reason', async (t) => {
  const { call } = await meshApp(t)
  const cases: readonly (readonly [object, number, RegExp])[] = [
    [{ meshId: 'acme' }, 400, /trustDomain/],
    [{ meshId: 'Acme', trustDomain: 'acme.example' }, 400, /DNS label/],
    [{ meshId: 'acme', trustDomain: 'Acme.example' }, 422, /contains .*A.*did you mean/],
    [{ meshId: 'acme', trustDomain: 'cluster.local' }, 422, /default of every mesh/],
    [{ meshId: 'acme', trustDomain: '..' }, 422, /path/],
    [{ ...ACME, bundleHost: 'a:1' }, 400, /bundle host/],
    [{ ...ACME, profile: 'https_web' }, 400, /certificate files/],
    [{ ...ACME, profile: 'http' }, 400, /profile/],
    [{ ...ACME, settings: { hintSeconds: '60' } }, 400, /hintSeconds/],
    [{ ...ACME, settings: { hintSeconds: 0 } }, 400, /hintSeconds/],
    [{ ...ACME, settings: { nonsense: 1 } }, 400, /nonsense/],
    [{ ...ACME, settings: { intermediateSeconds: 3600 } }, 400, /twice maxX509SvidSeconds/],
    [{ ...ACME, dnsSuffix: 'Not A Name' }, 400, /dnsSuffix/],
    [{ ...ACME, environment: 'Pro Duction' }, 400, /environment/],
    [{ ...ACME, surprise: true }, 400, /surprise/],
  ]
  for (const [body, status, detail] of cases) {
    const answer = await call('POST', '/v1/meshes', { body })
    t.equal(answer.status, status, JSON.stringify(body))
    t.match(answer.text, detail)
  }
  t.same((await call('GET', '/v1/meshes')).body, { items: [], nextCursor: null })
})

t.test('with an IP address as public host a later mesh needs a name', async (t) => {
  const { call } = await meshApp(t, { publicUrl: 'https://192.0.2.1:8443' })
  const first = await call('POST', '/v1/meshes', { body: ACME })
  t.equal(first.body.trustDomains[0].bundleUrl, 'https://192.0.2.1:8443/bundles/acme.example')
  const body = { meshId: 'globex', trustDomain: 'globex.example' }
  const second = await call('POST', '/v1/meshes', { body })
  t.equal(second.status, 400)
  t.match(second.body.next, /--bundle-host/)
  const named = await call('POST', '/v1/meshes', {
    body: { ...body, bundleHost: 'globex.example.com' },
  })
  t.equal(
    named.body.trustDomains[0].bundleUrl,
    'https://globex.example.com:8443/bundles/globex.example',
  )
})

t.test('a dry run shows the mesh and makes nothing', async (t) => {
  const { call, database } = await meshApp(t)
  const dry = await call('POST', '/v1/meshes?dryRun=true', { body: ACME })
  t.equal(dry.status, 200)
  t.equal(dry.body.meshId, 'acme')
  for (const table of ['mesh', 'authority', 'bundle_revision', 'audit_record', 'change'] as const) {
    const rows = await database.db.selectFrom(table).selectAll().execute()
    t.same(
      rows.filter((row) => 'mesh_id' in row && row.mesh_id === 'acme'),
      [],
      table,
    )
  }
})

t.test('settings change under their version, and a new hint is a new bundle', async (t) => {
  const { call, database } = await meshApp(t)
  await call('POST', '/v1/meshes', { body: { ...ACME, environment: 'test' } })
  const patch = (body: object, headers = {}) => call('PATCH', '/v1/meshes/acme', { body, headers })
  const changed = await patch(
    { settings: { hintSeconds: 60 }, environment: null, displayName: 'Acme' },
    { 'if-match': '"v1"' },
  )
  t.equal(changed.status, 200)
  t.match(changed.body, {
    version: '2',
    environment: null,
    displayName: 'Acme',
    settings: { hintSeconds: 60, rootSeconds: 31_536_000 },
  })
  t.equal((await patch({ displayName: 'x' }, { 'if-match': '"v1"' })).status, 412)
  t.equal((await patch({})).status, 400)
  t.equal((await patch({ settings: { jwtKeySeconds: 7200 } })).status, 400)
  t.equal((await call('PATCH', '/v1/meshes/other', { body: { displayName: 'x' } })).status, 404)
  const revisions = await database.db
    .selectFrom('bundle_revision')
    .select(['hint_seconds', 'cause'])
    .orderBy('sequence')
    .execute()
  t.same(
    revisions.map(({ hint_seconds: hint }) => hint),
    [300, 60],
  )
  const stored = await database.db.selectFrom('mesh').select('settings').executeTakeFirstOrThrow()
  t.same(stored.settings, { hintSeconds: 60 }, 'only what differs from the defaults is stored')
  const record = await database.db
    .selectFrom('audit_record')
    .select('body')
    .where('action', '=', 'mesh.update')
    .executeTakeFirstOrThrow()
  t.match(Buffer.from(record.body).toString('utf8'), /"after":.*"before":/)
})

t.test(
  'a mesh with active relationships is deleted by force only, and a dry run says what would end',
  async (t) => {
    const { call, database, ending } = await meshApp(t)
    await call('POST', '/v1/meshes', { body: ACME })
    const active = { kind: 'relationship', name: 'globex', effect: 'ends', blocks: true }
    ending.push(active, {
      kind: 'rule',
      name: '3 rules',
      effect: 'decides nothing any more',
      blocks: false,
    })
    const refused = await call('DELETE', '/v1/meshes/acme')
    t.equal(refused.status, 409)
    t.match(refused.body.detail, /in use by relationship globex/)
    t.match(refused.body.next, /--force/)
    const dry = await call('DELETE', '/v1/meshes/acme?dryRun=true')
    t.equal(dry.status, 200)
    t.same(dry.body.ended, ending)
    t.equal((await call('GET', '/v1/meshes/acme')).status, 200)
    const forced = await call('DELETE', '/v1/meshes/acme?force=true')
    t.equal(forced.status, 200)
    t.same(forced.body.ended, ending)
    t.equal((await call('GET', '/v1/meshes/acme')).status, 404)
    t.equal((await call('DELETE', '/v1/meshes/acme')).status, 404)
    for (const table of ['trust_domain', 'authority', 'bundle_revision', 'cluster'] as const) {
      t.same(await database.db.selectFrom(table).selectAll().execute(), [], table)
    }
    const record = await database.db
      .selectFrom('audit_record')
      .select('body')
      .where('action', '=', 'mesh.delete')
      .executeTakeFirstOrThrow()
    t.match(Buffer.from(record.body).toString('utf8'), /"forced":true/)
    const again = await call('POST', '/v1/meshes', { body: ACME })
    t.equal(again.status, 201, 'and its names are free again')
  },
)

t.test('meshes are listed page by page', async (t) => {
  const { call } = await meshApp(t)
  for (const meshId of ['c', 'a', 'b']) {
    await call('POST', '/v1/meshes', { body: { meshId, trustDomain: `${meshId}.example` } })
  }
  const first = await call('GET', '/v1/meshes?limit=2')
  t.same(
    first.body.items.map((mesh: { meshId: string }) => mesh.meshId),
    ['a', 'b'],
  )
  const rest = await call('GET', `/v1/meshes?limit=2&cursor=${first.body.nextCursor}`)
  t.same(
    rest.body.items.map((mesh: { meshId: string }) => mesh.meshId),
    ['c'],
  )
  t.equal(rest.body.nextCursor, null)
  t.equal((await call('GET', '/v1/meshes?cursor=nonsense')).status, 400)
})
