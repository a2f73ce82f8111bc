import type { Clock } from '../clock.ts'
import type { Changes } from '../db/changes.ts'
import type { MeshId } from '../db/ids.ts'
import type { Keyring } from '../db/keyring.ts'
import type { Db } from '../db/schema.ts'
import type { DbClock } from '../db/time.ts'
import { isServiceError, messageOf } from '../errors.ts'
import type { Alarms } from '../http/alarms.ts'
import type { KeyedCertificate, SniContexts } from '../http/tls.ts'
import { allTrustDomains, loadMesh } from '../mesh/find-mesh.ts'
import type { MeshTrustDomain } from '../mesh/mesh.ts'
import { toPem } from '../pki/certificate.ts'
import { dnsNameFault } from '../pki/dns-name.ts'
import { bundleEndpointId, workloadEndpointId } from '../spiffe/spiffe-id.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import { findEndpointIssuer } from './endpoint-issuer.ts'
import {
  type EndpointSvid,
  issueEndpointSvid,
  keyPemOf,
  type OpenedEndpointIssuer,
  openEndpointIssuer,
} from './endpoint-svid.ts'

/** What {@link EndpointContexts} needs. */
export interface EndpointContextsOptions {
  /** The background handle. */
  readonly db: Db
  readonly now: DbClock
  readonly clock: Clock
  readonly keyring: Keyring
  readonly changes: Pick<Changes, 'on'>
  readonly alarms: Alarms
  readonly federation: SniContexts
  readonly workload: SniContexts
  /** Host under which workloads reach the service, beside the hosts of the trust domains. */
  readonly workloadHost: string
  /** `web` or a trust domain: whose certificate a handshake without a known name gets; default the first made. */
  readonly defaultTls: string | undefined
  /** The pair of the https_web profile, while there is one. */
  readonly webCertificate: () => KeyedCertificate | undefined
  /** Called when something changed, to do the work soon. */
  readonly onDirty: () => void
}

interface Standing {
  readonly domain: MeshTrustDomain
  readonly issuerId: string
  readonly bundle: EndpointSvid
  readonly workload: EndpointSvid
  /** As the listeners present them; the same objects while the SVIDs stay. */
  readonly pairs: { readonly bundle: KeyedCertificate; readonly workload: KeyedCertificate }
}

/**
 * Keeps the certificates of the federation and workload listeners: one SVID per trust domain and listener, made
 * and renewed by each replica for itself, and presented by server name.
 *
 * The SVIDs stand under the oldest published root that still lives, so they move when that root is removed.
 */
export class EndpointContexts {
  readonly #options: EndpointContextsOptions
  readonly #standing = new Map<TrustDomain, Standing>()
  readonly #dirty = new Set<MeshId>()
  #all = true

  constructor(options: EndpointContextsOptions) {
    this.#options = options
    for (const topic of ['bundle', 'mesh'] as const) {
      options.changes.on(topic, (meshId) => {
        this.#dirty.add(meshId)
        options.onDirty()
      })
    }
  }

  /** Has the next {@link refresh} look at everything; called when certificate files changed. */
  markAllDirty(): void {
    this.#all = true
    this.#options.onDirty()
  }

  /** The SVID that a listener presents for a trust domain now. */
  svidOf(listener: 'federation' | 'workload', trustDomain: TrustDomain): EndpointSvid | undefined {
    const standing = this.#standing.get(trustDomain)
    return listener === 'federation' ? standing?.bundle : standing?.workload
  }

  /** Hosts that the https_web pair is presented for. */
  webHosts(): string[] {
    return [...this.#standing.values()].flatMap(({ domain }) =>
      domain.profile === 'https_web' ? hostsOf(domain) : [],
    )
  }

  /** One look: makes and renews what is due and shows it to the listeners. Cheap while nothing is. */
  async refresh(): Promise<void> {
    const local = this.#options.clock.now()
    const due = [...this.#standing.values()].filter((standing) => isDue(standing, local))
    if (!this.#all && this.#dirty.size === 0 && due.length === 0) return
    const { db, now } = this.#options
    const domains = await allTrustDomains(db)
    const moment = await now(db)
    const meshes = this.#all ? undefined : new Set(this.#dirty)
    this.#all = false
    this.#dirty.clear()
    this.#dropAllBut(domains)
    for (const domain of domains) {
      const looked = meshes?.has(domain.meshId) ?? true
      const renews = due.some((standing) => standing.domain.name === domain.name)
      if (domain.issuer === 'managed' && (looked || renews)) await this.#refreshOne(domain, moment)
    }
    this.#show(domains)
  }

  #dropAllBut(domains: readonly MeshTrustDomain[]): void {
    const names = new Set(domains.map(({ name }) => name))
    for (const name of this.#standing.keys()) if (!names.has(name)) this.#standing.delete(name)
  }

  // A trust domain whose keys cannot be opened keeps what it shows and must not hold up the others.
  async #refreshOne(domain: MeshTrustDomain, now: Date): Promise<void> {
    const { alarms } = this.#options
    try {
      this.#standing.set(domain.name, await this.#standingOf(domain, now))
      alarms.clear('endpoint-svid.failed', domain.name)
    } catch (error) {
      // While ours wait at the gate beside another system's, nothing of the domain is presented.
      const waits = domain.observedFrom !== undefined && isServiceError(error, 'ISSUER_UNAVAILABLE')
      if (waits) return
      const message = `no new SVID for its endpoints: ${messageOf(error)}`
      alarms.raise('endpoint-svid.failed', domain.name, { message })
      this.#dirty.add(domain.meshId)
    }
  }

  async #standingOf(domain: MeshTrustDomain, now: Date): Promise<Standing> {
    const { db, keyring } = this.#options
    const { meshId, name: trustDomain } = domain
    const chosen = await findEndpointIssuer(db, meshId, { trustDomain, now })
    const known = this.#standing.get(trustDomain)
    const stays =
      known !== undefined &&
      known.issuerId === chosen.intermediate.id &&
      hostsOf(known.domain).join() === hostsOf(domain).join() &&
      known.domain.meshId === meshId &&
      known.bundle.notAfter <= chosen.usableUntil &&
      !isDue(known, now)
    if (stays) return { ...known, domain }
    return this.#issue(await openEndpointIssuer(db, chosen, keyring), domain, now)
  }

