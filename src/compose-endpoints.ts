import { randomBytes } from 'node:crypto'
import { EndpointContexts } from './authority/endpoint-contexts.ts'
import { authorityFounder, republishOnSettings } from './authority/found.ts'
import { rotateAll } from './authority/rotate.ts'
import { authorityRoutes } from './authority/routes.ts'
import { Signers } from './authority/signers.ts'
import { CurrentBundles } from './bundle/current.ts'
import { bundleEndpointRoutes } from './bundle/endpoint-routes.ts'
import { FormerHosts } from './bundle/former-hosts.ts'
import { KnownUrls } from './bundle/known-urls.ts'
import { ReaderCounts } from './bundle/reader-counts.ts'
import { READER_SECRET } from './bundle/reader-ref.ts'
import { readerRoutes } from './bundle/reader-routes.ts'
import { ReplicaPresence } from './bundle/replica.ts'
import { bundleRoutes } from './bundle/routes.ts'
import type { Base } from './compose-base.ts'
import { loadOrCreateSecret } from './db/keyring.ts'
import type { App } from './http/listener.ts'
import { SniContexts } from './http/tls.ts'
import { WebCertificate } from './http/tls-files.ts'
import { hostOf } from './mesh/bundle-host.ts'
import type { Dependants, FindCrossings, Founder, MeshEnder } from './mesh/hooks.ts'
import { meshRoutes } from './mesh/routes.ts'
import { trustDomainRoutes } from './mesh/trust-domain-routes.ts'
import { startTicker, type Ticker } from './ticker.ts'

/** Our own side of every mesh: its bundle, its keys and what the listeners present. */
export interface Endpoints {
  readonly bundles: CurrentBundles
  readonly readers: ReaderCounts
  /** Who still comes by a host that a mesh has left. */
  readonly formerHosts: FormerHosts
  /** The secret behind reader URLs. */
  readonly readerSecret: Uint8Array
  /** Bundle URLs that are answered ahead of routing. */
  readonly urls: KnownUrls
  readonly signers: Signers
  readonly contexts: EndpointContexts
  readonly federationTls: SniContexts
  readonly workloadTls: SniContexts
  readonly webCertificate: WebCertificate | undefined
  readonly presence: ReplicaPresence
  /** Runs the endpoint ticker soon. */
  kick: () => void
}

/** Makes them; nothing is loaded yet. */
export async function buildEndpoints(base: Base, workloadUrl: string): Promise<Endpoints> {
  const { config, clock, now, log, alarms, keyring, changes, replicaId, database } = base
  const db = database.background
  const secret = { name: READER_SECRET, make: () => randomBytes(32) }
  const readers = new ReaderCounts({ db, now, clock })
  const formerHosts = new FormerHosts({ db, now, clock, changes })
  const federationTls = new SniContexts()
  const workloadTls = new SniContexts()
  const staleSeconds = config.SERVE_STALE_SECONDS
  const bundles = new CurrentBundles({ db, changes, clock, log, staleSeconds, replicaId })
  changes.on('bundle', (meshId) => readers.forget(meshId))
  const contexts: EndpointContexts = new EndpointContexts({
    db,
    now,
    clock,
    keyring,
    changes,
    alarms,
    federation: federationTls,
    workload: workloadTls,
    workloadHost: hostOf(workloadUrl),
    defaultTls: config.DEFAULT_TLS,
    webCertificate: () => endpoints.webCertificate?.current,
    onDirty: () => endpoints.kick(),
  })
  const endpoints: Endpoints = {
    bundles,
    readers,
    formerHosts,
    readerSecret: await loadOrCreateSecret(database.db, keyring, secret),
    urls: new KnownUrls({
      bundles,
      readers,
      formerHosts,
      fetches: base.metrics.bundleFetches,
      log,
    }),
    signers: new Signers({ db: database.db, keyring, clock, changes }),
    contexts,
    federationTls,
    workloadTls,
    webCertificate: webCertificateOf(base, contexts),
    presence: new ReplicaPresence({ db, now, replicaId }),
    kick: () => undefined,
  }
  return endpoints
}

