import { requireOwned } from '../../access/owner-scope.ts'
import type { MeshId } from '../../db/ids.ts'
import type { Db } from '../../db/schema.ts'
import { quoted, ServiceError } from '../../errors.ts'
import type { Dependant } from '../hooks.ts'
import { checkHost } from './address.ts'
import type { KeptTopology } from './find-topology.ts'
import * as store from './gateway-store.ts'
import type { KeptGateway } from './gateway-store.ts'
import {
  type EndOptions,
  holdTopology,
  nameTaken,
  noSuchObject,
  settleTopology,
  type TopologyContext,
} from './hold-topology.ts'
import { checkLocality } from './locality.ts'
import { checkRoom, illegal } from './rules.ts'
import type { Locality } from './topology.ts'

/** A gateway as somebody writes it; null takes a value away. */
export interface GatewayDraft {
  readonly name: string
  readonly network: string
  /** The cluster that runs it. */
  readonly cluster?: string | null | undefined
  readonly address: string
  readonly port: number
  /** Default that of the cluster that runs it. */
  readonly locality?: Locality | undefined
  readonly sniMode?: KeptGateway['sniMode'] | undefined
  readonly weight?: number | undefined
  readonly state?: KeptGateway['state'] | undefined
  readonly heartbeatSeconds?: number | null | undefined
}

/** What of a gateway can change. */
export type GatewayChange = Partial<Omit<GatewayDraft, 'name' | 'network'>>

/**
 * Makes a gateway in the caller's transaction: from then on other networks reach its network through it.
 *
 * Throws NOT_FOUND (the mesh), ALREADY_EXISTS, INVALID_REQUEST (a rule), CONFLICT, FORBIDDEN.
 */
export async function createGateway(
  trx: Db,
  meshId: MeshId,
  { draft, context }: { readonly draft: GatewayDraft; readonly context: TopologyContext },
): Promise<KeptGateway> {
  const { name, network, address, port } = draft
  const cluster = draft.cluster ?? undefined
  requireOwnGateway(context, { name, cluster })
  const { topology } = await holdTopology(trx, meshId)
  if (topology.gateways.some((one) => one.name === name)) throw nameTaken('gateway', name, meshId)
  checkRoom('gateway', topology.gateways.length)
  const gateway: KeptGateway = {
    name,
    network,
    cluster,
    address,
    port,
    locality: draft.locality ?? {},
    sniMode: draft.sniMode ?? 'auto-passthrough',
    weight: draft.weight ?? 1,
    state: draft.state ?? 'active',
    heartbeatSeconds: draft.heartbeatSeconds ?? undefined,
    seenAt: undefined,
    version: 1n,
    createdAt: context.now,
  }
  checkGateway(gateway, topology)
  await store.insertGateway(trx, meshId, gateway)
  const body = auditedGateway(gateway)
  await settleTopology(trx, meshId, {
    context,
    action: 'gateway.create',
    object: objectOf(name),
    body,
  })
  return gateway
}

/** What a change of one gateway is. */
export interface GatewayChangeOptions {
  readonly name: string
  readonly change: GatewayChange
  readonly context: TopologyContext
  readonly requireVersion: (version: bigint) => void
}

/** Changes a gateway in the caller's transaction; throws NOT_FOUND, PRECONDITION_FAILED, INVALID_REQUEST, FORBIDDEN. */
export async function changeGateway(
  trx: Db,
  meshId: MeshId,
  { name, change, context, requireVersion }: GatewayChangeOptions,
): Promise<KeptGateway> {
  const { topology } = await holdTopology(trx, meshId)
  const before = await lockedGateway(trx, meshId, name)
  requireOwnGateway(context, before)
  requireVersion(before.version)
  const after = changed(before, change)
  requireOwnGateway(context, after)
  checkGateway(after, topology)
  await store.updateGateway(trx, meshId, after)
  const body = { before: auditedGateway(before), after: auditedGateway(after) }
  await settleTopology(trx, meshId, {
    context,
    action: 'gateway.update',
    object: objectOf(name),
    body,
  })
  return after
}

