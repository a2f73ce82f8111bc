import type { ColumnType, Generated } from 'kysely'
import type { SpiffeId } from '../spiffe/spiffe-id.ts'
import type { MeshId } from './ids.ts'
import type { Json } from './json-column.ts'

/** A port of a service. */
export interface ServicePort {
  readonly name: string
  readonly port: number
  readonly protocol?: string
}

/** Services of a mesh. */
export interface ServiceTable {
  mesh_id: MeshId
  namespace: string
  name: string
  ports: Json<readonly ServicePort[]>
  labels: ColumnType<Readonly<Record<string, string>>, string | undefined, string>
  /** What keeps it up to date, in the order of age; empty = people. */
  managed_by: ColumnType<readonly string[], string | undefined, string>
  version: Generated<bigint>
  created_at: Date
}

/** What each source says of a service that it keeps up to date; the service is made of all of them. */
export interface ServiceSourceTable {
  mesh_id: MeshId
  namespace: string
  name: string
  /** As `k8s:east`. */
  source: string
  /** Ports, identities and labels; shape in catalog/service.ts. */
  content: Json<unknown>
  /** When the source first saw it: of two that differ the older one counts. */
  created_at: Date
}

/** Who may serve a service. */
export interface ServiceIdentityTable {
  mesh_id: MeshId
  namespace: string
  name: string
  spiffe_id: SpiffeId
}

/** Services that peers show us. */
export interface OfferTable {
  mesh_id: MeshId
  relationship_id: string
  namespace: string
  name: string
  ports: Json<readonly ServicePort[]>
  server_ids: Json<readonly SpiffeId[]>
  labels: ColumnType<Readonly<Record<string, string>>, string | undefined, string>
  /** Where the peer's mesh takes calls for it; shape in catalog/service.ts. */
  gateways: ColumnType<readonly unknown[], string | undefined, string>
  source: 'manual' | 'exchange'
  created_at: Date
}

/** Rules on what is exported and imported. */
export interface RuleTable {
  mesh_id: MeshId
  id: string
  direction: 'export' | 'import'
  effect: 'allow' | 'deny'
  subject: Json<Record<string, unknown>>
  audience: 'all' | 'self' | 'peers'
  /** null = no narrowing. */
  callers: Json<Record<string, unknown>> | null
  priority: Generated<number>
  expires_at: Date | null
  note: string | null
  /** What its author calls it, unique for each owner scope. */
  name: Generated<string | null>
  /** Clusters that it is limited to; null = all. */
  clusters: ColumnType<readonly string[] | null, string | null | undefined, string | null>
  as_namespace: Generated<string | null>
  as_name: Generated<string | null>
  /** For imports: namespaces of ours that see it; null = all. */
  visible_to: ColumnType<readonly string[] | null, string | null | undefined, string | null>
  /** Namespaces that its author may speak for; null = the whole mesh. */
  owner_scope: ColumnType<readonly string[] | null, string | null | undefined, string | null>
  version: Generated<bigint>
  created_at: Date
  /** When a change last made it give names that it did not give before; null = since it was made. */
  names_since: Generated<Date | null>
}

/** Relationships that the audience of a rule names. */
export interface RulePeerTable {
  mesh_id: MeshId
  rule_id: string
  relationship_id: string
}

/** Groups of peers that the audience of a rule names. */
export interface RuleGroupTable {
  mesh_id: MeshId
  rule_id: string
  group_name: string
}

/** What changed of what decisions depend on, under the revision of the topic `rule`; kept for an hour (policy/snapshot/prune-changes.ts). */
export interface PolicyChangeTable {
  mesh_id: MeshId
  revision: bigint
  /** `service`, `offer`, `rule`; `all` = more than is worth naming. */
  kind: string
  key: string
  at: Generated<Date>
}

/** Who reports the endpoints of a cluster, and when it was last heard. */
export interface EndpointReporterTable {
  mesh_id: MeshId
  cluster: string
  /** Its SPIFFE ID. */
  reporter: SpiffeId
  /** Grows with every report that is accepted. */
  revision: bigint
  /** How long its endpoints count after it was last heard. */
  ttl_seconds: number
  /** The change counter `rule` when its last whole list was read; 0 = older than anybody counted. */
  catalog_revision: Generated<bigint>
  seen_at: Date
}

/** Where services listen, as reported. No address is a key: two networks may have the same. */
export interface EndpointTable {
  mesh_id: MeshId
  cluster: string
  reporter: SpiffeId
  namespace: string
  service: string
  workload_uid: string
  port: number
  port_name: string
  network: string
  address: string
  region: string | null
  zone: string | null
  subzone: string | null
  weight: Generated<number>
  is_healthy: Generated<boolean>
  reported_at: Date
}
