import { getRandomValues } from 'node:crypto'
import type { Base } from './compose-base.ts'
import type { Endpoints } from './compose-endpoints.ts'
import { DistrustedKeys } from './federation/trust/distrusted-keys.ts'
import { exchangeRoutes } from './federation/exchange/exchange-routes.ts'
import { moveRoutes } from './federation/exchange/move-routes.ts'
import { openExchange, type PeerExchange } from './federation/exchange/open-exchange.ts'
import type { Federation } from './federation/open-federation.ts'
import { OurSide } from './federation/invite/our-side.ts'
import type { App } from './http/listener.ts'
import { endSilentHosts } from './mesh/move-mesh.ts'
import { startTicker, type Ticker } from './ticker.ts'

/** Makes what this service asks and tells its peers; nobody is called yet. */
export function buildExchange(
  base: Base,
  { endpoints, federation }: { readonly endpoints: Endpoints; readonly federation: Federation },
): PeerExchange {
  const { config, database, changes, clock, now, log, metrics, replicaId } = base
  return openExchange({
    database,
    changes,
    clock,
    now,
    log,
    metrics,
    owner: replicaId,
    pollMinSeconds: config.POLL_MIN_SECONDS,
    random: randomShare,
    outbound: federation.outbound,
    anchors: federation.relationshipRoutes.anchors,
    distrusted: new DistrustedKeys(changes),
    signers: endpoints.signers,
    peerBundles: federation.peerBundles,
    scheduler: federation.scheduler,
    side: new OurSide({ publicUrl: config.PUBLIC_URL, secret: endpoints.readerSecret }),
  })
}

/** Mounts what peers call on the federation listener. */
export function mountExchange(app: App, { routes }: PeerExchange): void {
  app.register(exchangeRoutes, routes)
}

/** Mounts moving under `/v1`. */
export function mountMove(v1: App, base: Base, { side }: PeerExchange): void {
  const { config, database, now } = base
  v1.register(moveRoutes, { db: database.db, now, publicUrl: config.PUBLIC_URL, side })
}

const MINUTE_MS = 60_000

/** Starts asking peers and sending notices; forgets tokens that have ended, and hosts by which nobody comes. */
export function exchangeTickers(base: Base, exchange: PeerExchange): readonly Ticker[] {
  const { clock, log, now, database } = base
  const { asks, notices, desk } = exchange
  asks.start()
  notices.start()
  const tokens = startTicker({
    name: 'peer-tokens',
    everyMs: MINUTE_MS,
    clock,
    log,
    run: () => exchange.prune(),
  })
  const formerHosts = startTicker({
    name: 'former-hosts',
    everyMs: MINUTE_MS,
    clock,
    log,
    run: async () => void (await endSilentHosts(database.background, now)),
  })
  return [asks, notices, tokens, formerHosts, { kick: nothing, stop: () => desk.stop() }]
}

const nothing = (): void => undefined

/** From 0 to 1; spreads questions. */
function randomShare(): number {
  const [value = 0] = getRandomValues(new Uint32Array(1))
  return value / 2 ** 32
}
