import t, { type Test } from 'tap'
import { type MeshId, parseMeshId } from '../../src/db/ids.ts'
import { type AdminApp, adminApp } from '../support/admin-app.ts'

/** An admin listener with two meshes, and tokens by what they may do. */
async function twoMeshes(t: Test): Promise<{
  call: AdminApp['call']
  database: AdminApp['database']
  tokenFor: (grant: object) => Promise<{ id: string; token: string; grantId: string }>
}> {
  const { call, database } = await adminApp(t)
  for (const mesh of ['acme', 'globex']) await insertMesh(database.db, parseMeshId(mesh))
  let made = 0
  const tokenFor = async (grant: object) => {
    made += 1
    const answer = await call('POST', '/v1/api-tokens', { body: { label: `t${made}`, ...grant } })
    if (answer.status !== 201) throw new Error(answer.text)
    const { id, token, grants } = answer.body
    return { id, token, grantId: grants[0].id }
  }
  return { call, database, tokenFor }
}

async function insertMesh(db: AdminApp['database']['db'], meshId: MeshId): Promise<void> {
  await db
    .insertInto('mesh')
    .values({
      mesh_id: meshId,
      display_name: meshId,
      dns_suffix: 'mesh.internal',
      environment: null,
      settings: '{}',
      created_at: new Date(),
    })
    .execute()
}

t.test('a token gets more grants and loses them, at once and in the log', async (t) => {
  const { call, database, tokenFor } = await twoMeshes(t)
  const { id, token } = await tokenFor({ meshId: 'acme', namespaces: ['shop'] })
  const before = await call('GET', '/v1/whoami', { token })
  t.match(before.body.grants, [{ role: 'developer', meshId: 'acme', namespaces: ['shop'] }])
  t.notOk(before.body.actions.includes('grant.list'))
  t.equal((await call('GET', '/v1/grants', { token })).status, 403)

  const body = { tokenId: id, role: 'auditor', meshId: 'globex' }
  const dry = await call('POST', '/v1/grants?dryRun=true', { body })
  t.match(dry, { status: 200, body: { role: 'auditor', next: [] } })
  const made = await call('POST', '/v1/grants', { body })
  t.match(made, { status: 201, body: { role: 'auditor', meshId: 'globex', tokenId: id } })
  t.equal(made.headers.get('location'), `/v1/grants/${made.body.id}`)
  t.ok(made.body.next.includes(`entente grant delete ${made.body.id}`))
  t.equal((await call('GET', '/v1/grants', { token })).status, 200, 'it holds at once')
  t.match(await call('POST', '/v1/grants', { body }), {
    status: 409,
    body: { code: 'ALREADY_EXISTS' },
  })

  const listed = await call('GET', `/v1/grants?tokenId=${id}`)
  t.equal(listed.body.items.length, 2)
  t.match(await call('GET', `/v1/grants/${made.body.id}`), { status: 200, body: { tokenId: id } })
  t.equal((await call('DELETE', `/v1/grants/${made.body.id}`)).status, 200)
  t.equal((await call('GET', '/v1/grants', { token })).status, 403, 'and ends at once')
  t.equal((await call('GET', `/v1/grants/${made.body.id}`)).status, 404)
  const records = await database.db
    .selectFrom('audit_record')
    .select(['action', 'mesh_id'])
    .where('action', 'like', 'grant.%')
    .orderBy('id')
    .execute()
  t.same(records, [
    { action: 'grant.create', mesh_id: 'globex' },
    { action: 'grant.delete', mesh_id: 'globex' },
  ])
})

t.test('a grant that says nothing is refused with what was meant', async (t) => {
  const { call, tokenFor } = await twoMeshes(t)
  const { id } = await tokenFor({ meshId: 'acme' })
  const bad: readonly (readonly [object, RegExp])[] = [
    [{ role: 'developer' }, /developer is for mesh or namespaces, and the grant has no meshId/],
    [{ role: 'cluster-admin' }, /cluster-admin is for mesh or clusters/],
    [{ role: 'mesh-admin' }, /mesh-admin is for mesh/],
    [{ role: 'platform-admin', meshId: 'acme' }, /platform-admin is for everything/],
    [{ role: 'mesh-admin', meshId: 'acme', namespaces: ['a'] }, /the scope namespaces/],
    [{ role: 'developer', meshId: 'acme', clusters: ['a'] }, /the scope clusters/],
    [{ namespaces: ['a'] }, /are of a mesh/],
    [{ meshId: 'acme', namespaces: ['a'], clusters: ['a'] }, /not both/],
    [{ meshId: 'acme', namespaces: [] }, /./],
    [{ meshId: 'acme', namespaces: ['*'] }, /./],
    [{ meshId: 'acme', role: 'king' }, /./],
  ]
  for (const [grant, detail] of bad) {
    const answer = await call('POST', '/v1/grants', { body: { tokenId: id, ...grant } })
    t.match(answer, { status: 400, body: { detail } }, JSON.stringify(grant))
  }
})

