import type { MeshId } from '../../db/ids.ts'
import type { Db } from '../../db/schema.ts'
import { quoted, type ServiceError } from '../../errors.ts'
import type { Dependant } from '../hooks.ts'
import type { KeptTopology } from './find-topology.ts'
import { deleteGateways } from './gateway-store.ts'
import {
  checkEnding,
  deleteUnused,
  type Ending,
  type EndOptions,
  holdTopology,
  nameTaken,
  noSuchObject,
  settleTopology,
  type TopologyContext,
} from './hold-topology.ts'
import type { TopologyHooks } from './hooks.ts'
import * as store from './network-store.ts'
import type { KeptNetwork } from './network-store.ts'
import { checkRoom, illegal } from './rules.ts'

/** A network as somebody writes it. */
export interface NetworkDraft {
  readonly name: string
  readonly directlyReachable?: boolean | undefined
}

/** Makes a network in the caller's transaction; throws NOT_FOUND (the mesh), ALREADY_EXISTS, CONFLICT. */
export async function createNetwork(
  trx: Db,
  meshId: MeshId,
  { draft, context }: { readonly draft: NetworkDraft; readonly context: TopologyContext },
): Promise<KeptNetwork> {
  const { name, directlyReachable = true } = draft
  const { topology } = await holdTopology(trx, meshId)
  if (topology.networks.has(name)) throw nameTaken('network', name, meshId)
  checkRoom('network', topology.networks.size)
  const network: KeptNetwork = {
    name,
    sharedName: undefined,
    isDirectlyReachable: directlyReachable,
    version: 1n,
    createdAt: context.now,
  }
  await store.insertNetwork(trx, meshId, network)
  const body = auditedNetwork(network)
  await settleTopology(trx, meshId, {
    context,
    action: 'network.create',
    object: objectOf(name),
    body,
  })
  return network
}

/** What a change of one network is. */
export interface NetworkChangeOptions {
  readonly name: string
  readonly change: {
    readonly directlyReachable?: boolean | undefined
    /** The name under which meshes share it; null = with nobody. Only for platform-admins. */
    readonly sharedName?: string | null | undefined
  }
  readonly context: TopologyContext
  readonly requireVersion: (version: bigint) => void
}

/** Changes a network in the caller's transaction; throws NOT_FOUND, PRECONDITION_FAILED, INVALID_REQUEST (a rule). */
export async function changeNetwork(
  trx: Db,
  meshId: MeshId,
  { name, change, context, requireVersion }: NetworkChangeOptions,
): Promise<KeptNetwork> {
  const { topology } = await holdTopology(trx, meshId)
  const before = topology.networks.get(name)
  if (before === undefined) throw noSuchObject('network', name, meshId)
  requireVersion(before.version)
  const { sharedName = before.sharedName ?? null, directlyReachable } = change
  const after: KeptNetwork = {
    ...before,
    sharedName: sharedName ?? undefined,
    isDirectlyReachable: directlyReachable ?? before.isDirectlyReachable,
    version: before.version + 1n,
  }
  checkShared(after, topology)
  await store.updateNetwork(trx, meshId, after)
  const body = { before: auditedNetwork(before), after: auditedNetwork(after) }
  const action = change.sharedName === undefined ? 'network.update' : 'network.share'
  await settleTopology(trx, meshId, { context, action, object: objectOf(name), body })
  return after
}

/**
 * Deletes a network with its gateways and takes clusters out of it, in the caller's transaction.
 *
 * Throws NOT_FOUND, PRECONDITION_FAILED, CONFLICT while something is in it and it is not forced, and INVALID_REQUEST
 * where a cluster would be left in no network.
 */
export async function deleteNetwork(
  trx: Db,
  meshId: MeshId,
  { hooks, ...options }: EndOptions & { readonly hooks: TopologyHooks },
): Promise<{ readonly network: KeptNetwork; readonly ended: readonly Dependant[] }> {
  const { name, context } = options
  const { topology } = await holdTopology(trx, meshId)
  const network = topology.networks.get(name)
  if (network === undefined) throw noSuchObject('network', name, meshId)
  options.requireVersion(network.version)
  const target = { kind: 'network', meshId, name } as const
  const own = endOfNetwork(name, topology)
  const ended = [...own.ended]
  for (const ask of hooks.dependants) ended.push(...(await ask(trx, target)))
  checkEnding(`network ${name}`, { ended, faults: own.faults }, options)
  for (const end of hooks.enders) await end(trx, target, context)
  const gateways = topology.gateways.filter((gateway) => gateway.network === name)
  await deleteGateways(
    trx,
    meshId,
    gateways.map((gateway) => gateway.name),
  )
  await store.emptyNetwork(trx, meshId, name)
  await deleteUnused(`network ${name}`, () => store.deleteNetwork(trx, meshId, name))
  const body = { ...auditedNetwork(network), forced: options.force, ended }
  await settleTopology(trx, meshId, {
    context,
    action: 'network.delete',
    object: objectOf(name),
    body,
  })
  return { network, ended }
}

function checkShared({ name, sharedName }: KeptNetwork, { networks }: KeptTopology): void {
  if (sharedName === undefined) return
  const other = [...networks.values()].find(
    (one) => one.name !== name && one.sharedName === sharedName,
  )
  if (other === undefined) return
  const found = `network ${other.name} is shared as ${quoted(sharedName)} already`
  throw illegal('shared-once', found, { pointer: '/sharedName' })
}

function endOfNetwork(name: string, topology: KeptTopology): Ending {
  const ended: Dependant[] = []
  const faults: ServiceError[] = []
  for (const cluster of topology.clusters.values()) {
    if (!cluster.networks.includes(name)) continue
    const isOnly = cluster.networks.length === 1
    const effect = isOnly
      ? 'would be in no network: not even force does that'
      : 'would be in it no more'
    ended.push({ kind: 'cluster', name: cluster.name, effect, blocks: true })
    if (!isOnly) continue
    const found = `cluster ${quoted(cluster.name)} is in no other network than ${quoted(name)}`
    const next = `entente cluster change ${cluster.name} --networks OTHERS`
    faults.push(illegal('cluster-in-network', found, { next }))
  }
  for (const gateway of topology.gateways.filter((one) => one.network === name)) {
    const effect = 'ends with it: a way into this network'
    ended.push({ kind: 'gateway', name: gateway.name, effect, blocks: true })
  }
  return { ended, faults }
}

function objectOf(name: string): string {
  return `network/${name}`
}

function auditedNetwork({ sharedName, isDirectlyReachable }: KeptNetwork): Record<string, unknown> {
  return { sharedName: sharedName ?? null, directlyReachable: isDirectlyReachable }
}
