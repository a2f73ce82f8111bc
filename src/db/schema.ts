import type { ColumnType, Generated, Kysely } from 'kysely'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import type { MeshId } from './ids.ts'
import type { Json } from './json-column.ts'
import type {
  ApiTokenTable,
  AuditLinkTable,
  AuditRecordTable,
  GrantsTable,
  QuotaTable,
  SvidUsageTable,
} from './schema-access.ts'
import type {
  AlertTable,
  BundleForecastTable,
  WebhookDeliveryTable,
  WebhookTable,
} from './schema-alerts.ts'
import type {
  AppliedObjectTable,
  IdempotencyKeyTable,
  PeerGroupMemberTable,
  PeerGroupTable,
} from './schema-declarative.ts'
import type { DistrustedKeyTable, RelayBundleTable } from './schema-distrust.ts'
import type {
  AnnouncedBundleTable,
  BundleHostAliasTable,
  PeerCallJtiTable,
  PeerExchangeTable,
  PeerNoticeTable,
} from './schema-exchange.ts'
import type {
  EgressRuleTable,
  PeerBundleRevisionTable,
  PollTable,
  RelationshipDomainTable,
  RelationshipProposalTable,
  RelationshipTable,
} from './schema-federation.ts'
import type { EntryTable, JoinTokenTable, SvidIssuedTable } from './schema-identity.ts'
import type { InviteAcceptanceTable, InviteTable } from './schema-invites.ts'
import type {
  EndpointReporterTable,
  EndpointTable,
  OfferTable,
  PolicyChangeTable,
  RuleGroupTable,
  RulePeerTable,
  RuleTable,
  ServiceIdentityTable,
  ServiceSourceTable,
  ServiceTable,
} from './schema-policy.ts'
import type {
  ClusterControlPlaneTable,
  ClusterNetworkTable,
  ClusterTable,
  ControlPlaneTable,
  GatewayTable,
  NetworkTable,
} from './schema-topology.ts'
import type {
  ChangeTable,
  LeaseTable,
  ReplicaBundleTable,
  ReplicaTable,
  ServiceMetaTable,
} from './schema-replicas.ts'
import type {
  RelationshipStandingTable,
  TrustHistoryTable,
  TrustSpanTable,
} from './schema-trust.ts'

export type {
  BundleSource,
  ChangePolicy,
  Consent,
  Disposition,
  EgressRuleTable,
  PeerBundleRevisionTable,
  PollTable,
  RelationshipDomainTable,
  RelationshipState,
  RelationshipTable,
  RevisionOrigin,
} from './schema-federation.ts'
export type { Severity } from './schema-alerts.ts'
export type { NoticeEndpoint, NoticeKind } from './schema-exchange.ts'
export type { FederatesWith } from './schema-identity.ts'
export type { ServicePort } from './schema-policy.ts'
export type { ClusterTable, OperatingState } from './schema-topology.ts'
export type { InviteReader, InviteTable } from './schema-invites.ts'

/** Life of one authority (a key that signs). */
export type AuthorityState = 'prepared' | 'active' | 'retired' | 'removed' | 'tainted' | 'revoked'

/** What an authority signs. */
export type AuthorityKind = 'x509_root' | 'x509_intermediate' | 'jwt'

/** Meshes, and which of their settings differ from the defaults. */
export interface MeshTable {
  mesh_id: MeshId
  display_name: string
  dns_suffix: string
  environment: string | null
  /** The availability tier, 1 to 5, that its owner wants; null = none declared. */
  availability_target: Generated<number | null>
  /** Only what differs from the defaults; shape in mesh/api.ts. */
  settings: Json<Record<string, number>>
  version: Generated<bigint>
  created_at: Date
}

/** Trust domains of ours, and where their bundles are published. */
export interface TrustDomainTable {
  name: TrustDomain
  mesh_id: MeshId
  is_primary: boolean
  issuer: 'managed' | 'observed'
  /** What signs, or signed, for it besides us: where its authorities are read from. */
  observed_from: Generated<string | null>
  bundle_host: string | null
  /** Base of the URLs under that host, once the mesh has moved; else that of the service's own URLs. */
  base_url: Generated<string | null>
  profile: 'https_web' | 'https_spiffe'
  /** Ways in which peers may renew its bundle; shape in federation/recovery/recovery.ts. */
  recovery: ColumnType<readonly unknown[], string | undefined, string>
  /** Order of creation in the service; the first made is the default for handshakes without a known name. */
  made_nr: Generated<bigint>
  created_at: Date
}

/** The authorities of a trust domain that another system signs for, as they are published. */
export interface ObservedBundleTable {
  mesh_id: MeshId
  trust_domain: TrustDomain
  document: Uint8Array
  changed_at: Date
}

