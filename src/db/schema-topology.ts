import type { Generated } from 'kysely'
import type { MeshId } from './ids.ts'

/** Whether a cluster, control plane or gateway takes traffic. */
export type OperatingState = 'active' | 'draining' | 'disabled'

/** Where something runs; a zone lies in a region, a subzone in a zone. */
interface LocalityColumns {
  region: string | null
  zone: string | null
}

/** Clusters of a mesh: each has an intermediate that signs for it. */
export interface ClusterTable extends LocalityColumns {
  mesh_id: MeshId
  name: string
  role: 'primary' | 'remote'
  subzone: Generated<string | null>
  state: OperatingState
  issuing: 'managed' | 'delegated'
  version: Generated<bigint>
  created_at: Date
}

/** Control planes of a mesh. */
export interface ControlPlaneTable extends LocalityColumns {
  mesh_id: MeshId
  name: string
  kind: 'primary' | 'external' | 'managed'
  /** The cluster that a primary one runs in; external and managed ones run in none of the mesh. */
  cluster: string | null
  address: string | null
  state: OperatingState
  /** How often it promises to be heard; null = nobody listens for it. */
  heartbeat_seconds: number | null
  seen_at: Date | null
  version: Generated<bigint>
  created_at: Date
}

/** Which control planes a cluster uses, in which order. */
export interface ClusterControlPlaneTable {
  mesh_id: MeshId
  cluster: string
  control_plane: string
  /** 1 comes first. */
  rank: number
}

/** Networks: within one, workloads reach each other's addresses. */
export interface NetworkTable {
  mesh_id: MeshId
  name: string
  /** The same for the rows of all meshes that share the network. */
  shared_name: string | null
  directly_reachable: Generated<boolean>
  version: Generated<bigint>
  created_at: Date
}

/** Which networks a cluster is in. */
export interface ClusterNetworkTable {
  mesh_id: MeshId
  cluster: string
  network: string
}

/** Ways into a network from outside. */
export interface GatewayTable extends LocalityColumns {
  mesh_id: MeshId
  name: string
  network: string
  /** The cluster that runs it, whose reporter may say that it lives. */
  cluster: string | null
  address: string
  port: number
  subzone: string | null
  sni_mode: 'auto-passthrough' | 'hostname'
  weight: Generated<number>
  state: OperatingState
  heartbeat_seconds: number | null
  seen_at: Date | null
  version: Generated<bigint>
  created_at: Date
}
