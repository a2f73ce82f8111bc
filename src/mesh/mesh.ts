import type { MeshId } from '../db/ids.ts'
import type { ProfileName } from '../spiffe/endpoint-profile.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import type { MeshSettings } from './settings.ts'

/** A mesh of this service. */
export interface Mesh {
  readonly meshId: MeshId
  readonly displayName: string
  /** The suffix of the host names of imported services. */
  readonly dnsSuffix: string
  readonly environment: string | undefined
  readonly settings: MeshSettings
  /** The availability tier, 1 to 5, below which the mesh's control planes are not meant to fall. */
  readonly availabilityTarget: number | undefined
  readonly version: bigint
  readonly createdAt: Date
}

/** A trust domain of a mesh: one root set, one published bundle. */
export interface MeshTrustDomain {
  readonly name: TrustDomain
  readonly meshId: MeshId
  readonly isPrimary: boolean
  readonly issuer: 'managed' | 'observed'
  /** Where the authorities of the system that signs, or signed, for it besides us are read from. */
  readonly observedFrom: string | undefined
  /** The host of its bundle endpoint; undefined = advertised at the primary host of its mesh (FE-24). */
  readonly bundleHost: string | undefined
  /** Base of the URLs under that host, once the mesh has moved; undefined = that of the service's own URLs. */
  readonly baseUrl: string | undefined
  /** Hosts that it has left and still answers under. */
  readonly formerHosts: readonly string[]
  readonly profile: ProfileName
  /** Order of creation in the service. */
  readonly madeNr: bigint
  readonly createdAt: Date
}

/** A cluster of a mesh: where an intermediate signs. */
export interface Cluster {
  readonly name: string
  readonly role: 'primary' | 'remote'
  readonly state: 'active' | 'draining' | 'disabled'
  readonly issuing: 'managed' | 'delegated'
}

/** The cluster that every new mesh has. */
export const FIRST_CLUSTER = 'default'
