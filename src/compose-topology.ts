import {
  clusterFounder,
  endIntermediates,
  intermediatesOfCluster,
  moveIntermediates,
} from './authority/cluster-authority.ts'
import { endServicesOfCluster, servicesOfCluster } from './catalog/cluster-services.ts'
import { endEndpointsOfPlace, endpointsOfPlace } from './catalog/place-endpoints.ts'
import type { Base } from './compose-base.ts'
import type { App } from './http/listener.ts'
import { clusterRoutes } from './mesh/topology/cluster-routes.ts'
import { controlPlaneRoutes } from './mesh/topology/control-plane-routes.ts'
import { gatewayRoutes } from './mesh/topology/gateway-routes.ts'
import { hearRoutes } from './mesh/topology/hear-routes.ts'
import type { TopologyHooks } from './mesh/topology/hooks.ts'
import { moveRoutes } from './mesh/topology/move-routes.ts'
import { networkRoutes } from './mesh/topology/network-routes.ts'
import { shareRoutes } from './mesh/topology/share-routes.ts'
import { rulesOfCluster } from './policy/rule/cluster-dependants.ts'
import {
  endEntriesOfCluster,
  entriesOfCluster,
  entriesPausedWith,
  moveEntries,
} from './registry/cluster-entries.ts'

/** Mounts clusters, control planes, networks and gateways under `/v1`. */
export function mountTopology(v1: App, { database, now, keyring }: Base): void {
  const { db } = database
  const hooks: TopologyHooks = {
    founders: [clusterFounder(keyring)],
    dependants: [
      intermediatesOfCluster,
      entriesOfCluster,
      endpointsOfPlace,
      servicesOfCluster,
      rulesOfCluster,
    ],
    enders: [endEntriesOfCluster, endEndpointsOfPlace, endServicesOfCluster, endIntermediates],
    movers: [moveEntries, moveIntermediates],
    pauses: [entriesPausedWith],
  }
  v1.register(clusterRoutes, { db, now, hooks })
  v1.register(moveRoutes, { db, now, hooks })
  v1.register(controlPlaneRoutes, { db, now })
  v1.register(networkRoutes, { db, now, hooks })
  v1.register(gatewayRoutes, { db, now })
  v1.register(hearRoutes, { db, now })
  v1.register(shareRoutes, { db, now })
}
