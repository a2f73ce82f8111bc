import t from 'tap'
import { parseMeshId } from '../../../src/db/ids.ts'
import { listLiving } from '../../../src/authority/store.ts'
import { createEntry } from '../../../src/registry/change-entries.ts'
import { parseTrustDomain } from '../../../src/spiffe/trust-domain.ts'
import { topologyApp } from '../../support/topology-app.ts'

const ACME = parseMeshId('acme')
const DOMAIN = parseTrustDomain('acme.example')

t.test('4 21 22 a mesh takes several clusters, each with an intermediate of its own', async (t) => {
  const { call, ok, db } = await topologyApp(t)
  const east = await call('POST', 'clusters', {
    name: 'east',
    role: 'primary',
    locality: { region: 'eu', zone: 'eu-1' },
  })
  t.equal(east.status, 201, east.text)
  t.equal(east.headers.get('etag'), '"v1"')
  t.match(east.body, {
    role: 'primary',
    state: 'active',
    networks: ['default'],
    controlPlanes: ['east'],
    controlPlaneOrder: [{ name: 'east', standing: 'available', rank: 1 }],
  })
  t.ok(east.body.next.some((line: string) => line.includes('--cluster east')))
  await ok('POST', 'clusters', { name: 'west', role: 'remote', controlPlanes: ['east', 'default'] })
  const living = await listLiving(db, ACME, DOMAIN)
  const intermediates = living.filter(({ kind }) => kind === 'x509_intermediate')
  t.same(intermediates.map(({ cluster }) => cluster ?? '').toSorted(), ['default', 'east', 'west'])
  t.ok(intermediates.every(({ state, hasKey }) => state === 'active' && hasKey))
  t.match(await ok('GET', 'control-planes/east'), { type: 'primary', cluster: 'east' })
  const page = await ok('GET', 'clusters?limit=2')
  t.same(
    page.items.map(({ name }: { name: string }) => name),
    ['default', 'east'],
  )
  t.match(await ok('GET', `clusters?cursor=${page.nextCursor}`), { items: [{ name: 'west' }] })
})

t.test('a dry run of a cluster makes nothing, not even a key', async (t) => {
  const { ok, call, db } = await topologyApp(t)
  await ok('POST', 'clusters?dryRun=true', { name: 'east', role: 'primary' })
  t.equal((await call('GET', 'clusters/east')).status, 404)
  t.equal((await listLiving(db, ACME, DOMAIN)).length, 3)
})

t.test('5 22 23 illegal combinations are refused with the rule named', async (t) => {
  const { call, ok } = await topologyApp(t)
  await ok('POST', 'clusters', { name: 'far', role: 'remote', controlPlanes: ['default'] })
  await ok('POST', 'networks', { name: 'vpc' })
  const cluster = { name: 'east', role: 'primary' }
  const gateway = { name: 'gw', network: 'default', address: 'gw.example', port: 15443 }
  const refused: readonly (readonly [string, string, object, string])[] = [
    ['POST', 'clusters', { ...cluster, locality: { zone: 'a' } }, 'zone-in-region'],
    [
      'POST',
      'clusters',
      { ...cluster, locality: { region: 'r', subzone: 's' } },
      'subzone-in-zone',
    ],
    ['POST', 'clusters', { name: 'east', role: 'remote' }, 'uses-control-plane'],
    ['POST', 'clusters', { ...cluster, networks: [] }, 'cluster-in-network'],
    ['POST', 'clusters', { ...cluster, networks: ['vpc', 'vpc'] }, 'in-network-once'],
    ['POST', 'clusters', { ...cluster, controlPlanes: ['east', 'east'] }, 'ranked-once'],
    ['PATCH', 'clusters/far', { controlPlanes: [] }, 'uses-control-plane'],
    ['PATCH', 'clusters/default', { role: 'remote' }, 'primary-in-primary-cluster'],
    [
      'POST',
      'control-planes',
      { name: 'x', type: 'external', cluster: 'far' },
      'external-outside-mesh',
    ],
    [
      'POST',
      'control-planes',
      { name: 'x', type: 'managed', cluster: 'default' },
      'external-outside-mesh',
    ],
    ['POST', 'control-planes', { name: 'x', type: 'primary' }, 'primary-in-primary-cluster'],
    [
      'POST',
      'control-planes',
      { name: 'x', type: 'primary', cluster: 'far' },
      'primary-in-primary-cluster',
    ],
    ['POST', 'gateways', { ...gateway, network: 'vpc', cluster: 'far' }, 'gateway-in-network'],
    ['POST', 'gateways', { ...gateway, locality: { zone: 'a' } }, 'zone-in-region'],
  ]
  for (const [method, path, body, rule] of refused) {
    const answer = await call(method, path, body)
    t.match(answer, { status: 400, body: { code: 'INVALID_REQUEST' } }, `${path}: ${answer.text}`)
    t.ok(answer.body.detail.includes(`(rule ${rule})`), `${rule}: ${answer.body.detail}`)
  }
  t.same((await ok('GET', 'clusters')).items.length, 2)
  await ok('PATCH', 'clusters/far', { state: 'disabled' })
  const last = await call('PATCH', 'clusters/default', { state: 'disabled' })
  t.match(last.body.detail, /rule somebody-signs/)
})