t.test('a mesh-admin makes tokens and grants of the own mesh, and sees only those', async (t) => {
  const { call, tokenFor } = await twoMeshes(t)
  const admin = await tokenFor({ meshId: 'acme' })
  const other = await tokenFor({ meshId: 'globex' })
  const shared = await tokenFor({ meshId: 'globex', role: 'auditor' })
  const inAcme = await call('POST', '/v1/grants', {
    body: { tokenId: shared.id, role: 'auditor', meshId: 'acme' },
  })
  const as = { token: admin.token }

  const made = await call('POST', '/v1/api-tokens', {
    ...as,
    body: { label: 'shop', meshId: 'acme', namespaces: ['shop'] },
  })
  t.match(made, { status: 201, body: { grants: [{ role: 'developer' }] } })
  for (const grant of [{}, { meshId: 'globex' }, { meshId: 'nowhere' }, { role: 'auditor' }]) {
    const answer = await call('POST', '/v1/api-tokens', { ...as, body: { label: 'x', ...grant } })
    t.match(answer, { status: 403, body: { code: 'FORBIDDEN' } }, JSON.stringify(grant))
  }
  const tokens = (await call('GET', '/v1/api-tokens', as)).body.items
  t.same(
    new Set(tokens.map(({ id }: { id: string }) => id)),
    new Set([admin.id, shared.id, made.body.id]),
  )
  t.notMatch(JSON.stringify(tokens), /globex/)
  t.notMatch((await call('GET', '/v1/grants', as)).text, /globex/)

  const nobody = '00000000-0000-4000-8000-000000000000'
  for (const [method, path, mine] of [
    ['GET', '/v1/api-tokens/', other.id],
    ['DELETE', '/v1/api-tokens/', other.id],
    ['GET', '/v1/grants/', other.grantId],
    ['DELETE', '/v1/grants/', other.grantId],
    ['GET', '/v1/grants/', shared.grantId],
  ] as const) {
    const found = await call(method, `${path}${mine}`, as)
    const absent = await call(method, `${path}${nobody}`, as)
    t.equal(found.status, 404, `${method} ${path}`)
    t.equal(
      found.body.detail.replace(mine, ''),
      absent.body.detail.replace(nobody, ''),
      `${method} ${path}`,
    )
  }
  const onForeign = await call('POST', '/v1/grants', {
    ...as,
    body: { tokenId: other.id, meshId: 'acme', role: 'auditor' },
  })
  t.equal(onForeign.status, 404, 'a token of another mesh is not there')
  t.equal((await call('DELETE', `/v1/api-tokens/${shared.id}`, as)).status, 403)
  t.equal((await call('DELETE', `/v1/grants/${inAcme.body.id}`, as)).status, 200)
  t.equal((await call('DELETE', `/v1/api-tokens/${made.body.id}`, as)).status, 200)
  t.equal((await call('GET', '/v1/whoami', { token: made.body.token })).status, 401)
})

t.test(
  'pages of grants cover each once, and a cursor shows no more than the first page',
  async (t) => {
    const { call, tokenFor } = await twoMeshes(t)
    const admin = await tokenFor({ meshId: 'acme' })
    for (const name of ['a', 'b', 'c', 'd']) {
      await tokenFor({ meshId: 'acme', namespaces: [name] })
      await tokenFor({ meshId: 'globex', namespaces: [name] })
    }
    const seen: string[] = []
    let cursor = ''
    do {
      const page = await call('GET', `/v1/grants?limit=2${cursor}`, { token: admin.token })
      seen.push(...page.body.items.map(({ meshId }: { meshId: string }) => meshId))
      cursor = page.body.nextCursor === null ? '' : `&cursor=${page.body.nextCursor}`
    } while (cursor !== '')
    t.same(seen, Array(5).fill('acme'))
    const first = await call('GET', '/v1/grants?limit=3')
    const foreign = await call('GET', `/v1/grants?cursor=${first.body.nextCursor}`, {
      token: admin.token,
    })
    t.notMatch(foreign.text, /globex|platform-admin/)
  },
)

t.test('the last grant that may do everything stays', async (t) => {
  const { call } = await twoMeshes(t)
  const me = await call('GET', '/v1/whoami')
  const [{ id }] = me.body.grants
  t.match(await call('DELETE', `/v1/grants/${id}`), { status: 409, body: { code: 'CONFLICT' } })
  await call('POST', '/v1/api-tokens', { body: { label: 'second' } })
  t.equal((await call('DELETE', `/v1/grants/${id}`)).status, 200)
  t.equal((await call('GET', '/v1/grants')).status, 403)
})
