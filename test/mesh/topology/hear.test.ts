import t from 'tap'
import { parseMeshId } from '../../../src/db/ids.ts'
import { inTransaction } from '../../../src/db/connect.ts'
import { orderedControlPlanes } from '../../../src/mesh/topology/control-plane-order.ts'
import { loadTopology } from '../../../src/mesh/topology/find-topology.ts'
import { hearCluster, MAX_HEARD } from '../../../src/mesh/topology/hear.ts'
import { testClock } from '../../support/clock.ts'
import { makeMixedMesh } from '../../support/mixed-mesh.ts'
import { topologyApp } from '../../support/topology-app.ts'

const ACME = parseMeshId('acme')

const refusal = (kind: string, name: string) => ({
  code: 'FORBIDDEN',
  message: `a reporter of cluster cluster-1 speaks for what that cluster runs, and ${kind} "${name}" is none of it`,
})

t.test(
  '26 a control plane that is silent for three heartbeats is passed over until it is heard',
  async (t) => {
    const clock = testClock()
    const { ok, db } = await topologyApp(t, { now: clock.db })
    await makeMixedMesh(ok)
    await ok('PATCH', 'control-planes/cp-1', { heartbeatSeconds: 10 })
    const order = async () => {
      const { controlPlaneOrder } = await ok('GET', 'clusters/cluster-2')
      return controlPlaneOrder.map(({ name, standing }: Record<string, string>) => [name, standing])
    }
    t.same(await order(), [
      ['cp-1', 'available'],
      ['cp-2', 'available'],
    ])
    clock.advance(31_000)
    t.same(await order(), [
      ['cp-2', 'available'],
      ['cp-1', 'gone'],
    ])
    const topology = await loadTopology(db, ACME)
    t.equal(orderedControlPlanes(topology, 'cluster-3', clock.now())[0]?.name, 'cp-2')
    await ok('POST', 'control-planes/cp-1/heartbeat')
    t.same(await order(), [
      ['cp-1', 'available'],
      ['cp-2', 'available'],
    ])
  },
)

t.test(
  'heartbeats leave no audit record, and replicas are told only of what comes back',
  async (t) => {
    const clock = testClock()
    const { ok, db } = await topologyApp(t, { now: clock.db })
    await makeMixedMesh(ok)
    const count = async () => (await db.selectFrom('audit_record').select('id').execute()).length
    const revision = async () => {
      const query = db.selectFrom('change').select('revision').where('mesh_id', '=', ACME)
      return (await query.where('topic', '=', 'mesh').executeTakeFirstOrThrow()).revision
    }
    const before = { records: await count(), revision: await revision() }
    const hear = () =>
      inTransaction(db, (trx) =>
        hearCluster(trx, ACME, {
          cluster: 'cluster-1',
          controlPlanes: ['cp-1'],
          gateways: ['gw-a'],
          now: clock.now(),
        }),
      )
    clock.advance(60_000)
    await hear()
    const { controlPlanes, gateways } = await loadTopology(db, ACME)
    t.same(controlPlanes.get('cp-1')?.seenAt, clock.now())
    t.same(gateways.find(({ name }) => name === 'gw-a')?.seenAt, clock.now())
    t.same({ records: await count(), revision: await revision() }, before)
    clock.advance(4 * 3_600_000)
    await hear()
    t.same(
      { records: await count(), revision: await revision() },
      { ...before, revision: before.revision + 1n },
    )
  },
)

t.test(
  '6 a cluster speaks only for what it runs, and hears nothing of what others have',
  async (t) => {
    const { ok, db } = await topologyApp(t)
    await makeMixedMesh(ok)
    await ok('POST', 'control-planes', { name: 'cloud', type: 'managed', heartbeatSeconds: 10 })
    const hear = (rest: object) =>
      inTransaction(db, (trx) =>
        hearCluster(trx, ACME, {
          cluster: 'cluster-1',
          controlPlanes: [],
          gateways: [],
          now: new Date(),
          ...rest,
        }),
      )
    await t.rejects(hear({ controlPlanes: ['cp-2'] }), refusal('control plane', 'cp-2'))
    await t.rejects(hear({ controlPlanes: ['cloud'] }), refusal('control plane', 'cloud'))
    await t.rejects(hear({ gateways: ['gw-b'] }), refusal('gateway', 'gw-b'))
    await t.rejects(hear({ gateways: ['nothing'] }), refusal('gateway', 'nothing'))
    const many = Array.from({ length: MAX_HEARD + 1 }, (_, index) => `cp-${index}`)
    await t.rejects(hear({ controlPlanes: many }), { code: 'INVALID_REQUEST' })
  },
)
