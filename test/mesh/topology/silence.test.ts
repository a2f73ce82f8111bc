import t from 'tap'
import { gatewaysOf } from '../../../src/catalog/route/gateways.ts'
import { parseMeshId } from '../../../src/db/ids.ts'
import { availabilitySource } from '../../../src/federation/alert/availability-source.ts'
import { availabilityOf } from '../../../src/mesh/topology/availability.ts'
import { orderedControlPlanes } from '../../../src/mesh/topology/control-plane-order.ts'
import { loadTopology } from '../../../src/mesh/topology/find-topology.ts'
import { testClock } from '../../support/clock.ts'
import { makeMixedMesh } from '../../support/mixed-mesh.ts'
import { topologyApp } from '../../support/topology-app.ts'

const ACME = parseMeshId('acme')
const POOL = { network: 'net-a', cluster: undefined }

const all = (is: boolean) => ({
  availability: is,
  order: is,
  ways: is,
  alerts: is,
  planeView: is,
  gatewayView: is,
})

t.test(
  'what stops to be heard is gone for availability, order, ways, alerts and views at one moment',
  async (t) => {
    const clock = testClock()
    const { ok, db } = await topologyApp(t, { now: clock.db })
    await makeMixedMesh(ok)
    for (const path of ['control-planes/cp-1', 'gateways/gw-a']) {
      await ok('PATCH', path, { heartbeatSeconds: 10 })
      await ok('POST', `${path}/heartbeat`)
    }
    const target = { availability_target: 1 }
    await db.updateTable('mesh').set(target).where('mesh_id', '=', ACME).execute()
    const seen = async () => {
      const now = await clock.db(db)
      const topology = await loadTopology(db, ACME)
      const { active, lacking } = gatewaysOf(topology, POOL, now)
      return {
        availability: availabilityOf(topology, now).tier > 0,
        order: orderedControlPlanes(topology, 'cluster-2', now)[0]?.name === 'cp-1',
        ways: active.length === 1 && lacking === undefined,
        alerts: (await availabilitySource()(db, now)).length === 0,
        planeView: (await ok('GET', 'control-planes/cp-1')).isHeard,
        gatewayView: (await ok('GET', 'gateways/gw-a')).isHeard,
      }
    }
    t.same(await seen(), all(true))
    await clock.advance(30_000)
    t.same(
      await seen(),
      all(true),
      'to the millisecond three heartbeats later all of them count it',
    )
    await clock.advance(1)
    t.same(await seen(), all(false), 'and a millisecond later none')
    await ok('POST', 'control-planes/cp-1/heartbeat')
    await ok('POST', 'gateways/gw-a/heartbeat')
    t.same(await seen(), all(true), 'one heartbeat brings it back for all of them')
  },
)