t.test('what does not exist, is no address or is out of bounds is refused', async (t) => {
  const { call } = await topologyApp(t)
  const gateway = { name: 'gw', network: 'default', address: 'gw.example', port: 15443 }
  const refused: readonly (readonly [string, object])[] = [
    ['gateways', { ...gateway, network: 'nowhere' }],
    ['gateways', { ...gateway, cluster: 'nowhere' }],
    ['gateways', { ...gateway, address: 'gw.example:15443' }],
    ['gateways', { ...gateway, address: 'gw\u0007.example' }],
    ['gateways', { ...gateway, address: '0.0.0.0' }],
    ['gateways', { ...gateway, address: 'fe80::1%eth0' }],
    ['gateways', { ...gateway, port: 0 }],
    ['gateways', { ...gateway, weight: 1001 }],
    ['gateways', { ...gateway, heartbeatSeconds: 0 }],
    ['gateways', { ...gateway, locality: { region: 'a\u0000b' } }],
    ['gateways', { ...gateway, name: 'Not-A-Label' }],
    ['control-planes', { name: 'x', type: 'external', address: 'https://cp.example' }],
    ['control-planes', { name: 'x', type: 'external', address: 'cp.example:99999' }],
    ['clusters', { name: 'x', role: 'remote', controlPlanes: ['nowhere'] }],
    ['clusters', { name: 'x', role: 'primary', networks: ['nowhere'] }],
    ['networks', { name: 'x', sharedName: 'corp' }],
  ]
  for (const [path, body] of refused) {
    const answer = await call('POST', path, body)
    t.equal(answer.status, 400, `${path} ${JSON.stringify(body)}: ${answer.text}`)
  }
  for (const name of ['clusters', 'control-planes', 'networks', 'gateways']) {
    t.equal((await call('GET', `${name}/nothing`)).status, 404)
    t.equal((await call('DELETE', `${name}/nothing`)).status, 404)
  }
  const twice = await call('POST', 'networks', { name: 'default' })
  t.match(twice, { status: 409, body: { code: 'ALREADY_EXISTS' } })
})

t.test(
  '11 a cluster is drained, disabled and made active again; a stale change is refused',
  async (t) => {
    const { ok, callAny } = await topologyApp(t)
    await ok('POST', 'clusters', { name: 'east', role: 'primary' })
    t.match(await ok('PATCH', 'clusters/east', { state: 'draining' }), {
      state: 'draining',
      version: '2',
      controlPlaneOrder: [{ name: 'east', standing: 'draining' }],
    })
    const stale = await callAny('PATCH', '/v1/meshes/acme/clusters/east', {
      body: { state: 'active' },
      headers: { 'if-match': '"v1"' },
    })
    t.match(stale, { status: 412, body: { code: 'PRECONDITION_FAILED' } })
    t.match(await ok('PATCH', 'clusters/east', { state: 'active' }), { state: 'active' })
  },
)

t.test('a role changes with the control plane that it brings or ends', async (t) => {
  const { ok, call } = await topologyApp(t)
  await ok('POST', 'clusters', { name: 'east', role: 'remote', controlPlanes: ['default'] })
  await ok('PATCH', 'clusters/east', { role: 'primary', ownControlPlane: 'east-1' })
  t.match(await ok('GET', 'control-planes/east-1'), { type: 'primary', cluster: 'east' })
  await ok('PATCH', 'clusters/default', { controlPlanes: ['default', 'east-1'] })
  const used = await call('PATCH', 'clusters/east', { role: 'remote' })
  t.match(used, { status: 400 })
  t.match(used.body.detail, /control plane east-1 .* "default" uses it/)
  await ok('PATCH', 'clusters/default', { controlPlanes: ['default'] })
  t.match(await ok('PATCH', 'clusters/east', { role: 'remote' }), { controlPlanes: ['default'] })
  t.equal((await call('GET', 'control-planes/east-1')).status, 404)
})

