import { type MeshId } from '../db/ids.ts'
import {
  type BundleSource,
  type ChangePolicy,
  type Consent,
  type RelationshipState,
} from '../db/schema.ts'
import { type EndpointUrl } from '../spiffe/endpoint-profile.ts'
import { type SpiffeId } from '../spiffe/spiffe-id.ts'
import { type TrustDomain } from '../spiffe/trust-domain.ts'
import { type ReadDocument } from './poll/accept-bundle.ts'
import { type OwnerData, type OwnerDraft } from './owner-data.ts'
import { type RecoveryDraft, type RecoveryPath } from './recovery/recovery.ts'

/** How one trust domain of a peer is fetched; pinned for the life of the relationship (FE-08). */
export interface RelationshipDomain {
  readonly trustDomain: TrustDomain
  readonly source: BundleSource
  readonly endpointUrl: EndpointUrl | undefined
  readonly endpointId: SpiffeId | undefined
  /** Our reader row for this peer, by which its fetches of our bundle show. */
  readonly readerId: string | undefined
  /** Names this domain in the relay URL for our own control planes. */
  readonly relayId: string
  /** SHA-256 of the first bundle that counted; pinned. */
  readonly firstDigest: Uint8Array | undefined
  /** Tried in this order once the endpoint can no longer be authenticated; pinned like the rest. */
  readonly recovery: readonly RecoveryPath[]
}

/** Who calls us on behalf of an Entente peer, and where it takes our calls. */
export interface Exchange {
  readonly id: SpiffeId
  readonly url: EndpointUrl
}

/** Our standing with one peer mesh; one-way (FE-09). */
export interface Relationship extends OwnerData {
  readonly meshId: MeshId
  readonly id: string
  /** Our name for the peer, unique in the mesh. */
  readonly name: string
  /** A peer, or the system that signs for a trust domain of this mesh, which is polled and judged alike. */
  readonly purpose: 'peer' | 'source'
  readonly generation: bigint
  readonly peerMeshName: string | undefined
  readonly ourConsent: Consent
  readonly theirConsent: Consent
  readonly state: RelationshipState
  readonly changePolicy: ChangePolicy
  /** Suspended by our own operator, apart from any consent. */
  readonly onHold: boolean
  /** Why it is suspended or terminated, for people. */
  readonly standingReason: string | undefined
  /** Absent for peers that do not speak Entente, and until the handshake. */
  readonly exchange: Exchange | undefined
  readonly hintMinSeconds: number | undefined
  readonly hintMaxSeconds: number | undefined
  readonly version: bigint
  readonly createdAt: Date
  readonly activatedAt: Date | undefined
  readonly terminatedAt: Date | undefined
  readonly domains: readonly RelationshipDomain[]
}

/** One trust domain of a relationship as somebody wrote it. */
export interface DomainDraft {
  readonly trustDomain: string
  readonly source: BundleSource
  readonly endpointUrl?: string
  readonly endpointSpiffeId?: string
  /** Text of a SPIFFE bundle, given by hand. */
  readonly bundle?: string
  /** X.509 authorities as PEM certificates, given by hand. */
  readonly bundlePem?: string
  readonly recovery?: readonly RecoveryDraft[]
}

/** A relationship as somebody wrote it. */
export interface RelationshipDraft extends HintRange, OwnerDraft {
  readonly name: string
  readonly peerMeshName?: string
  /** Default `auto`. */
  readonly changePolicy?: ChangePolicy
  readonly domains: readonly DomainDraft[]
}

/** The limits within which a peer's hint counts. */
export interface HintRange {
  readonly hintMinSeconds?: number | null | undefined
  readonly hintMaxSeconds?: number | null | undefined
}

/** A domain that may become part of a relationship, with the bundle given by hand. */
export interface NewDomain extends Omit<
  RelationshipDomain,
  'readerId' | 'relayId' | 'firstDigest'
> {
  readonly given: ReadDocument | undefined
}

/** The trust domain in which each domain's endpoint stands; undefined where no SPIFFE ID authenticates a fetch. */
export type EndpointDomains = ReadonlyMap<TrustDomain, TrustDomain | undefined>

/** What a draft is judged against. */
export interface DraftContext {
  /** The trust domains of this mesh. */
  readonly own: ReadonlySet<TrustDomain>
  /** Domains that this mesh already federates with, and the relationship's name. */
  readonly federated: ReadonlyMap<TrustDomain, string>
  /** Where the endpoints of those domains stand that are not terminated (FE-25). */
  readonly endpoints: EndpointDomains
  /** The meshes of this service to which drafted domains belong. */
  readonly local: ReadonlyMap<TrustDomain, MeshId>
  /** Domains of the relationship that is to change whose stored bundle can authenticate: they need no other. */
  readonly held: ReadonlySet<TrustDomain>
  /** Keys (SHA-256, hex) that the mesh trusts nowhere: a bundle of nothing else authenticates no first fetch. */
  readonly distrusted?: ReadonlySet<string>
  readonly now: Date
}

/** Why an unproven relationship waits, for people. */
export const UNPROVEN_REASON = "the invite's handshake is not proven yet"

/**
 * Whether a relationship comes from an invite whose inviter has not proven its answer: nothing that it tells of the
 * peer is believed, so it has no exchange, no polls, no bundles, and our consent cannot be given by hand.
 */
export function isUnproven({
  ourConsent,
  exchange,
}: Pick<Relationship, 'ourConsent' | 'exchange'>): boolean {
  return ourConsent === 'pending' && exchange === undefined
}

/** Whether the bundles of a source are fetched on a schedule. */
export function isPolled(source: BundleSource): boolean {
  return source === 'https_web' || source === 'https_spiffe'
}
