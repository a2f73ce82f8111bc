import { command, quoted, ServiceError } from '../../errors.ts'
import type { Dependant } from '../hooks.ts'
import type { KeptCluster } from './cluster-store.ts'
import type { KeptTopology } from './find-topology.ts'
import type { Ending } from './hold-topology.ts'
import { checkLocality } from './locality.ts'
import { illegal, type TopologyRule } from './rules.ts'

/** Refuses a cluster as it is to be in a topology (INVALID_REQUEST with the rule, or NOT_FOUND for what it names). */
export function checkCluster(cluster: KeptCluster, topology: KeptTopology): void {
  checkLocality(cluster.locality)
  checkOnce('in-network-once', cluster.networks, '/networks')
  checkOnce('ranked-once', cluster.controlPlanes, '/controlPlanes')
  checkNames(cluster, topology)
  checkRole(cluster, topology)
  checkGateways(cluster, topology)
  const unsigned =
    cluster.state === 'disabled' ? unsignedWithout(cluster.name, topology) : undefined
  if (unsigned !== undefined) throw unsigned
}

function checkOnce(rule: TopologyRule, names: readonly string[], pointer: string): void {
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw illegal(rule, `${quoted(twice)} is named twice`, { pointer })
}

function checkNames(cluster: KeptCluster, topology: KeptTopology): void {
  const { name, networks, controlPlanes } = cluster
  for (const network of networks) {
    if (!topology.networks.has(network)) throw unknown('network', network, '/networks')
  }
  for (const plane of controlPlanes) {
    if (!topology.controlPlanes.has(plane)) throw unknown('control plane', plane, '/controlPlanes')
  }
  if (networks.length === 0) {
    throw illegal('cluster-in-network', `cluster ${quoted(name)} would be in no network`, {
      pointer: '/networks',
      next: 'entente network list',
    })
  }
  if (controlPlanes.length === 0) {
    const found = `${cluster.role} cluster ${quoted(name)} would use no control plane`
    throw illegal('uses-control-plane', found, {
      pointer: '/controlPlanes',
      next: 'entente control-plane list',
    })
  }
}

function checkRole({ name, role }: KeptCluster, topology: KeptTopology): void {
  const own = ownPlanes(name, topology)
  if (role === 'primary' && own.length === 0) {
    throw illegal('primary-has-control-plane', `no control plane runs in cluster ${quoted(name)}`)
  }
  if (role === 'remote' && own.length > 0) {
    const found = `control plane ${own[0] ?? ''} runs in cluster ${quoted(name)}`
    throw illegal('primary-in-primary-cluster', found, { pointer: '/role' })
  }
}

function checkGateways({ name, networks }: KeptCluster, { gateways }: KeptTopology): void {
  const outside = gateways.find((one) => one.cluster === name && !networks.includes(one.network))
  if (outside === undefined) return
  const found = `cluster ${quoted(name)} runs gateway ${outside.name} of network ${outside.network} and would be in that network no more`
  throw illegal('gateway-in-network', found, {
    pointer: '/networks',
    next: `entente gateway delete ${outside.name}`,
  })
}

/** The refusal to do without a cluster whose intermediate is the only one that signs. */
function unsignedWithout(name: string, topology: KeptTopology): ServiceError | undefined {
  const others = [...topology.clusters.values()].filter(
    (one) => one.name !== name && one.state !== 'disabled' && one.issuing === 'managed',
  )
  if (others.length > 0) return undefined
  return illegal('somebody-signs', `cluster ${quoted(name)} is the only enabled one`)
}

function unknown(kind: 'network' | 'control plane', name: string, pointer: string): ServiceError {
  const message = `the mesh has no ${kind} ${quoted(name)}`
  const noun = kind.replace(' ', '-')
  return new ServiceError('INVALID_REQUEST', message, {
    next: command`entente ${noun} list   # or make it: entente ${noun} create ${name}`,
    fields: [{ in: 'body', pointer, detail: message }],
  })
}

/** Names of the control planes that run in a cluster. */
export function ownPlanes(cluster: string, { controlPlanes }: KeptTopology): string[] {
  return [...controlPlanes.values()]
    .filter((plane) => plane.cluster === cluster)
    .map(({ name }) => name)
}

/** What of the topology would end with a cluster: control planes and gateways in it, and what uses those. */
export function endOfCluster(topology: KeptTopology, name: string): Ending {
  const planes = ownPlanes(name, topology)
  const faults: ServiceError[] = []
  const ended: Dependant[] = []
  for (const plane of planes) {
    ended.push({ kind: 'control plane', name: plane, effect: 'ends with it', blocks: false })
  }
  for (const user of topology.clusters.values()) {
    if (user.name === name) continue
    const lost = loss(user, planes)
    ended.push(...lost.ended)
    faults.push(...lost.faults)
  }
  for (const gateway of topology.gateways.filter(({ cluster }) => cluster === name)) {
    const effect = `ends with it: a way into network ${gateway.network}`
    ended.push({ kind: 'gateway', name: gateway.name, effect, blocks: true })
  }
  const unsigned = unsignedWithout(name, topology)
  if (unsigned !== undefined) faults.push(unsigned)
  return { ended, faults }
}

/** What a cluster that stays loses when control planes end. */
export function loss(user: KeptCluster, planes: readonly string[]): Ending {
  const lost = user.controlPlanes.filter((plane) => planes.includes(plane))
  if (lost.length === 0) return { ended: [], faults: [] }
  const [first] = user.controlPlanes.filter((plane) => !planes.includes(plane))
  if (first !== undefined) {
    const effect = `would use ${lost.join(', ')} no more; first comes ${first}`
    return { ended: [{ kind: 'cluster', name: user.name, effect, blocks: true }], faults: [] }
  }
  const effect = 'would use no control plane: not even force does that'
  const fault = illegal(
    'uses-control-plane',
    `cluster ${quoted(user.name)} uses no other control plane than ${lost.join(', ')}`,
    { next: `entente cluster change ${user.name} --control-planes OTHERS` },
  )
  return { ended: [{ kind: 'cluster', name: user.name, effect, blocks: true }], faults: [fault] }
}
