import type { MeshId } from '../../db/ids.ts'
import { lockMeshes } from '../../db/lock-meshes.ts'
import type { Db } from '../../db/schema.ts'
import { quoted, ServiceError } from '../../errors.ts'
import { primaryTrustDomain } from '../find-mesh.ts'
import { checkCluster, endOfCluster } from './cluster-rules.ts'
import * as store from './cluster-store.ts'
import type { KeptCluster } from './cluster-store.ts'
import { auditedCluster, removeCluster } from './clusters.ts'
import { insertControlPlane, type KeptControlPlane } from './control-plane-store.ts'
import type { KeptTopology } from './find-topology.ts'
import { FIRST_OF_ALL } from './found-topology.ts'
import { insertGateway, type KeptGateway } from './gateway-store.ts'
import {
  type HeldTopology,
  holdTopology,
  nameTaken,
  noSuchObject,
  settleTopology,
  type TopologyContext,
} from './hold-topology.ts'
import type { MovedObject, TopologyHooks } from './hooks.ts'
import { checkRoom } from './rules.ts'

/** Where a cluster is to go. */
export interface MoveCluster {
  readonly name: string
  readonly toMesh: MeshId
  /** Networks of the other mesh; default its network `default`. */
  readonly networks?: readonly string[] | undefined
  /** Control planes of the other mesh; default its own that go along, or the control plane `default`. */
  readonly controlPlanes?: readonly string[] | undefined
  readonly context: TopologyContext
  readonly hooks: TopologyHooks
  readonly requireVersion: (version: bigint) => void
}

/** A cluster in the mesh that it is in now, and everything that went with it or ended. */
export interface MovedCluster {
  readonly cluster: KeptCluster
  readonly moved: readonly MovedObject[]
}

/**
 * Moves a cluster to another mesh of this service, in one transaction of the caller.
 *
 * Its control planes and gateways go along; its intermediates end and new ones are made under the other mesh's root;
 * hooks make its identities anew. Nothing that was issued in the old mesh is renewed: workloads attest anew. Throws
 * NOT_FOUND, PRECONDITION_FAILED, ALREADY_EXISTS where a name is taken there, CONFLICT while other clusters use a
 * control plane in it, and INVALID_REQUEST where a rule of either mesh would be broken.
 */
export async function moveCluster(
  trx: Db,
  fromMesh: MeshId,
  { name, toMesh, context, hooks, ...options }: MoveCluster,
): Promise<MovedCluster> {
  const { from, to } = await holdBoth(trx, fromMesh, toMesh)
  const before = from.topology.clusters.get(name)
  if (before === undefined) throw noSuchObject('cluster', name, fromMesh)
  options.requireVersion(before.version)
  checkLeaving(name, from.topology)
  await checkSigned(trx, toMesh)
  const plan = planOf(before, { from, to, context, ...options })
  await insertAll(trx, toMesh, plan)
  for (const found of hooks.founders) await found(trx, to.mesh, { cluster: name, context })
  const move = { from: from.mesh, to: to.mesh, cluster: name, context }
  const moved: MovedObject[] = [...plan.moved]
  for (const take of hooks.movers) moved.push(...(await take(trx, move)))
  const target = { kind: 'cluster', meshId: fromMesh, name } as const
  for (const ask of hooks.dependants) {
    const ended = await ask(trx, target)
    moved.push(...ended.filter((one) => !moved.some((told) => isSame(told, one))))
  }
  for (const end of hooks.enders) await end(trx, target, context)
  await removeCluster(trx, fromMesh, { name, topology: from.topology })
  const change = { context, action: 'cluster.move', object: `cluster/${name}` }
  const body = { from: fromMesh, to: toMesh, before: auditedCluster(before), moved }
  await settleTopology(trx, fromMesh, { ...change, body })
  const arrived = { from: fromMesh, to: toMesh, after: auditedCluster(plan.cluster) }
  await settleTopology(trx, toMesh, { ...change, body: arrived })
  return { cluster: plan.cluster, moved }
}

/** What a mover has told of is not told again as something that only ends. */
function isSame(a: MovedObject, b: MovedObject): boolean {
  return a.kind === b.kind && a.name === b.name
}

interface Both {
  readonly from: HeldTopology
  readonly to: HeldTopology
}

/** Two moves against each other lock in the same order. */
async function holdBoth(trx: Db, fromMesh: MeshId, toMesh: MeshId): Promise<Both> {
  if (fromMesh === toMesh) {
    throw new ServiceError('INVALID_REQUEST', `the cluster is in mesh ${toMesh} already`)
  }
  await lockMeshes(trx, [fromMesh, toMesh])
  return { from: await holdTopology(trx, fromMesh), to: await holdTopology(trx, toMesh) }
}

function checkLeaving(name: string, topology: KeptTopology): void {
  const { ended, faults } = endOfCluster(topology, name)
  const [fault] = faults
  if (fault !== undefined) throw fault
  const users = ended.filter(({ kind }) => kind === 'cluster').map((one) => one.name)
  if (users.length === 0) return
  throw new ServiceError(
    'CONFLICT',
    `${users.map((user) => quoted(user)).join(', ')} would lose a control plane that runs in cluster ${name}`,
    { next: `entente cluster change ${users[0] ?? 'CLUSTER'} --control-planes OTHERS` },
  )
}

async function checkSigned(trx: Db, toMesh: MeshId): Promise<void> {
  const { name, issuer } = await primaryTrustDomain(trx, toMesh)
  if (issuer === 'managed') return
  throw new ServiceError(
    'CONFLICT',
    `SVIDs of ${name} are signed by another system, so no identity can be issued anew there`,
    { next: `entente mesh show ${toMesh}` },
  )
}