t.test(
  'deleting tells all that breaks, wants force, and never leaves a cluster without control plane',
  async (t) => {
    const { ok, call, db } = await topologyApp(t)
    await ok('POST', 'networks', { name: 'vpc' })
    await ok('POST', 'clusters', { name: 'east', role: 'primary', networks: ['default', 'vpc'] })
    await ok('POST', 'clusters', { name: 'west', role: 'remote', controlPlanes: ['east'] })
    const gateway = {
      name: 'gw',
      network: 'vpc',
      cluster: 'east',
      address: '192.0.2.7',
      port: 15443,
    }
    await ok('POST', 'gateways', gateway)
    const context = { actor: 'test', now: new Date() }
    await db
      .transaction()
      .execute((trx) =>
        createEntry(trx, ACME, { draft: { spiffeId: '/reporter/east', cluster: 'east' }, context }),
      )
    const dry = await ok('DELETE', 'clusters/east?dryRun=true')
    t.match(dry.ended, [
      { kind: 'control plane', name: 'east', blocks: false },
      { kind: 'cluster', name: 'west', effect: /no control plane: not even force/ },
      { kind: 'gateway', name: 'gw', blocks: true },
      { kind: 'intermediate', name: /^acme\.example /, effect: /key is erased/, blocks: false },
      { kind: 'entry', name: 'spiffe://acme.example/reporter/east', blocks: true },
    ])
    const forced = await call('DELETE', 'clusters/east?force=true')
    t.match(forced.body.detail, /cluster "west" .*rule uses-control-plane/)
    await ok('PATCH', 'clusters/west', { controlPlanes: ['default', 'east'] })
    t.match(await call('DELETE', 'clusters/east'), { status: 409, body: { code: 'CONFLICT' } })
    await ok('DELETE', 'clusters/east?force=true')
    t.equal((await call('GET', 'control-planes/east')).status, 404)
    t.equal((await call('GET', 'gateways/gw')).status, 404)
    t.same((await ok('GET', 'clusters/west')).controlPlanes, ['default'])
    const ended = (await listLiving(db, ACME, DOMAIN)).filter(({ state }) => state === 'retired')
    t.match(ended, [{ cluster: undefined, hasKey: false }], 'its key is erased')
    t.equal((await db.selectFrom('entry').select('id').execute()).length, 0)
    t.match((await call('DELETE', 'clusters/default?force=true')).body.detail, /uses-control-plane/)
  },
)

t.test(
  'control planes and networks that something needs stay; what loses one is told',
  async (t) => {
    const { ok, call } = await topologyApp(t)
    await ok('POST', 'control-planes', {
      name: 'cloud',
      type: 'managed',
      address: 'cp.example:15012',
    })
    await ok('PATCH', 'clusters/default', { controlPlanes: ['cloud', 'default'] })
    const own = await call('DELETE', 'control-planes/default?force=true')
    t.match(own.body.detail, /rule primary-has-control-plane/)
    t.equal((await call('DELETE', 'control-planes/cloud')).status, 409)
    t.match(await ok('DELETE', 'control-planes/cloud?dryRun=true'), {
      ended: [{ kind: 'cluster', name: 'default', effect: /first comes default/, blocks: true }],
    })
    await ok('DELETE', 'control-planes/cloud?force=true')
    t.same((await ok('GET', 'clusters/default')).controlPlanes, ['default'])
    t.match((await call('DELETE', 'networks/default?force=true')).body.detail, /cluster-in-network/)
    await ok('POST', 'networks', { name: 'vpc', directlyReachable: false })
    await ok('POST', 'gateways', { name: 'gw', network: 'vpc', address: '2001:db8::1', port: 443 })
    await ok('PATCH', 'clusters/default', { networks: ['default', 'vpc'] })
    t.match((await ok('DELETE', 'gateways/gw?dryRun=true')).ended, [
      { kind: 'network', name: 'vpc' },
    ])
    t.equal((await call('DELETE', 'networks/vpc')).status, 409)
    await ok('DELETE', 'networks/vpc?force=true')
    t.same((await ok('GET', 'clusters/default')).networks, ['default'])
  },
)

t.test(
  'who has some clusters puts them into networks that these are in, and no others',
  async (t) => {
    const { callAny, ok } = await topologyApp(t)
    for (const name of ['shared', 'foreign']) await ok('POST', 'networks', { name })
    for (const [name, networks] of [
      ['east', ['default']],
      ['west', ['shared']],
      ['far', ['foreign']],
    ] as const) {
      await ok('POST', 'clusters', { name, networks, role: 'primary' })
    }
    const grant = { role: 'cluster-admin', meshId: 'acme', clusters: ['east', 'west'] }
    const made = await callAny('POST', '/v1/api-tokens', { body: { label: 'two', ...grant } })
    const join = (networks: readonly string[]) =>
      callAny('PATCH', '/v1/meshes/acme/clusters/east', {
        token: made.body.token,
        body: { networks },
      })
    t.match(await join(['default', 'foreign']), { status: 403, body: { code: 'FORBIDDEN' } })
    t.match(await join(['default', 'shared']), { status: 200 })
    t.match(await join(['shared']), { status: 200 })
  },
)

t.test('every change is in the audit log, with what was there before', async (t) => {
  const { ok, db } = await topologyApp(t)
  await ok('POST', 'networks', { name: 'vpc' })
  await ok('PATCH', 'networks/vpc', { directlyReachable: false })
  await ok('PUT', 'networks/vpc/shared-name', { sharedName: 'corp' })
  await ok('POST', 'clusters', { name: 'east', role: 'primary' })
  await ok('DELETE', 'networks/vpc')
  const rows = await db.selectFrom('audit_record').select(['action', 'object']).execute()
  const found = rows.map(({ action, object }) => `${action} ${object}`)
  for (const line of [
    'network.create network/vpc',
    'network.update network/vpc',
    'network.share network/vpc',
    'cluster.create cluster/east',
    'network.delete network/vpc',
  ]) {
    t.ok(found.includes(line), line)
  }
})
