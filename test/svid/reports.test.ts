import t, { type Test } from 'tap'
import { clusterFounder } from '../../src/authority/cluster-authority.ts'
import { type ChangeContext } from '../../src/audit/record.ts'
import { changeService, createService, deleteService } from '../../src/catalog/change-services.ts'
import { endpointsOf } from '../../src/catalog/find-endpoints.ts'
import { forgetSilent, measureEndpoints } from '../../src/catalog/keep-endpoints.ts'
import { type ReportItem } from '../../src/catalog/report.ts'
import { bumpObjects } from '../../src/db/changes.ts'
import { type Db, inTransaction } from '../../src/db/connect.ts'
import { type MeshId, parseMeshId } from '../../src/db/ids.ts'
import { createMetrics } from '../../src/http/metrics.ts'
import { createCluster } from '../../src/mesh/topology/clusters.ts'
import { createNetwork } from '../../src/mesh/topology/networks.ts'
import { changeEntry, createEntry, deleteEntry } from '../../src/registry/change-entries.ts'
import { type IssueDeps } from '../../src/svid/deps.ts'
import { parseSpiffeId } from '../../src/spiffe/spiffe-id.ts'
import { reportRoutes } from '../../src/svid/report-routes.ts'
import { makeMesh } from '../support/meshes.ts'
import { type IssuingService, issuingService } from './issuing-service.ts'

const AT = '/reports/endpoints'
const eastId = parseSpiffeId('spiffe://acme.example/east')
const cart = { namespace: 'shop', name: 'cart' }

interface Reporting extends IssuingService {
  readonly db: Db
  readonly reports: ReturnType<typeof createMetrics>
  /** An SVID of an entry, tied to a cluster if one is named. */
  readonly reporter: (path: string, cluster?: string) => ReturnType<IssuingService['join']>
}

const context = { actor: 'tester', now: new Date() }

const nothing = async (): Promise<void> => {}
const requireVersion = (): void => undefined

/** A workload listener with the clusters east and west, each in a network of its own, and the service shop/cart. */
async function reporting(t: Test, afterLookUp = nothing): Promise<Reporting> {
  let captured: IssueDeps | undefined
  const metrics = createMetrics()
  const service = await issuingService(t, {
    deps: (deps) => {
      const find: IssueDeps['reader']['find'] = async (key) => {
        const found = await deps.reader.find(key)
        await afterLookUp()
        return found
      }
      return (captured = { ...deps, reader: { find } })
    },
    mount: (app, { callers }) => {
      if (captured !== undefined) app.register(reportRoutes, { deps: captured, callers, metrics })
    },
  })
  const { db } = service.database
  const { meshId } = service
  for (const name of ['east', 'west']) await addCluster(service, name)
  await service.reload()
  await addService(db, meshId, cart)
  const reporter: Reporting['reporter'] = async (path, cluster) => {
    await inTransaction(db, (trx) =>
      createEntry(trx, meshId, { draft: { spiffeId: path, cluster }, context }),
    )
    return service.join(path)
  }
  return { ...service, db, reports: metrics, reporter }
}

async function addCluster(service: IssuingService, name: string): Promise<void> {
  const { database, keyring, meshId } = service
  const context = { actor: 'tester', now: service.clock.now() }
  const network = `net-${name}`
  const hooks = {
    founders: [clusterFounder(keyring)],
    dependants: [],
    enders: [],
    movers: [],
    pauses: [],
  }
  await inTransaction(database.db, async (trx) => {
    await createNetwork(trx, meshId, { draft: { name: network }, context })
    const draft = { name, role: 'primary', networks: [network] } as const
    await createCluster(trx, meshId, { draft, deps: { context, hooks } })
  })
}

async function addService(
  db: Db,
  meshId: MeshId,
  name: { readonly namespace: string; readonly name: string },
): Promise<void> {
  const draft = { ...name, ports: [{ name: 'http', port: 80 }], identities: ['/cart'] }
  await inTransaction(db, (trx) => createService(trx, meshId, { draft, context }))
}

const pod = (uid: string, more: Partial<ReportItem> = {}): ReportItem => ({
  namespace: 'shop',
  service: 'cart',
  workloadUid: uid,
  address: '10.0.0.5',
  port: 8080,
  ...more,
})

