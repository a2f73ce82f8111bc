import t, { type Test } from 'tap'
import { createService } from '../../../src/catalog/change-services.ts'
import { endpointsOf } from '../../../src/catalog/find-endpoints.ts'
import { inTransaction } from '../../../src/db/connect.ts'
import { createMetrics } from '../../../src/http/metrics.ts'
import { changeCluster, deleteCluster } from '../../../src/mesh/topology/clusters.ts'
import { orderedControlPlanes } from '../../../src/mesh/topology/control-plane-order.ts'
import { loadTopology } from '../../../src/mesh/topology/find-topology.ts'
import { createGateway } from '../../../src/mesh/topology/gateways.ts'
import { hearControlPlane } from '../../../src/mesh/topology/hear.ts'
import { createNetwork, deleteNetwork } from '../../../src/mesh/topology/networks.ts'
import { generateKeyPair } from '../../../src/pki/key-pair.ts'
import { createEntry } from '../../../src/registry/change-entries.ts'
import type { IssueDeps } from '../../../src/svid/deps.ts'
import { reportRoutes } from '../../../src/svid/report-routes.ts'
import { ACME, GLOBEX, twoMeshes } from '../../support/two-meshes.ts'
import { csrOf } from '../../svid/issuing-service.ts'

const REPORT = '/reports/endpoints'
const cart = { namespace: 'shop', name: 'cart' }
const requireVersion = (): void => undefined

const pod = (workloadUid: string) => ({
  namespace: 'shop',
  service: 'cart',
  workloadUid,
  address: '10.0.0.5',
  port: 8080,
})

/** Two meshes with shop/cart each, and what happens once while a request has been admitted and is not yet done. */
async function underLoad(t: Test) {
  let meanwhile: (() => Promise<unknown>) | undefined
  const once = async (): Promise<void> => {
    const act = meanwhile
    meanwhile = undefined
    await act?.()
  }
  let deps: IssueDeps | undefined
  const metrics = createMetrics()
  const service = await twoMeshes(t, {
    deps: (made) => {
      const find: IssueDeps['reader']['find'] = async (key) => {
        const found = await made.reader.find(key)
        await once()
        return found
      }
      deps = { ...made, reader: { find } }
      return deps
    },
    mount: (app, { callers }) => {
      if (deps !== undefined) app.register(reportRoutes, { deps, callers, metrics })
    },
  })
  for (const meshId of [ACME, GLOBEX]) {
    const ports = [{ name: 'http', port: 80 }]
    await inTransaction(service.db, (trx) =>
      createService(trx, meshId, {
        draft: { ...cart, ports, identities: ['/cart'] },
        context: service.context,
      }),
    )
  }
  const during = (act: () => Promise<unknown>): void => {
    meanwhile = act
  }
  const reported = async () =>
    Promise.all([ACME, GLOBEX].map(async (id) => (await endpointsOf(service.db, id, cart)).length))
  return { ...service, during, reported }
}

t.test(
  '54 what a reporter of the cluster had on its way is refused, and neither mesh has anything of it',
  async (t) => {
    const { join, call, move, during, reported } = await underLoad(t)
    const as = await join('/reporter/east')
    const full = () => call('PUT', REPORT, { as, body: { endpoints: [pod('a'), pod('b')] } })
    t.equal((await full()).status, 200)
    t.same(await reported(), [2, 0])
    during(move)
    t.match(await full(), {
      status: 409,
      body: { code: 'CONFLICT', detail: /went or left its cluster meanwhile/ },
    })
    t.same(await reported(), [0, 0])
    for (const [method, path, body] of [
      ['PUT', REPORT, { endpoints: [pod('a')] }],
      ['PATCH', REPORT, { afterRevision: '1', upserts: [pod('c')] }],
      ['POST', '/reports/heartbeat', { controlPlanes: ['east'], gateways: ['gw'] }],
    ] as const) {
      t.match(await call(method, path, { as, body }), {
        status: 403,
        body: { code: 'EVIDENCE_REFUSED' },
      })
    }
    t.same(await reported(), [0, 0])
  },
)

t.test('54 an SVID that is being made while its cluster moves is not issued', async (t) => {
  const { join, call, token, move, during, db } = await underLoad(t)
  const web = await join('/web')
  const unused = await token('/web')
  const issued = async () => (await db.selectFrom('svid_issued').select('serial').execute()).length
  const before = await issued()
  during(move)
  const body = { csr: csrOf(web.keys) }
  const renewed = await call('POST', '/svids/x509', { body, as: web })
  t.match(renewed, { status: 403, body: { code: 'EVIDENCE_REFUSED' } }, renewed.text)
  const spent = { csr: csrOf(generateKeyPair()), token: unused }
  t.match(await call('POST', '/svids/x509', { body: spent }), { status: 403 })
  t.equal(await issued(), before, 'nothing was recorded')
})

