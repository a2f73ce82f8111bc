import type { ClusterTable, OperatingState } from '../../db/schema.ts'

/** Where something runs; a zone lies in a region, a subzone in a zone. */
export interface Locality {
  readonly region?: string
  readonly zone?: string
  readonly subzone?: string
}

/** Something that may promise to be heard regularly. */
export interface Heard {
  /** Seconds between two heartbeats as promised; undefined = nobody listens for it and it counts as alive. */
  readonly heartbeatSeconds: number | undefined
  readonly seenAt: Date | undefined
}

/** A cluster in its mesh. */
export interface TopologyCluster {
  readonly name: string
  readonly role: ClusterTable['role']
  readonly state: OperatingState
  readonly locality: Locality
  readonly networks: readonly string[]
  /** Names of the control planes that it uses, by rank. */
  readonly controlPlanes: readonly string[]
}

/** A network: within one, workloads reach each other's addresses. */
export interface TopologyNetwork {
  readonly name: string
  /** The same for the rows of all meshes that share the network. */
  readonly sharedName: string | undefined
  /** Whether its addresses may be used from other clusters in it; else only its gateways are. */
  readonly isDirectlyReachable: boolean
}

/** A way into a network from outside. */
export interface TopologyGateway extends Heard {
  readonly name: string
  readonly network: string
  /** The cluster that runs it. */
  readonly cluster: string | undefined
  readonly address: string
  readonly port: number
  readonly locality: Locality
  readonly sniMode: 'auto-passthrough' | 'hostname'
  readonly weight: number
  readonly state: OperatingState
}

/** A control plane of a mesh. */
export interface TopologyControlPlane extends Heard {
  readonly name: string
  readonly type: 'primary' | 'external' | 'managed'
  /** The cluster that a primary one runs in. */
  readonly cluster: string | undefined
  readonly address: string | undefined
  readonly locality: Locality
  readonly state: OperatingState
}

/** The shape of a mesh: its clusters, networks, gateways and control planes. */
export interface Topology {
  readonly clusters: ReadonlyMap<string, TopologyCluster>
  readonly networks: ReadonlyMap<string, TopologyNetwork>
  readonly gateways: readonly TopologyGateway[]
  readonly controlPlanes: ReadonlyMap<string, TopologyControlPlane>
}

/** Where something is: as is said of it, else where the cluster is that runs it. */
export function localityIn(
  { clusters }: Pick<Topology, 'clusters'>,
  { locality, cluster }: { readonly locality: Locality; readonly cluster: string | undefined },
): Locality {
  if (locality.region !== undefined || cluster === undefined) return locality
  return clusters.get(cluster)?.locality ?? locality
}

/** Heartbeats that may be missed before something counts as gone. */
const MISSED = 3

/** Whether something was heard within three of its promised heartbeats; what promised nothing is. */
export function isHeard({ heartbeatSeconds, seenAt }: Heard, now: Date): boolean {
  if (heartbeatSeconds === undefined) return true
  return (
    seenAt !== undefined && now.getTime() - seenAt.getTime() <= MISSED * heartbeatSeconds * 1000
  )
}