const pods = (count: number): ReportItem[] =>
  Array.from({ length: count }, (_, i) => pod(`pod-${i}`, { address: `10.0.1.${i + 1}` }))

const seen = async (db: Db, meshId: MeshId): Promise<string[]> =>
  (await endpointsOf(db, meshId, cart)).map(
    ({ cluster, network, workloadUid, address }) =>
      `${cluster} ${network} ${workloadUid} ${address}`,
  )

t.test('the same address in two networks is two endpoints, merged under one name', async (t) => {
  const { db, meshId, call, reporter } = await reporting(t)
  const east = await reporter('/east', 'east')
  const west = await reporter('/west', 'west')
  const body = { endpoints: [pod('a', { region: 'eu', zone: 'eu-1', weight: 3 })] }
  const first = await call('PUT', AT, { as: east, body })
  t.match(first, {
    status: 200,
    body: { cluster: 'east', revision: '1', endpoints: 1, changed: 1, removed: 0, skipped: [] },
  })
  t.equal(first.body.heartbeatSeconds, 30, 'a third of the time after which they are stale')
  t.equal((await call('PUT', AT, { as: west, body: { endpoints: [pod('a')] } })).status, 200)
  t.same(await seen(db, meshId), ['east net-east a 10.0.0.5', 'west net-west a 10.0.0.5'])
  const [one] = await endpointsOf(db, meshId, cart)
  t.match(one, {
    locality: { region: 'eu', zone: 'eu-1' },
    weight: 3,
    isHealthy: true,
    portName: 'http',
    reporter: 'spiffe://acme.example/east',
  })
})

t.test(
  "a report from one cluster never alters another's, and one that names it is refused",
  async (t) => {
    const { db, meshId, call, reporter } = await reporting(t)
    const east = await reporter('/east', 'east')
    const west = await reporter('/west', 'west')
    await call('PUT', AT, { as: west, body: { endpoints: [pod('w')] } })
    const posing = { cluster: 'west', endpoints: [pod('x')] }
    for (const [method, path, body] of [
      ['PUT', AT, posing],
      ['PATCH', AT, { cluster: 'west', afterRevision: '1', upserts: [pod('x')] }],
      ['POST', '/reports/heartbeat', { cluster: 'west' }],
    ] as const) {
      t.match(await call(method, path, { as: east, body }), {
        status: 403,
        body: { code: 'FORBIDDEN', detail: /reports cluster east, not "west"/ },
      })
    }
    const wrongNetwork = { endpoints: [pod('x', { network: 'net-west' })] }
    t.match(await call('PUT', AT, { as: east, body: wrongNetwork }), {
      status: 422,
      body: { code: 'REPORT_INVALID', errors: [{ pointer: '/endpoints/0/network' }] },
    })
    const same = { endpoints: [pod('w', { address: '10.6.6.6' })] }
    t.equal((await call('PUT', AT, { as: east, body: same })).status, 200, 'its own of that name')
    t.equal((await call('PUT', AT, { as: east, body: { endpoints: [] } })).status, 200)
    t.same(await seen(db, meshId), ['west net-west w 10.0.0.5'])
  },
)

t.test('two reporters of one cluster each have their own list', async (t) => {
  const { db, meshId, call, reporter } = await reporting(t)
  const one = await reporter('/one', 'east')
  const two = await reporter('/two', 'east')
  await call('PUT', AT, { as: one, body: { endpoints: [pod('a')] } })
  await call('PUT', AT, { as: two, body: { endpoints: [pod('b')] } })
  await call('PUT', AT, { as: one, body: { endpoints: [] } })
  t.same(await seen(db, meshId), ['east net-east b 10.0.0.5'])
})

t.test('names merge within a mesh and never across meshes', async (t) => {
  const { db, keyring, meshId, call, reporter } = await reporting(t)
  await makeMesh(db, keyring, { meshId: 'globex' })
  const globex = parseMeshId('globex')
  await addService(db, globex, cart)
  const east = await reporter('/east', 'east')
  await call('PUT', AT, { as: east, body: { endpoints: [pod('a')] } })
  t.equal((await seen(db, meshId)).length, 1)
  t.same(await seen(db, globex), [])
})