interface Plan {
  readonly cluster: KeptCluster
  readonly planes: readonly KeptControlPlane[]
  readonly gateways: readonly KeptGateway[]
  readonly moved: readonly MovedObject[]
}

interface Planning extends Both, Pick<MoveCluster, 'networks' | 'controlPlanes' | 'context'> {}

function planOf(before: KeptCluster, planning: Planning): Plan {
  const { from, to, context } = planning
  const { name } = before
  const { meshId } = to.mesh
  if (to.topology.clusters.has(name)) throw nameTaken('cluster', name, meshId)
  checkRoom('cluster', to.topology.clusters.size)
  const fresh = { version: 1n, createdAt: context.now }
  const planes = [...from.topology.controlPlanes.values()]
    .filter(({ cluster }) => cluster === name)
    .map((plane) => ({ ...plane, ...fresh }))
  const own = planes.map((plane) => plane.name)
  const ranked = before.controlPlanes.filter((plane) => own.includes(plane))
  const kept = ranked.length > 0 ? ranked : own
  const networks = planning.networks ?? [FIRST_OF_ALL]
  const controlPlanes = planning.controlPlanes ?? (kept.length > 0 ? kept : [FIRST_OF_ALL])
  const cluster: KeptCluster = { ...before, ...fresh, networks, controlPlanes }
  const gateways = gatewaysOf(name, planning, networks).map((one) => ({ ...one, ...fresh }))
  checkFree(to, planes, gateways)
  checkCluster(cluster, arrival(to.topology, { cluster, planes, gateways }))
  return {
    cluster,
    planes,
    gateways,
    moved: [
      ...movedOf(before, { cluster, planes, gateways, meshId }),
      ...lastWaysOf(name, from.topology),
    ],
  }
}

/** What those that stay lose with the gateways of a cluster that leaves. */
function lastWaysOf(name: string, { clusters, gateways }: KeptTopology): MovedObject[] {
  const stay = gateways.filter(({ cluster }) => cluster !== name).map(({ network }) => network)
  const lost = gateways.filter(
    ({ cluster, network }) => cluster === name && !stay.includes(network),
  )
  return [...new Set(lost.map(({ network }) => network))].flatMap((network) => {
    const left = [...clusters.values()]
      .filter((one) => one.name !== name && one.networks.includes(network))
      .map((one) => one.name)
    if (left.length === 0) return []
    const effect = `loses its last gateway: no other network reaches ${left.join(', ')} in it any more`
    return [{ kind: 'network', name: network, effect }]
  })
}

/** A gateway stays in the network of the same name where the cluster is in one, else it leads into its first. */
function gatewaysOf(name: string, { from }: Planning, networks: readonly string[]): KeptGateway[] {
  const [first = FIRST_OF_ALL] = networks
  return from.topology.gateways
    .filter(({ cluster }) => cluster === name)
    .map((gateway) => ({
      ...gateway,
      network: networks.includes(gateway.network) ? gateway.network : first,
    }))
}

function checkFree(
  { mesh, topology }: HeldTopology,
  planes: readonly KeptControlPlane[],
  gateways: readonly KeptGateway[],
): void {
  checkRoom('control plane', topology.controlPlanes.size + planes.length - 1)
  checkRoom('gateway', topology.gateways.length + gateways.length - 1)
  const plane = planes.find((one) => topology.controlPlanes.has(one.name))
  if (plane !== undefined) throw nameTaken('control plane', plane.name, mesh.meshId)
  const taken = new Set(topology.gateways.map((one) => one.name))
  const gateway = gateways.find((one) => taken.has(one.name))
  if (gateway !== undefined) throw nameTaken('gateway', gateway.name, mesh.meshId)
}

function arrival(
  topology: KeptTopology,
  { cluster, planes, gateways }: Omit<Plan, 'moved'>,
): KeptTopology {
  return {
    networks: topology.networks,
    clusters: new Map([...topology.clusters, [cluster.name, cluster]]),
    gateways: [...topology.gateways, ...gateways],
    controlPlanes: new Map([
      ...topology.controlPlanes,
      ...planes.map((plane) => [plane.name, plane] as const),
    ]),
  }
}

function movedOf(
  before: KeptCluster,
  after: Omit<Plan, 'moved'> & { readonly meshId: MeshId },
): MovedObject[] {
  const { cluster, planes, gateways, meshId } = after
  const name = `${before.name} (${placeOf(before)})`
  const becomes = `${cluster.name} (${placeOf(cluster)})`
  return [
    { kind: 'cluster', name, becomes, effect: `is in mesh ${meshId}, in the same place` },
    ...planes.map((plane) => ({
      kind: 'control plane',
      name: plane.name,
      becomes: plane.name,
      effect: 'goes along',
    })),
    ...gateways.map((gateway) => ({
      kind: 'gateway',
      name: gateway.name,
      becomes: `${gateway.name} of network ${gateway.network}`,
      effect: 'goes along',
    })),
  ]
}

function placeOf({ networks, controlPlanes }: KeptCluster): string {
  return `networks ${networks.join(', ')}; control planes ${controlPlanes.join(', ')}`
}

async function insertAll(trx: Db, meshId: MeshId, plan: Plan): Promise<void> {
  const { cluster, planes, gateways } = plan
  await store.insertCluster(trx, meshId, { ...cluster, controlPlanes: [] })
  for (const plane of planes) await insertControlPlane(trx, meshId, plane)
  await store.insertLinks(trx, meshId, { ...cluster, networks: [] })
  for (const gateway of gateways) await insertGateway(trx, meshId, gateway)
}
