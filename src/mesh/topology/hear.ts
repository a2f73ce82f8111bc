import { bumpChange } from '../../db/changes.ts'
import type { MeshId } from '../../db/ids.ts'
import type { Db } from '../../db/schema.ts'
import { quoted, ServiceError } from '../../errors.ts'
import {
  type KeptControlPlane,
  lockControlPlanes,
  touchControlPlanes,
} from './control-plane-store.ts'
import { lockedPlane, requireOwnPlane } from './control-planes.ts'
import { type KeptGateway, lockGateways, touchGateways } from './gateway-store.ts'
import { lockedGateway, requireOwnGateway } from './gateways.ts'
import type { TopologyContext } from './hold-topology.ts'
import { type Heard, isHeard } from './topology.ts'

/** Most control planes, and most gateways, that one report names. */
export const MAX_HEARD = 100

/** What a cluster says lives in it. */
export interface HeardCluster {
  /** The cluster that the reporter's entry is tied to. */
  readonly cluster: string
  readonly controlPlanes: readonly string[]
  readonly gateways: readonly string[]
  readonly now: Date
}

/**
 * Notes that control planes and gateways of a cluster live, in the caller's transaction; no audit record, as nothing
 * is decided.
 *
 * Whoever routes reads the moment from its row, so replicas are told only when something is heard that was not before.
 * Throws FORBIDDEN for anything that the cluster does not run, whether it exists or not, and INVALID_REQUEST for more
 * than {@link MAX_HEARD} names.
 */
export async function hearCluster(
  trx: Db,
  meshId: MeshId,
  { cluster, controlPlanes, gateways, now }: HeardCluster,
): Promise<void> {
  if (Math.max(controlPlanes.length, gateways.length) > MAX_HEARD) {
    throw new ServiceError('INVALID_REQUEST', `one report names at most ${MAX_HEARD} of each`)
  }
  const planes = await lockControlPlanes(trx, meshId, controlPlanes)
  requireItsOwn(planes, { cluster, kind: 'control plane', names: controlPlanes })
  const ways = await lockGateways(trx, meshId, gateways)
  requireItsOwn(ways, { cluster, kind: 'gateway', names: gateways })
  const heard: readonly Heard[] = [...planes, ...ways]
  await touchControlPlanes(trx, meshId, { names: controlPlanes, at: now })
  await touchGateways(trx, meshId, { names: gateways, at: now })
  if (heard.some((one) => !isHeard(one, now))) await bumpChange(trx, meshId, 'mesh')
}

/** One heartbeat that an administrator, or a script of theirs, gives. */
export interface Heartbeat {
  readonly name: string
  readonly context: TopologyContext
}

/** Notes that a control plane lives; also one that runs in no cluster. Throws NOT_FOUND, FORBIDDEN. */
export async function hearControlPlane(
  trx: Db,
  meshId: MeshId,
  { name, context }: Heartbeat,
): Promise<KeptControlPlane> {
  const plane = await lockedPlane(trx, meshId, name)
  requireOwnPlane(context, plane)
  await touchControlPlanes(trx, meshId, { names: [name], at: context.now })
  if (!isHeard(plane, context.now)) await bumpChange(trx, meshId, 'mesh')
  return { ...plane, seenAt: context.now }
}

/** Notes that a gateway lives. Throws NOT_FOUND, FORBIDDEN. */
export async function hearGateway(
  trx: Db,
  meshId: MeshId,
  { name, context }: Heartbeat,
): Promise<KeptGateway> {
  const gateway = await lockedGateway(trx, meshId, name)
  requireOwnGateway(context, gateway)
  await touchGateways(trx, meshId, { names: [name], at: context.now })
  if (!isHeard(gateway, context.now)) await bumpChange(trx, meshId, 'mesh')
  return { ...gateway, seenAt: context.now }
}

interface Claimed {
  readonly cluster: string
  readonly kind: 'control plane' | 'gateway'
  readonly names: readonly string[]
}

function requireItsOwn(
  found: readonly (KeptControlPlane | KeptGateway)[],
  { cluster, kind, names }: Claimed,
): void {
  const own = new Set(found.filter((one) => one.cluster === cluster).map((one) => one.name))
  const name = names.toSorted().find((one) => !own.has(one))
  if (name === undefined) return
  throw new ServiceError(
    'FORBIDDEN',
    `a reporter of cluster ${cluster} speaks for what that cluster runs, and ${kind} ${quoted(name)} is none of it`,
    { next: `entente ${kind.replace(' ', '-')} list` },
  )
}