function webCertificateOf(base: Base, contexts: EndpointContexts): WebCertificate | undefined {
  const { WEB_CERT_FILE: certFile, WEB_KEY_FILE: keyFile } = base.config
  if (certFile === undefined || keyFile === undefined) return undefined
  const { clock, alarms } = base
  return new WebCertificate({
    certFile,
    keyFile,
    clock,
    alarms,
    hosts: () => contexts.webHosts(),
    onChange: () => contexts.markAllDirty(),
  })
}

/** Loads bundles and certificates; called when changes are heard already, before anything listens. */
export async function loadEndpoints(endpoints: Endpoints): Promise<void> {
  await endpoints.presence.beat()
  await endpoints.bundles.start()
  await endpoints.formerHosts.flush()
  await endpoints.webCertificate?.refresh()
  await endpoints.contexts.refresh()
}

/** Ends what they do by themselves and writes down what is still counted. */
export async function stopEndpoints(endpoints: Endpoints): Promise<void> {
  await endpoints.bundles.stop()
  await Promise.allSettled([
    endpoints.readers.flush(),
    endpoints.formerHosts.flush(),
    endpoints.presence.leave(),
  ])
}

/** Lifecycle of authorities, endpoint certificates, and what is written down once a second. */
export function endpointTickers(base: Base, endpoints: Endpoints): readonly Ticker[] {
  const { clock, log, now, keyring, alarms, metrics, config, database } = base
  const { contexts, webCertificate, bundles, readers, formerHosts, presence } = endpoints
  const db = database.background
  const rotation = { db, now, clock, keyring, alarms, metrics, log }
  const certificates = startTicker({
    name: 'endpoint-certificates',
    everyMs: 1000,
    clock,
    log,
    run: async () => {
      await webCertificate?.refresh()
      await contexts.refresh()
    },
  })
  endpoints.kick = () => certificates.kick()
  return [
    certificates,
    startTicker({
      name: 'authority-rotation',
      everyMs: config.LIFECYCLE_TICK_SECONDS * 1000,
      clock,
      log,
      run: (signal) => rotateAll(rotation, signal),
    }),
    startTicker({
      name: 'bundle-accesses',
      everyMs: 1000,
      clock,
      log,
      run: async () => {
        await readers.flush()
        await formerHosts.flush()
        await bundles.report()
      },
    }),
    startTicker({
      name: 'replica-presence',
      everyMs: 5000,
      clock,
      log,
      run: () => presence.beat(),
    }),
  ]
}

/** What higher features add to the making and ending of a mesh. */
export interface MeshHooks {
  readonly founders: readonly Founder[]
  readonly crossings: FindCrossings
  readonly dependants: readonly Dependants[]
  readonly enders: readonly MeshEnder[]
}

/** Mounts the admin routes of meshes, authorities and bundles. */
export function mountEndpointAdmin(
  v1: App,
  base: Base,
  { endpoints, hooks }: { readonly endpoints: Endpoints; readonly hooks: MeshHooks },
): void {
  const { now, keyring, config, database } = base
  const { db } = database
  const { PUBLIC_URL: publicUrl } = config
  const { readerSecret, webCertificate } = endpoints
  v1.register(meshRoutes, {
    db,
    now,
    publicUrl,
    defaultSettings: {},
    hasWebCertificate: webCertificate !== undefined,
    founders: [authorityFounder(keyring), ...hooks.founders],
    followers: [republishOnSettings],
    crossings: hooks.crossings,
    dependants: hooks.dependants,
    enders: hooks.enders,
  })
  v1.register(trustDomainRoutes, { db, publicUrl })
  v1.register(authorityRoutes, { db, now, keyring })
  v1.register(bundleRoutes, { db, publicUrl })
  v1.register(readerRoutes, { db, now, publicUrl, readerSecret })
}

/** Mounts the bundle endpoint. */
export function mountBundleEndpoint(app: App, base: Base, endpoints: Endpoints): void {
  const { bundles, readers, formerHosts, readerSecret, urls } = endpoints
  const fetches = base.metrics.bundleFetches
  app.register(bundleEndpointRoutes, { bundles, readers, formerHosts, readerSecret, fetches, urls })
}
