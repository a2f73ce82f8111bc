import { bumpChange } from '../../db/changes.ts'
import type { MeshId } from '../../db/ids.ts'
import type { Db } from '../../db/schema.ts'
import { quoted, ServiceError } from '../../errors.ts'
import {
  findControlPlane,
  type KeptControlPlane,
  touchControlPlanes,
} from './control-plane-store.ts'
import { findGateway, type KeptGateway, touchGateways } from './gateway-store.ts'
import { noSuchObject, type TopologyContext } from './hold-topology.ts'
import { requireOwnPlane } from './control-planes.ts'
import { requireOwnGateway } from './gateways.ts'
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
  const heard: Heard[] = []
  for (const name of new Set(controlPlanes.toSorted())) {
    const plane = await findControlPlane(trx, meshId, { name, lock: 'update' })
    if (plane?.cluster !== cluster) throw notItsOwn(cluster, 'control plane', name)
    heard.push(plane)
  }
  for (const name of new Set(gateways.toSorted())) {
    const gateway = await findGateway(trx, meshId, { name, lock: 'update' })
    if (gateway?.cluster !== cluster) throw notItsOwn(cluster, 'gateway', name)
    heard.push(gateway)
  }
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
  const plane = await findControlPlane(trx, meshId, { name, lock: 'update' })
  if (plane === undefined) throw noSuchObject('control plane', name, meshId)
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
  const gateway = await findGateway(trx, meshId, { name, lock: 'update' })
  if (gateway === undefined) throw noSuchObject('gateway', name, meshId)
  requireOwnGateway(context, gateway)
  await touchGateways(trx, meshId, { names: [name], at: context.now })
  if (!isHeard(gateway, context.now)) await bumpChange(trx, meshId, 'mesh')
  return { ...gateway, seenAt: context.now }
}

function notItsOwn(cluster: string, kind: string, name: string): ServiceError {
  return new ServiceError(
    'FORBIDDEN',
    `a reporter of cluster ${cluster} speaks for what that cluster runs, and ${kind} ${quoted(name)} is none of it`,
    { next: `entente ${kind.replace(' ', '-')} list` },
  )
}