t.test('who is nobody, unknown, or tied to no cluster reports nothing', async (t) => {
  const { db, meshId, call, reporter, database } = await reporting(t)
  const body = { endpoints: [pod('a')] }
  t.match(await call('PUT', AT, { body }), {
    status: 401,
    body: { code: 'AUTHENTICATION_REQUIRED' },
  })
  const plain = await reporter('/plain')
  t.match(await call('PUT', AT, { as: plain, body }), {
    status: 403,
    body: { code: 'FORBIDDEN', next: /entry change .* --cluster/ },
  })
  const east = await reporter('/east', 'east')
  await database.db.deleteFrom('svid_issued').where('spiffe_id', '=', eastId).execute()
  t.match(await call('PUT', AT, { as: east, body }), {
    status: 403,
    body: { code: 'EVIDENCE_REFUSED' },
  })
  const tainted = await reporter('/tainted', 'east')
  await database.db
    .updateTable('authority')
    .set({ state: 'tainted' })
    .where('kind', '=', 'x509_intermediate')
    .execute()
  t.match(await call('PUT', AT, { as: tainted, body }), {
    status: 403,
    body: { code: 'EVIDENCE_REFUSED' },
  })
  t.same(await seen(db, meshId), [])
})

t.test('a change is taken on the report before it and on no other', async (t) => {
  const { db, meshId, call, reporter } = await reporting(t)
  const east = await reporter('/east', 'east')
  const early = await call('PATCH', AT, { as: east, body: { afterRevision: '0' } })
  t.match(early, { status: 409, body: { code: 'REPORT_OUTDATED', next: /PUT/ } })
  await call('PUT', AT, { as: east, body: { endpoints: [pod('a'), pod('b')] } })
  const removal = { namespace: 'shop', service: 'cart', workloadUid: 'a', port: 8080 }
  const delta = {
    afterRevision: '1',
    upserts: [pod('c'), pod('b', { healthy: false })],
    removals: [removal, { ...removal, workloadUid: 'never' }],
  }
  const changed = await call('PATCH', AT, { as: east, body: delta })
  t.match(changed, { status: 200, body: { revision: '2', endpoints: 2, changed: 2, removed: 1 } })
  t.match(await call('PATCH', AT, { as: east, body: delta }), {
    status: 409,
    body: { code: 'REPORT_OUTDATED', detail: /on report 1, but the last accepted is 2/ },
  })
  const left = await endpointsOf(db, meshId, cart)
  t.same(
    left.map(({ workloadUid, isHealthy }) => [workloadUid, isHealthy]),
    [
      ['b', false],
      ['c', true],
    ],
  )
})

t.test('an endpoint that is removed twice by one change counts as one', async (t) => {
  const { db, meshId, call, reporter } = await reporting(t)
  const east = await reporter('/east', 'east')
  await call('PUT', AT, { as: east, body: { endpoints: pods(3) } })
  const removal = { namespace: 'shop', service: 'cart', workloadUid: 'pod-0', port: 8080 }
  const body = { afterRevision: '1', removals: [removal, removal, removal] }
  const changed = await call('PATCH', AT, { as: east, body })
  t.match(changed, { status: 200, body: { endpoints: 2, removed: 1 } })
  t.equal((await seen(db, meshId)).length, 2)
})

t.test('a list that shrinks to less than half must say that it means it', async (t) => {
  const { db, meshId, clock, call, reporter } = await reporting(t)
  const east = await reporter('/east', 'east')
  const put = (endpoints: ReportItem[], more: object = {}) =>
    call('PUT', AT, { as: east, body: { endpoints, ...more } })
  await put(pods(20))
  t.match(await put([]), {
    status: 409,
    body: { code: 'REPORT_SHRINKS', next: /"intentional": true/ },
  })
  const unknown = pods(20).map((one) => ({ ...one, service: 'gone' }))
  t.equal((await put(unknown)).status, 409, 'nor by naming services that nobody knows')
  t.equal((await put(pods(9))).status, 409)
  t.equal((await seen(db, meshId)).length, 20, 'nothing of them was taken')
  t.equal((await put(pods(10))).status, 200)
  t.equal((await put([], { intentional: true })).status, 200)
  t.same(await seen(db, meshId), [])
  await put(pods(20))
  clock.advance(91_000)
  t.equal((await put(pods(1))).status, 200, 'nobody uses what is stale')
})

