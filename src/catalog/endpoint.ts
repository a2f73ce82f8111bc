import { type Locality } from '../mesh/topology/topology.ts'
import { type SpiffeId } from '../spiffe/spiffe-id.ts'

/**
 * Where a service listens, as somebody reported it.
 *
 * It is told by cluster, reporter, service, workload and port, never by its address: two networks may have the same.
 */
export interface ReportedEndpoint {
  readonly cluster: string
  readonly network: string
  readonly namespace: string
  readonly service: string
  /** What the platform calls the workload, as a pod's uid. */
  readonly workloadUid: string
  /** An IP address or DNS name in the network. */
  readonly address: string
  readonly port: number
  /** The name of the service's port that it stands for. */
  readonly portName: string
  readonly locality: Locality
  readonly weight: number
  readonly isHealthy: boolean
  readonly reporter: SpiffeId
  /** Later it is stale and counts no more, unless its reporter is heard again. */
  readonly freshUntil: Date
}

/** Where a peer's mesh takes calls for a service it offers: never the address of a workload. */
export interface OfferGateway {
  /** IP address or DNS name. */
  readonly address: string
  readonly port: number
  readonly region?: string
  readonly zone?: string
  readonly weight?: number
}
