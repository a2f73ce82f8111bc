import { isIP } from 'node:net'
import type { MeshId } from '../db/ids.ts'
import { quoted, ServiceError } from '../errors.ts'
import { dnsNameFault } from '../pki/dns-name.ts'
import { bundleEndpointId, type SpiffeId } from '../spiffe/spiffe-id.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import type { MeshTrustDomain } from './mesh.ts'

const LOCALHOST = 'localhost'

/** Whether a name belongs to this machine alone (RFC 6761 §6.3). */
export function isLocalhost(host: string): boolean {
  return host === LOCALHOST || host.endsWith('.localhost')
}

/** The host of a URL, without the brackets of an IPv6 address. */
export function hostOf(url: string): string {
  return new URL(url).hostname.replace(/^\[(.*)\]$/, '$1')
}

/**
 * Reads the host of a bundle endpoint: a DNS name in lower case or an IP address, without a port.
 *
 * Throws INVALID_REQUEST.
 */
export function parseBundleHost(text: string): string {
  const host = text.replace(/^\[(.*)\]$/, '$1')
  if (isIP(host) !== 0 || dnsNameFault(host) === undefined) return host
  throw new ServiceError(
    'INVALID_REQUEST',
    `bundle host ${quoted(text)} must be a DNS name in lower case or an IP address, without a port`,
    { fields: [{ in: 'body', pointer: '/bundleHost', detail: 'is no host name' }] },
  )
}

/**
 * The host of a new mesh's bundle endpoint when none was named.
 *
 * Where the service has a DNS name that is `<meshId>.<public host>`, one wildcard record for all meshes.
 * localhost and IP addresses have no such record: the first domain takes the bare host, on localhost every
 * later one `<meshId>.localhost`; with an IP address a later one must name a host (INVALID_REQUEST).
 */
export function defaultBundleHost(
  meshId: MeshId,
  publicHost: string,
  isTaken: (host: string) => boolean,
): string {
  if (isIP(publicHost) === 0 && !isLocalhost(publicHost)) return `${meshId}.${publicHost}`
  if (!isTaken(publicHost)) return publicHost
  if (isIP(publicHost) === 0) return `${meshId}.${LOCALHOST}`
  throw new ServiceError(
    'INVALID_REQUEST',
    `another mesh is served at ${publicHost} already, and names cannot be put before an IP address`,
    {
      next: `add --bundle-host with a DNS name that leads to ${publicHost}`,
      fields: [{ in: 'body', pointer: '/bundleHost', detail: 'is required here' }],
    },
  )
}

/** Where peers fetch a trust domain's bundle, and whom they meet there. */
export interface BundleEndpoint {
  readonly url: string
  readonly host: string
  readonly profile: MeshTrustDomain['profile']
  /** The SPIFFE ID that the endpoint presents; undefined under https_web. */
  readonly endpointSpiffeId: SpiffeId | undefined
  /** Whether the endpoint stands under the domain whose bundle it serves. */
  readonly selfServing: boolean
}

/**
 * The bundle endpoint of a trust domain. A domain without a host of its own is served at its mesh's primary
 * host, whose identity then is the primary domain's: not self-serving (FE-24).
 */
export function bundleEndpointOf(
  domain: MeshTrustDomain,
  primary: MeshTrustDomain,
  publicUrl: string,
): BundleEndpoint {
  const serving = domain.bundleHost === undefined ? primary : domain
  const host = serving.bundleHost ?? hostOf(publicUrl)
  return {
    url: `${serving.baseUrl ?? baseUrl(host, publicUrl)}/bundles/${domain.name}`,
    host,
    profile: serving.profile,
    endpointSpiffeId:
      serving.profile === 'https_spiffe' ? bundleEndpointId(serving.name) : undefined,
    selfServing: serving === domain,
  }
}

function baseUrl(host: string, publicUrl: string): string {
  const { port, pathname } = new URL(publicUrl)
  const name = isIP(host) === 6 ? `[${host}]` : host
  return `https://${name}${port === '' ? '' : `:${port}`}${pathname.replace(/\/+$/, '')}`
}

/**
 * Refuses the name that no trust domain which we sign for can have, although SPIFFE allows it (TRUST_DOMAIN_INVALID):
 * `cluster.local`, the name every mesh was born with and so the one that collides most.
 */
export function checkManagedName(name: TrustDomain): void {
  if (name !== 'cluster.local') return
  throw new ServiceError(
    'TRUST_DOMAIN_INVALID',
    'trust domain "cluster.local" is the default of every mesh, so it cannot be federated: two meshes of that name cannot tell each other apart',
    { next: 'choose a name that you own, such as mesh.example.com' },
  )
}

/** Refuses `.` and `..`, which no URL path can hold, so that no bundle of theirs could be fetched (TRUST_DOMAIN_INVALID). */
export function checkPathName(name: TrustDomain): void {
  if (name !== '.' && name !== '..') return
  throw new ServiceError(
    'TRUST_DOMAIN_INVALID',
    `trust domain ${quoted(name)} cannot stand in the path of a bundle endpoint URL`,
    { next: 'choose a name such as mesh.example.com' },
  )
}