t.test(
  'services and ports that nobody knows are passed over, anything malformed refuses all',
  async (t) => {
    const { db, meshId, call, reporter } = await reporting(t)
    const east = await reporter('/east', 'east')
    const put = (endpoints: object[]) => call('PUT', AT, { as: east, body: { endpoints } })
    const partly = await put([
      pod('a'),
      pod('b', { service: 'later' }),
      pod('c', { portName: 'grpc' }),
    ])
    t.match(partly.body, {
      endpoints: 1,
      skippedCount: 2,
      skipped: [
        { workloadUid: 'b', reason: 'the mesh has no service shop/later' },
        { workloadUid: 'c', reason: 'shop/cart has no port grpc' },
      ],
    })
    const refused = await put([
      pod('a'),
      pod('b', { address: '127.0.0.1' }),
      pod('a'),
      pod('d', { zone: 'z' }),
      pod('e', { network: 'nowhere' }),
      pod('f', { address: 'localhost' }),
      pod('g', { address: 'cart.localhost' }),
      pod('h', { address: '0x7f000001' }),
    ])
    t.equal(refused.status, 422)
    t.same(
      refused.body.errors.map((one: { pointer: string }) => one.pointer),
      [
        '/endpoints/1/address',
        '/endpoints/2',
        '/endpoints/3/zone',
        '/endpoints/4/network',
        '/endpoints/5/address',
        '/endpoints/6/address',
        '/endpoints/7/address',
      ],
    )
    for (const odd of [
      { ...pod('a'), more: 1 },
      { ...pod('a'), port: 0 },
      { ...pod('a'), port: '80' },
      { ...pod('a'), workloadUid: 'a b' },
      { ...pod('a'), workloadUid: 'x'.repeat(129) },
      { ...pod('a'), weight: 0 },
    ]) {
      t.equal((await put([odd])).status, 400, JSON.stringify(odd).slice(0, 80))
    }
    t.equal((await seen(db, meshId)).length, 1, 'nothing of them was taken')
  },
)

t.test('a cluster in several networks names the one of each endpoint', async (t) => {
  const { db, meshId, call, reporter } = await reporting(t)
  await db
    .insertInto('cluster_network')
    .values({ mesh_id: meshId, cluster: 'east', network: 'net-west' })
    .execute()
  const east = await reporter('/east', 'east')
  t.match(await call('PUT', AT, { as: east, body: { endpoints: [pod('a')] } }), {
    status: 422,
    body: { errors: [{ pointer: '/endpoints/0', detail: /net-east, net-west/ }] },
  })
  const endpoints = [pod('a', { network: 'net-west' }), pod('b', { network: 'net-east' })]
  t.equal((await call('PUT', AT, { as: east, body: { endpoints } })).status, 200)
})

t.test('a heartbeat keeps everything fresh, and says when everything is wanted', async (t) => {
  const { db, meshId, clock, call, reporter } = await reporting(t)
  const east = await reporter('/east', 'east')
  const beat = async () => (await call('POST', '/reports/heartbeat', { as: east, body: {} })).body
  t.match(await beat(), { cluster: 'east', revision: null, freshUntil: null, wantsFull: true })
  await call('PUT', AT, { as: east, body: { endpoints: [pod('a')], ttlSeconds: 60 } })
  const until = async () => (await endpointsOf(db, meshId, cart))[0]?.freshUntil.getTime() ?? 0
  const before = await until()
  t.equal(before, clock.now().getTime() + 60_000)
  clock.advance(50_000)
  const rows = await db.selectFrom('endpoint').select('reported_at').execute()
  t.match(await beat(), { revision: '1', wantsFull: false })
  t.equal(await until(), before + 50_000)
  t.same(
    await db.selectFrom('endpoint').select('reported_at').execute(),
    rows,
    'no row is rewritten',
  )
  await inTransaction(db, async (trx) => {
    const draft = {
      namespace: 'shop',
      name: 'later',
      ports: [{ name: 'http', port: 80 }],
      identities: ['/x'],
    }
    await createService(trx, meshId, { draft, context: { actor: 't', now: clock.now() } })
  })
  t.match(await beat(), { wantsFull: true }, 'an endpoint of it may have been passed over')
})