  async #issue(from: OpenedEndpointIssuer, domain: MeshTrustDomain, now: Date): Promise<Standing> {
    const { settings } = await loadMesh(this.#options.db, domain.meshId)
    const request = { seconds: settings.endpointSvidSeconds, now }
    const hosts = hostsOf(domain).flatMap(dnsNamesOf)
    const reached = [...new Set([...hosts, ...dnsNamesOf(this.#options.workloadHost)])]
    const bundle = issueEndpointSvid(from, {
      ...request,
      id: bundleEndpointId(domain.name),
      dnsNames: hosts,
    })
    const workload = issueEndpointSvid(from, {
      ...request,
      id: workloadEndpointId(domain.name),
      dnsNames: reached,
    })
    return {
      domain,
      issuerId: from.intermediate.id,
      bundle,
      workload,
      pairs: {
        bundle: pairOf(bundle, [bundle.certificate, bundle.intermediate]),
        // With the root, so that a join token's hash of its key can be checked before any bundle is there.
        workload: pairOf(workload, [workload.certificate, workload.intermediate, workload.root]),
      },
    }
  }

  #show(domains: readonly MeshTrustDomain[]): void {
    const { federation, workload, workloadHost } = this.#options
    const fallback = this.#chooseDefault(domains)
    const forBundles = new Map<string, KeyedCertificate>()
    const forWorkloads = new Map<string, KeyedCertificate>()
    put(forWorkloads, workloadHost, fallback && this.#ofWorkloads(fallback))
    for (const domain of domains) {
      for (const host of hostsOf(domain)) {
        put(forBundles, host, this.#ofBundles(domain))
        put(forWorkloads, host, this.#ofWorkloads(domain))
      }
    }
    // Last, because our own clients ask by trust domain: a host of one that is the name of another gives way.
    for (const domain of domains) put(forWorkloads, domain.name, this.#ofWorkloads(domain))
    federation.replaceAll(forBundles)
    workload.replaceAll(forWorkloads)
    federation.setDefault(this.#federationDefault(fallback))
    workload.setDefault(fallback && this.#ofWorkloads(fallback))
  }

  #chooseDefault(domains: readonly MeshTrustDomain[]): MeshTrustDomain | undefined {
    const { defaultTls, alarms } = this.#options
    const [first] = domains
    if (defaultTls === undefined || defaultTls === 'web') return first
    const named = domains.find(({ name }) => name === defaultTls)
    if (named === undefined && first !== undefined) {
      const message = `ENTENTE_DEFAULT_TLS names no trust domain of ours; ${first.name} is used`
      alarms.raise('default-tls.unknown', defaultTls, { message, service: true })
    } else alarms.clear('default-tls.unknown', defaultTls)
    return named ?? first
  }

  #federationDefault(fallback: MeshTrustDomain | undefined): KeyedCertificate | undefined {
    if (fallback === undefined) return undefined
    const { defaultTls, webCertificate } = this.#options
    return defaultTls === 'web' ? webCertificate() : this.#ofBundles(fallback)
  }

  #ofBundles(domain: MeshTrustDomain): KeyedCertificate | undefined {
    if (domain.profile === 'https_web') return this.#options.webCertificate()
    return this.#standing.get(domain.name)?.pairs.bundle
  }

  #ofWorkloads(domain: MeshTrustDomain): KeyedCertificate | undefined {
    return this.#standing.get(domain.name)?.pairs.workload
  }
}

/** Hosts that a trust domain is reached by: its own, and those that it has left and still answers under. */
function hostsOf({ bundleHost, formerHosts }: MeshTrustDomain): string[] {
  return bundleHost === undefined ? [...formerHosts] : [bundleHost, ...formerHosts]
}

function put(into: Map<string, KeyedCertificate>, name?: string, pair?: KeyedCertificate): void {
  if (name !== undefined && pair !== undefined) into.set(name, pair)
}

function isDue({ bundle, workload }: Standing, now: Date): boolean {
  return bundle.renewAt <= now || workload.renewAt <= now
}

function pairOf(svid: EndpointSvid, chain: readonly Uint8Array[]): KeyedCertificate {
  return { cert: chain.map((der) => toPem(der)).join(''), key: keyPemOf(svid) }
}

function dnsNamesOf(host: string): string[] {
  return dnsNameFault(host) === undefined ? [host] : []
}