/** Deletes a gateway in the caller's transaction; throws NOT_FOUND, PRECONDITION_FAILED, FORBIDDEN. */
export async function deleteGateway(
  trx: Db,
  meshId: MeshId,
  { name, context, requireVersion }: Pick<EndOptions, 'name' | 'context' | 'requireVersion'>,
): Promise<{ readonly gateway: KeptGateway; readonly ended: readonly Dependant[] }> {
  const { topology } = await holdTopology(trx, meshId)
  const gateway = await lockedGateway(trx, meshId, name)
  requireOwnGateway(context, gateway)
  requireVersion(gateway.version)
  const { network } = gateway
  const isLast = topology.gateways.filter((one) => one.network === network).length === 1
  const effect = 'can be reached from no other network any more'
  const ended = isLast ? [{ kind: 'network', name: network, effect, blocks: false }] : []
  await store.deleteGateways(trx, meshId, [name])
  const body = { ...auditedGateway(gateway), ended }
  await settleTopology(trx, meshId, {
    context,
    action: 'gateway.delete',
    object: objectOf(name),
    body,
  })
  return { gateway, ended }
}

/** The gateway of this name, locked; throws NOT_FOUND. */
export async function lockedGateway(trx: Db, meshId: MeshId, name: string): Promise<KeptGateway> {
  const [gateway] = await store.lockGateways(trx, meshId, [name])
  if (gateway === undefined) throw noSuchObject('gateway', name, meshId)
  return gateway
}

/** Refuses (FORBIDDEN) a gateway that no cluster of somebody's grant runs. */
export function requireOwnGateway(
  { ownerClusters }: TopologyContext,
  { name, cluster }: Pick<KeptGateway, 'name' | 'cluster'>,
): void {
  const within = cluster === undefined ? [] : [cluster]
  requireOwned(ownerClusters, { title: `gateway ${name}`, within })
}

function changed(before: KeptGateway, change: GatewayChange): KeptGateway {
  const { cluster = before.cluster, heartbeatSeconds = before.heartbeatSeconds } = change
  return {
    ...before,
    cluster: cluster ?? undefined,
    heartbeatSeconds: heartbeatSeconds ?? undefined,
    address: change.address ?? before.address,
    port: change.port ?? before.port,
    locality: change.locality ?? before.locality,
    sniMode: change.sniMode ?? before.sniMode,
    weight: change.weight ?? before.weight,
    state: change.state ?? before.state,
    version: before.version + 1n,
  }
}

function checkGateway(gateway: KeptGateway, topology: KeptTopology): void {
  const { name, network, cluster } = gateway
  checkLocality(gateway.locality)
  checkHost(gateway.address, '/address')
  if (!topology.networks.has(network)) throw unknown('network', network)
  if (cluster === undefined) return
  const runner = topology.clusters.get(cluster)
  if (runner === undefined) throw unknown('cluster', cluster)
  if (runner.networks.includes(network)) return
  const found = `gateway ${quoted(name)} of network ${network} is to be run by cluster ${cluster}, which is in ${runner.networks.join(', ')}`
  throw illegal('gateway-in-network', found, {
    pointer: '/cluster',
    next: `entente cluster change ${cluster} --networks ${[...runner.networks, network].join(',')}`,
  })
}

function unknown(kind: 'network' | 'cluster', name: string): ServiceError {
  const message = `the mesh has no ${kind} ${quoted(name)}`
  return new ServiceError('INVALID_REQUEST', message, {
    next: `entente ${kind} list`,
    fields: [{ in: 'body', pointer: `/${kind}`, detail: message }],
  })
}

function objectOf(name: string): string {
  return `gateway/${name}`
}

function auditedGateway(gateway: KeptGateway): Record<string, unknown> {
  const { network, cluster, address, port, locality, sniMode, weight, state } = gateway
  return {
    network,
    cluster: cluster ?? null,
    address,
    port,
    locality,
    sniMode,
    weight,
    state,
    heartbeatSeconds: gateway.heartbeatSeconds ?? null,
  }
}