t.test(
  '54 reports, renewals and heartbeats at once with a move each come before or after it',
  async (t) => {
    const { join, call, move, reported, db, clock } = await underLoad(t)
    const [web, reporter] = [await join('/web'), await join('/reporter/east')]
    const round = (nr: number) => [
      call('PUT', REPORT, { as: reporter, body: { endpoints: [pod(`p${nr}`)] } }),
      call('POST', '/svids/x509', { as: web, body: { csr: csrOf(web.keys) } }),
      call('POST', '/reports/heartbeat', {
        as: reporter,
        body: { controlPlanes: ['east'], gateways: ['gw'] },
      }),
    ]
    const outcomes = await Promise.all(round(0))
    const moving = move()
    for (let nr = 1; nr <= 5; nr += 1) outcomes.push(...(await Promise.all(round(nr))))
    await moving
    for (const { status, body } of outcomes) {
      const found = `${status} ${JSON.stringify(body).slice(0, 200)}`
      t.ok(status === 200 || ['EVIDENCE_REFUSED', 'CONFLICT'].includes(body.code), found)
    }
    const last = await Promise.all(round(6))
    t.same(
      last.map(({ body }) => body.code),
      Array.from({ length: 3 }, () => 'EVIDENCE_REFUSED'),
    )
    t.same(await reported(), [0, 0])
    const tied = await db
      .selectFrom('entry')
      .select('mesh_id')
      .where('cluster', '=', 'east')
      .execute()
    t.same(tied, [{ mesh_id: GLOBEX }, { mesh_id: GLOBEX }])
    const after = await loadTopology(db, GLOBEX)
    t.match(orderedControlPlanes(after, 'east', clock.now()), [{ name: 'east' }])
  },
)

t.test('54 what was tied to a cluster or network after it was looked at keeps it', async (t) => {
  const { move, hooks, db, context, join, call, reported } = await underLoad(t)
  const tie = { spiffeId: '/late', cluster: 'east' }
  const late: (typeof hooks.enders)[number] = async (trx) => {
    await createEntry(trx, ACME, { draft: tie, context })
  }
  const conflict = { code: 'CONFLICT', message: 'something was tied to cluster east meanwhile' }
  await t.rejects(move({ hooks: { ...hooks, enders: [...hooks.enders, late] } }), conflict)
  const ending = { context, requireVersion, force: true, dryRun: false }
  await t.rejects(
    inTransaction(db, (trx) =>
      deleteCluster(trx, ACME, {
        ...ending,
        name: 'east',
        hooks: { ...hooks, enders: [...hooks.enders, late] },
      }),
    ),
    conflict,
  )
  t.ok((await loadTopology(db, ACME)).clusters.has('east'), 'nothing was changed')
  await inTransaction(db, async (trx) => {
    await createNetwork(trx, ACME, { draft: { name: 'vpc' }, context })
    const change = { networks: ['default', 'vpc'] }
    await changeCluster(trx, ACME, { name: 'east', change, context, requireVersion })
  })
  const as = await join('/reporter/east')
  await call('PUT', REPORT, { as, body: { endpoints: [{ ...pod('a'), network: 'vpc' }] } })
  await t.rejects(
    inTransaction(db, (trx) =>
      deleteNetwork(trx, ACME, { ...ending, name: 'vpc', hooks: { ...hooks, enders: [] } }),
    ),
    { code: 'CONFLICT', message: 'something was tied to network vpc meanwhile' },
  )
  t.same(await reported(), [1, 0])
})

t.test(
  '54 gateways stay in a network of the same name; what those that stay lose is told',
  async (t) => {
    const { move, db, context } = await underLoad(t)
    await inTransaction(db, async (trx) => {
      for (const meshId of [ACME, GLOBEX]) {
        await createNetwork(trx, meshId, { draft: { name: 'vpc' }, context })
      }
      const change = { networks: ['default', 'vpc'] }
      await changeCluster(trx, ACME, { name: 'east', change, context, requireVersion })
      const gateway = { network: 'vpc', cluster: 'east', address: '198.51.100.1', port: 443 }
      await createGateway(trx, ACME, { draft: { ...gateway, name: 'gw-vpc' }, context })
    })
    const { moved } = await move({ networks: ['vpc', 'default'] })
    t.match(
      moved.filter(({ kind }) => kind === 'network'),
      [{ name: 'default', effect: /last gateway: no other network reaches default in it/ }],
      'of vpc nobody is left',
    )
    const { gateways } = await loadTopology(db, GLOBEX)
    t.same(
      gateways.map(({ name, network }) => `${name} ${network}`),
      ['gw default', 'gw-vpc vpc'],
    )
  },
)

t.test(
  '54 a moved cluster leaves the control planes of the old mesh, and its own is heard in the new one',
  async (t) => {
    const { move, db, context, clock } = await underLoad(t)
    await inTransaction(db, async (trx) => {
      const change = { controlPlanes: ['default', 'east'] }
      await changeCluster(trx, ACME, { name: 'east', change, context, requireVersion })
    })
    await move()
    const now = clock.now()
    const after = await loadTopology(db, GLOBEX)
    t.match(
      orderedControlPlanes(after, 'east', now).map(({ name, rank }) => [name, rank]),
      [['east', 1]],
    )
    const hear = (meshId: typeof ACME) =>
      inTransaction(db, (trx) => hearControlPlane(trx, meshId, { name: 'east', context }))
    await t.rejects(hear(ACME), { code: 'NOT_FOUND' })
    t.match(await hear(GLOBEX), { cluster: 'east', seenAt: context.now })
  },
)
