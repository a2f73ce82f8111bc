import { appliedServices } from './catalog/find-services.ts'
import type { Base } from './compose-base.ts'
import { appliedPeerGroups, appliedRelationships } from './federation/applied-kinds.ts'
import type { App } from './http/listener.ts'
import { appliedMeshes, pruneApplied } from './mesh/applied.ts'
import type { AppliedKinds } from './mesh/applied-object.ts'
import { appliedQuotas } from './mesh/applied-quotas.ts'
import { appliedRoutes } from './mesh/applied-routes.ts'
import {
  appliedClusters,
  appliedControlPlanes,
  appliedGateways,
  appliedNetworks,
} from './mesh/topology/applied-kinds.ts'
import { appliedRules } from './policy/rule/applied-kinds.ts'
import { appliedEntries } from './registry/applied-entries.ts'
import { startTicker, type Ticker } from './ticker.ts'

/** What can be applied from a file; a kind more is one line here and one in `cli/declarative/kinds.ts`. */
const KINDS: AppliedKinds = {
  Mesh: appliedMeshes,
  Quota: appliedQuotas,
  Network: appliedNetworks,
  Cluster: appliedClusters,
  ControlPlane: appliedControlPlanes,
  Gateway: appliedGateways,
  Relationship: appliedRelationships,
  PeerGroup: appliedPeerGroups,
  Service: appliedServices,
  Entry: appliedEntries,
  Rule: appliedRules,
}

/** Mounts who applied what under `/v1`. */
export function mountDeclarative(v1: App, { database, now }: Base): void {
  v1.register(appliedRoutes, { db: database.db, now, kinds: KINDS })
}

const DAY_MS = 86_400_000

/** Forgets, once a day, who applied objects that are gone. */
export function declarativeTickers({ database, clock, log }: Base): readonly Ticker[] {
  const run = async (): Promise<void> => void (await pruneApplied(database.background, KINDS))
  return [startTicker({ name: 'applied-objects', everyMs: DAY_MS, clock, log, run })]
}
