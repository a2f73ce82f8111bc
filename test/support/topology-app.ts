import type { Test } from 'tap'
import {
  clusterFounder,
  endIntermediates,
  intermediatesOfCluster,
  moveIntermediates,
} from '../../src/authority/cluster-authority.ts'
import { endEndpointsOfPlace, endpointsOfPlace } from '../../src/catalog/place-endpoints.ts'
import { databaseNow, type DbClock } from '../../src/db/time.ts'
import { clusterRoutes } from '../../src/mesh/topology/cluster-routes.ts'
import { controlPlaneRoutes } from '../../src/mesh/topology/control-plane-routes.ts'
import { gatewayRoutes } from '../../src/mesh/topology/gateway-routes.ts'
import { hearRoutes } from '../../src/mesh/topology/hear-routes.ts'
import type { TopologyHooks } from '../../src/mesh/topology/hooks.ts'
import { moveRoutes } from '../../src/mesh/topology/move-routes.ts'
import { networkRoutes } from '../../src/mesh/topology/network-routes.ts'
import { shareRoutes } from '../../src/mesh/topology/share-routes.ts'
import {
  endEntriesOfCluster,
  entriesOfCluster,
  entriesPausedWith,
  moveEntries,
} from '../../src/registry/cluster-entries.ts'
import { type AdminAnswer, adminApp } from './admin-app.ts'
import { makeMesh, testKeyring } from './meshes.ts'

/** An admin listener with mesh acme and the routes of its topology. */
export async function topologyApp(t: Test, { now = databaseNow }: { readonly now?: DbClock } = {}) {
  const keyring = testKeyring()
  const hooks: TopologyHooks = {
    founders: [clusterFounder(keyring)],
    dependants: [intermediatesOfCluster, entriesOfCluster, endpointsOfPlace],
    enders: [endEntriesOfCluster, endEndpointsOfPlace, endIntermediates],
    movers: [moveEntries, moveIntermediates],
    pauses: [entriesPausedWith],
  }
  const admin = await adminApp(t, {
    mount: (v1, db) => {
      for (const routes of [clusterRoutes, networkRoutes, moveRoutes])
        v1.register(routes, { db, now, hooks })
      for (const routes of [controlPlaneRoutes, gatewayRoutes, hearRoutes, shareRoutes]) {
        v1.register(routes, { db, now })
      }
    },
  })
  const { db } = admin.database
  await makeMesh(db, keyring)
  const call = (method: string, path: string, body?: unknown): Promise<AdminAnswer> =>
    admin.call(method, `/v1/meshes/acme/${path}`, body === undefined ? {} : { body })
  /** Makes or changes something that must succeed. */
  const ok = async (method: string, path: string, body?: unknown) => {
    const answer = await call(method, path, body)
    t.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${answer.text.slice(0, 300)}`)
    return answer.body
  }
  return { ...admin, db, keyring, hooks, callAny: admin.call, call, ok }
}