/** Keys that sign, from their preparation to their removal. */
export interface AuthorityTable {
  mesh_id: MeshId
  id: string
  trust_domain: TrustDomain
  kind: AuthorityKind
  cluster: string | null
  /** The root that signed this intermediate. */
  parent_id: string | null
  state: AuthorityState
  not_before: Date
  not_after: Date
  /** DER of the CA certificate; null for JWT keys. */
  certificate: Uint8Array | null
  /** DER SubjectPublicKeyInfo. */
  public_key: Uint8Array
  /** RFC 7638 thumbprint; the `kid` of JWT keys, and our stable name of any key. */
  key_id: string
  /** PKCS#8 under the KEK; null once erased. */
  sealed_key: Uint8Array | null
  prepared_at: Date
  /** Bundle sequence with which it was first published; null for intermediates. */
  published_sequence: bigint | null
  published_at: Date | null
  activated_at: Date | null
  retired_at: Date | null
  /** Fixed when it retires: from then on nothing signed under it may still be in use. */
  remove_at: Date | null
  removed_at: Date | null
  /** Activated at the deadline although a condition did not hold. */
  forced: Generated<boolean>
  /** An intermediate that signs endpoint SVIDs only, until its root leaves. */
  endpoint_only: Generated<boolean>
}

/** Every published state of our own bundles, as bytes. */
export interface BundleRevisionTable {
  mesh_id: MeshId
  trust_domain: TrustDomain
  sequence: bigint
  document: Uint8Array
  /** SHA-256 of the document. */
  digest: Uint8Array
  hint_seconds: number
  cause: string
  created_at: Date
}

/** An address that a reader fetched from, and when last. */
export interface ReaderSource {
  readonly address: string
  readonly lastAt: string
}

/** Who fetches a bundle of ours by a URL of its own, and what it fetched. */
export interface ReaderTable {
  mesh_id: MeshId
  trust_domain: TrustDomain
  id: string
  label: string
  kind: 'relationship' | 'manual'
  relationship_id: string | null
  first_at: Date | null
  last_at: Date | null
  fetches: Generated<bigint>
  /** Newest sequence that it certainly holds. */
  sequence: bigint | null
  /** Addresses that it fetched from, the newest first, at most 16. */
  sources: ColumnType<readonly ReaderSource[], string | undefined, string>
  /** The host by which it last came, as it wrote it. */
  last_host: Generated<string | null>
  created_at: Date
}

/** Secrets of the whole service, sealed under the KEK. */
export interface SecretTable {
  name: string
  sealed: Uint8Array
  created_at: Date
}

/** All tables of the service; the migrations in `migrations/` make them. */
export interface Tables {
  mesh: MeshTable
  trust_domain: TrustDomainTable
  observed_bundle: ObservedBundleTable
  cluster: ClusterTable
  control_plane: ControlPlaneTable
  cluster_control_plane: ClusterControlPlaneTable
  network: NetworkTable
  cluster_network: ClusterNetworkTable
  gateway: GatewayTable
  authority: AuthorityTable
  bundle_revision: BundleRevisionTable
  reader: ReaderTable
  secret: SecretTable
  relationship: RelationshipTable
  relationship_domain: RelationshipDomainTable
  relationship_proposal: RelationshipProposalTable
  poll: PollTable
  peer_bundle_revision: PeerBundleRevisionTable
  entry: EntryTable
  join_token: JoinTokenTable
  svid_issued: SvidIssuedTable
  service: ServiceTable
  service_identity: ServiceIdentityTable
  service_source: ServiceSourceTable
  offer: OfferTable
  rule: RuleTable
  rule_peer: RulePeerTable
  rule_group: RuleGroupTable
  policy_change: PolicyChangeTable
  endpoint_reporter: EndpointReporterTable
  endpoint: EndpointTable
  api_token: ApiTokenTable
  grants: GrantsTable
  quota: QuotaTable
  svid_usage: SvidUsageTable
  egress_rule: EgressRuleTable
  relationship_standing: RelationshipStandingTable
  trust_span: TrustSpanTable
  trust_history: TrustHistoryTable
  invite: InviteTable
  invite_acceptance: InviteAcceptanceTable
  peer_exchange: PeerExchangeTable
  peer_call_jti: PeerCallJtiTable
  peer_notice: PeerNoticeTable
  announced_bundle: AnnouncedBundleTable
  bundle_host_alias: BundleHostAliasTable
  distrusted_key: DistrustedKeyTable
  relay_bundle: RelayBundleTable
  peer_group: PeerGroupTable
  peer_group_member: PeerGroupMemberTable
  applied_object: AppliedObjectTable
  idempotency_key: IdempotencyKeyTable
  alert: AlertTable
  bundle_forecast: BundleForecastTable
  webhook: WebhookTable
  webhook_delivery: WebhookDeliveryTable
  audit_record: AuditRecordTable
  audit_link: AuditLinkTable
  lease: LeaseTable
  replica: ReplicaTable
  replica_bundle: ReplicaBundleTable
  change: ChangeTable
  service_meta: ServiceMetaTable
}

/** A handle for queries: the pool, or a transaction of it. */
export type Db = Kysely<Tables>
