import { authorityFounder } from './authority/found.ts'
import type { Base } from './compose-base.ts'
import type { Endpoints, MeshHooks } from './compose-endpoints.ts'
import type { MeshId } from './db/ids.ts'
import { adoptRoutes } from './federation/adopt/adopt-routes.ts'
import { ownRecoveryRoutes } from './federation/recovery/own-recovery-routes.ts'
import type { Federation } from './federation/open-federation.ts'
import { onSourceChange, publishSources } from './federation/adopt/publish-sources.ts'
import { signedBundleRoutes } from './federation/recovery/signed-bundle-routes.ts'
import type { App } from './http/listener.ts'
import { startTicker, type Ticker } from './ticker.ts'

/** Mounts the adopting of trust domains that other systems sign for. */
export function mountAdoption(
  v1: App,
  base: Base,
  about: {
    readonly endpoints: Endpoints
    readonly federation: Federation
    readonly hooks: MeshHooks
  },
): void {
  const { endpoints, federation, hooks } = about
  const { config, keyring, database, now } = base
  v1.register(adoptRoutes, {
    db: database.db,
    now,
    kick: () => federation.scheduler.kick(),
    readers: federation.relationshipRoutes.readers,
    mesh: {
      publicUrl: config.PUBLIC_URL,
      defaultSettings: {},
      hasWebCertificate: endpoints.webCertificate !== undefined,
      founders: [authorityFounder(keyring), ...hooks.founders],
    },
  })
}

/** Mounts the signing of our bundles for networks that are not connected, and what peers are told of recovery. */
export function mountSignedBundles(v1: App, base: Base, { contexts }: Endpoints): void {
  v1.register(ownRecoveryRoutes, { db: base.database.db, now: base.now })
  v1.register(signedBundleRoutes, {
    db: base.database.db,
    now: base.now,
    endpointSvidOf: (trustDomain) => {
      const svid = contexts.svidOf('federation', trustDomain)
      if (svid === undefined) return undefined
      return { chain: [svid.certificate, svid.intermediate], privateKey: svid.privateKey }
    },
  })
}

/** Publishes what other systems that sign for us changed: at once when heard, and looked at twice a minute. */
export function sourceTicker({ changes, clock, log, now, database }: Base): Ticker {
  const db = database.background
  const dirty = new Set<MeshId>()
  const run = async (): Promise<void> => {
    // Kicked, it looks at the meshes it heard of; at its own turn, at all.
    const meshes = dirty.size === 0 ? [undefined] : [...dirty]
    dirty.clear()
    for (const meshId of meshes) await publishSources({ db, now }, meshId)
  }
  const ticker = startTicker({ name: 'observed-authorities', everyMs: LOOK_MS, clock, log, run })
  onSourceChange(changes, (meshId) => {
    dirty.add(meshId)
    ticker.kick()
  })
  return ticker
}

const LOOK_MS = 30_000
