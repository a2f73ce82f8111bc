import { getRandomValues } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { offersOfPeer } from './catalog/find-services.ts'
import type { Base } from './compose-base.ts'
import type { Endpoints } from './compose-endpoints.ts'
import { distrustRoutes } from './federation/trust/distrust-routes.ts'
import { doctorRoutes } from './federation/doctor/doctor-routes.ts'
import { egressRoutes } from './federation/egress/egress-routes.ts'
import { instructionRoutes } from './federation/instructions/instruction-routes.ts'
import { expireRelationships } from './federation/expire-relationships.ts'
import { type Federation, openFederation } from './federation/open-federation.ts'
import { keepTrustHistory } from './federation/trust/keep-trust-history.ts'
import { peerBundleRoutes } from './federation/peer-bundle/peer-bundle-routes.ts'
import { peerGroupRoutes } from './federation/group/peer-group-routes.ts'
import { groupsOfPeer } from './federation/group/peer-groups.ts'
import { peerReadersOf } from './federation/peer-readers.ts'
import { proposalRoutes } from './federation/proposal/proposal-routes.ts'
import { prunePeerRevisions } from './federation/peer-bundle/prune-revisions.ts'
import { relationshipActRoutes } from './federation/relationship-act-routes.ts'
import { relationshipRoutes } from './federation/relationship-routes.ts'
import { relayRoutes } from './federation/relay/relay-routes.ts'
import { revisionRoutes } from './federation/peer-bundle/revision-routes.ts'
import { standingRoutes } from './federation/standing-routes.ts'
import { clearPeerAlarms, measureRelationships } from './federation/poll/report-poll.ts'
import { trustRoutes } from './federation/trust/trust-routes.ts'
import type { App } from './http/listener.ts'
import { splitPem, toPem } from './pki/pem.ts'
import { rulesOfGroup, rulesOfPeer } from './policy/rule/dependants.ts'
import { changesOfGroup } from './policy/change/group-changes.ts'
import { seedPeerPosture } from './policy/change/posture.ts'
import { entriesOfGroup } from './registry/dependants.ts'
import { entriesOfDomains } from './registry/dependants.ts'
import { startTicker, type Ticker } from './ticker.ts'

/** Makes the federation of this service with its peers; nothing is polled yet. */
export function buildFederation(base: Base, endpoints: Endpoints): Federation {
  const { config, database, changes, clock, now, log, metrics, alarms, replicaId } = base
  return openFederation({
    database,
    changes,
    clock,
    now,
    log,
    metrics,
    alarms,
    owner: replicaId,
    pollMinSeconds: config.POLL_MIN_SECONDS,
    serveStaleSeconds: config.SERVE_STALE_SECONDS,
    egressAllow: config.EGRESS_ALLOW,
    extraRootsPem: rootsIn(config.WEB_ROOTS_FILE),
    redirects: config.FOLLOW_REDIRECTS ? 'follow' : 'refuse',
    readers: peerReadersOf({
      publicUrl: config.PUBLIC_URL,
      secret: endpoints.readerSecret,
      webCertificate: () => endpoints.webCertificate?.validity,
    }),
    dependants: [offersOfPeer, rulesOfPeer, groupsOfPeer],
    groupDependants: [entriesOfGroup, rulesOfGroup],
    memberEffects: changesOfGroup,
    founders: [seedPeerPosture],
    distrustDependants: [entriesOfDomains],
    random: randomShare,
  })
}

/** Mounts relationships, peers' bundles and egress rules under `/v1`. */
export function mountFederationAdmin(v1: App, federation: Federation): void {
  v1.register(relationshipRoutes, federation.relationshipRoutes)
  v1.register(relationshipActRoutes, federation.relationshipRoutes)
  v1.register(standingRoutes, federation.relationshipRoutes)
  v1.register(proposalRoutes, federation.relationshipRoutes)
  v1.register(peerBundleRoutes, federation.peerBundleRoutes)
  v1.register(revisionRoutes, federation.relationshipRoutes)
  v1.register(peerGroupRoutes, federation.peerGroupRoutes)
  v1.register(doctorRoutes, federation.relationshipRoutes)
  v1.register(instructionRoutes, federation.relationshipRoutes)
  v1.register(distrustRoutes, federation.distrustRoutes)
  v1.register(trustRoutes, federation.peerBundleRoutes)
  v1.register(egressRoutes, federation.egressRoutes)
}

/** Mounts the relay on the federation listener: peers' bundles for our own control planes. */
export function mountRelay(
  app: App,
  base: Base,
  parts: { readonly endpoints: Endpoints; readonly federation: Pick<Federation, 'relays'> },
): void {
  const { bundles, readerSecret } = parts.endpoints
  app.register(relayRoutes, {
    relays: parts.federation.relays,
    readerSecret,
    fetches: base.metrics.bundleFetches,
    meshOf: (trustDomain) => bundles.get(trustDomain)?.meshId,
  })
}

const MINUTE_MS = 60_000

/** Starts the polls, their figures and the pruning of history. */
export function federationTickers(base: Base, federation: Federation): readonly Ticker[] {
  const { scheduler } = federation
  const { clock, log, metrics, now, database } = base
  const db = database.background
  scheduler.start()
  const polls = { kick: () => scheduler.kick(), stop: () => scheduler.stop() }
  const figures = startTicker({
    name: 'relationship-figures',
    everyMs: MINUTE_MS,
    clock,
    log,
    run: () => measureRelationships(db, metrics),
  })
  const history = startTicker({
    name: 'peer-revisions',
    everyMs: 60 * MINUTE_MS,
    clock,
    log,
    run: async () => {
      await prunePeerRevisions(db, now)
      await keepTrustHistory(db, now)
    },
  })
  return [figures, history, expiryTicker(base, federation), relayTicker(base, federation), polls]
}

function expiryTicker({ clock, log, now, database }: Base, federation: Federation): Ticker {
  const { dependants, alarms, peerBundles } = federation.relationshipRoutes
  return startTicker({
    name: 'relationship-expiry',
    everyMs: MINUTE_MS,
    clock,
    log,
    run: async () => {
      await expireRelationships({
        db: database.background,
        now,
        dependants,
        onEnded: ({ meshId, name }) => {
          peerBundles.invalidate(meshId)
          clearPeerAlarms(alarms, meshId, name)
        },
      })
    },
  })
}

function relayTicker({ clock, log }: Base, { relays }: Federation): Ticker {
  return startTicker({
    name: 'relay-accesses',
    everyMs: 1000,
    clock,
    log,
    run: () => relays.flush(),
  })
}

function rootsIn(file: string | undefined): string[] {
  if (file === undefined) return []
  return splitPem(readFileSync(file, 'utf8')).map((der) => toPem(der))
}

/** From 0 to 1; spreads polls. */
export function randomShare(): number {
  const [value = 0] = getRandomValues(new Uint32Array(1))
  return value / 2 ** 32
}