t.test(
  'everything is wanted of what was committed after a report, whenever it began',
  async (t) => {
    const { db, meshId, clock, call, reporter } = await reporting(t)
    const east = await reporter('/east', 'east')
    const full = () => call('PUT', AT, { as: east, body: { endpoints: [pod('a')] } })
    const wantsFull = async () =>
      (await call('POST', '/reports/heartbeat', { as: east, body: {} })).body.wantsFull
    const began = clock.now()
    const change = (act: (trx: Db, context: ChangeContext) => Promise<unknown>) =>
      inTransaction(db, (trx) => act(trx, { actor: 't', now: began }))
    const later = { namespace: 'shop', name: 'later' }
    const ports = [{ name: 'http', port: 80 }]
    clock.advance(5000)
    await full()
    t.equal(await wantsFull(), false)
    await change((trx, context) =>
      createService(trx, meshId, { draft: { ...later, ports, identities: ['/x'] }, context }),
    )
    t.equal(await wantsFull(), true, 'its transaction began before the report')
    await full()
    t.equal(await wantsFull(), false)
    await change((trx, context) =>
      changeService(trx, meshId, {
        name: later,
        change: { ports: [...ports, { name: 'grpc', port: 90 }] },
        context,
        requireVersion,
      }),
    )
    t.equal(await wantsFull(), true, 'endpoints of a new port may have been passed over')
    await full()
    await change((trx, context) =>
      deleteService(trx, meshId, { name: later, context, requireVersion }),
    )
    t.equal(await wantsFull(), false, 'of a service that is gone nothing more can be told')
    await change((trx) => bumpObjects(trx, meshId, [{ kind: 'rule', key: 'r' }]))
    t.equal(await wantsFull(), false, 'nor by what is no service')
    await db.deleteFrom('policy_change').execute()
    t.equal(await wantsFull(), true, 'what changed since is not known any more')
  },
)

t.test('who is silent for a day is forgotten, and counts leave stale ones out', async (t) => {
  const { db, clock, call, reporter, reports } = await reporting(t)
  const east = await reporter('/east', 'east')
  const west = await reporter('/west', 'west')
  await call('PUT', AT, { as: east, body: { endpoints: pods(3) } })
  clock.advance(80_000)
  await call('PUT', AT, { as: west, body: { endpoints: pods(2) } })
  const counts = async () => {
    await measureEndpoints(db, reports.endpoints, clock.now())
    const { values } = await reports.endpoints.get()
    return values.map(({ labels, value }) => `${labels.mesh} ${labels.cluster} ${value}`)
  }
  t.same(await counts(), ['acme east 3', 'acme west 2'])
  clock.advance(11_000)
  t.same(await counts(), ['acme west 2'])
  t.equal(await forgetSilent(db, clock.now()), 0)
  clock.advance(86_400_000 - 11_000)
  t.equal(await forgetSilent(db, clock.now()), 1, 'only the one that is silent the longest')
  const left = await db.selectFrom('endpoint').select('cluster').execute()
  t.same(new Set(left.map(({ cluster }) => cluster)), new Set(['west']))
})

t.test('an entry that moves to another cluster, or goes, takes its reports along', async (t) => {
  const { db, meshId, call, reporter, clock } = await reporting(t)
  const east = await reporter('/east', 'east')
  await call('PUT', AT, { as: east, body: { endpoints: [pod('a')] } })
  const { id } = await db
    .selectFrom('entry')
    .select('id')
    .where('spiffe_id', '=', eastId)
    .executeTakeFirstOrThrow()
  const at = { id, context: { actor: 't', now: clock.now() }, requireVersion: () => undefined }
  await inTransaction(db, (trx) => changeEntry(trx, meshId, { ...at, change: { hint: 'x' } }))
  t.equal((await seen(db, meshId)).length, 1, 'another change leaves them')
  await inTransaction(db, (trx) => changeEntry(trx, meshId, { ...at, change: { cluster: 'west' } }))
  t.same(await seen(db, meshId), [])
  await call('PUT', AT, { as: east, body: { endpoints: [pod('a')] } })
  t.same(await seen(db, meshId), ['west net-west a 10.0.0.5'])
  const ended = await inTransaction(db, (trx) => deleteEntry(trx, meshId, at))
  t.equal(ended.reportedEndpoints, 1)
  t.same(await seen(db, meshId), [])
})

t.test('what was on its way when an entry went or left its cluster is not taken', async (t) => {
  let meanwhile = nothing
  const { db, meshId, call, reporter } = await reporting(t, () => meanwhile())
  const put = (as: Awaited<ReturnType<typeof reporter>>) =>
    call('PUT', AT, { as, body: { endpoints: [pod('a')] } })
  const east = await reporter('/east', 'east')
  const { id } = await db
    .selectFrom('entry')
    .select('id')
    .where('spiffe_id', '=', eastId)
    .executeTakeFirstOrThrow()
  const at = { id, context, requireVersion: () => undefined }
  meanwhile = async () => {
    const change = { cluster: 'west' }
    await inTransaction(db, (trx) => changeEntry(trx, meshId, { ...at, change }))
  }
  t.match(await put(east), { status: 409, body: { code: 'CONFLICT', next: /again/ } })
  meanwhile = async () => {
    await inTransaction(db, (trx) => deleteEntry(trx, meshId, at))
  }
  t.match(await put(east), { status: 409, body: { code: 'CONFLICT' } })
  t.same(await seen(db, meshId), [])
})

t.test('who is tied to no cluster is refused before the body is read', async (t) => {
  const { call, reporter } = await reporting(t)
  const plain = await reporter('/plain')
  for (const method of ['PUT', 'PATCH']) {
    const answer = await call(method, AT, { as: plain, body: { no: 'report' } })
    t.match(answer, { status: 403, body: { code: 'FORBIDDEN' } })
  }
})

t.test('a reporter that never stops is told to wait, before its body is read', async (t) => {
  const { call, reporter, reports } = await reporting(t)
  const east = await reporter('/east', 'east')
  const statuses = []
  for (let i = 0; i < 21; i += 1) {
    const { status } = await call('POST', '/reports/heartbeat', { as: east, body: {} })
    statuses.push(status)
  }
  t.same([statuses.at(-2), statuses.at(-1)], [200, 429])
  const { values } = await reports.reports.get()
  t.same(
    values.map(({ labels, value }) => `${labels.kind} ${labels.outcome} ${value}`),
    ['heartbeat accepted 20', 'heartbeat RATE_LIMITED 1'],
  )
})

t.test('ten thousand endpoints are one report, one more is none', async (t) => {
  const { db, call, reporter } = await reporting(t)
  const east = await reporter('/east', 'east')
  const many = (count: number): ReportItem[] =>
    Array.from({ length: count }, (_, i) =>
      pod(`pod-${i}`, { address: `10.${1 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}` }),
    )
  const began = performance.now()
  const whole = await call('PUT', AT, { as: east, body: { endpoints: many(10_000) } })
  t.match(whole, { status: 200, body: { endpoints: 10_000, changed: 10_000 } })
  const between = performance.now()
  const again = await call('PUT', AT, { as: east, body: { endpoints: many(10_000) } })
  t.match(again, { status: 200, body: { endpoints: 10_000, changed: 0, revision: '2' } })
  t.comment(
    `10,000 endpoints: first ${Math.round(between - began)} ms, the same again ${Math.round(performance.now() - between)} ms`,
  )
  t.equal((await call('PUT', AT, { as: east, body: { endpoints: many(10_001) } })).status, 400)
  const delta = { afterRevision: '2', upserts: [pod('one-more')] }
  t.match(await call('PATCH', AT, { as: east, body: delta }), {
    status: 422,
    body: { code: 'REPORT_INVALID', detail: /at most 10000/ },
  })
  const { count } = await db
    .selectFrom('endpoint')
    .select(({ fn }) => fn.countAll<bigint>().as('count'))
    .executeTakeFirstOrThrow()
  t.equal(Number(count), 10_000)
})

t.test(
  'a heartbeat says which control planes and gateways of its cluster live, and of no other',
  async (t) => {
    const { db, clock, call, reporter } = await reporting(t)
    const east = await reporter('/east', 'east')
    const beat = (controlPlanes: string[]) =>
      call('POST', '/reports/heartbeat', { as: east, body: { controlPlanes } })
    t.equal((await beat(['east'])).status, 200)
    const heard = async () => {
      const rows = await db.selectFrom('control_plane').select(['name', 'seen_at']).execute()
      return rows.filter(({ seen_at }) => seen_at !== null)
    }
    t.same(await heard(), [{ name: 'east', seen_at: clock.now() }])
    for (const other of ['west', 'nowhere']) {
      t.match(await beat(['east', other]), { status: 403, body: { code: 'FORBIDDEN' } }, other)
    }
    t.equal((await heard()).length, 1)
  },
)
