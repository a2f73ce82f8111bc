import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type Apps, mountApps } from './compose-apps.ts'
import { type Base, type BaseOptions, openBase } from './compose-base.ts'
import { loadEndpoints, stopEndpoints } from './compose-endpoints.ts'
import { type Parts, buildParts, startTickers } from './compose-parts.ts'
import { splitAddress } from './config.ts'
import { codeOf } from './db/failures.ts'
import { ServiceError, messageOf } from './errors.ts'
import type { App, ListenerName } from './http/listener.ts'
import { type LocalSocket, listenOnSocket } from './http/local-socket.ts'
import type { Ticker } from './ticker.ts'

/** A running service. */
export interface Service {
  readonly base: Base
  readonly parts: Parts
  readonly apps: Apps
  /** `host:port` of each listener as it listens. */
  readonly addresses: Readonly<Record<ListenerName, string>>
  /** Not ready, tickers end, requests in hand are finished, leases are released. Takes at most 10 s. */
  stop(): Promise<void>
}

/** Seconds of silence that are worth a word; the database is asked once a second. */
const SILENT_SECONDS = 3

const LISTENERS = ['telemetry', 'federation', 'workload', 'admin'] as const
const VARIABLES = {
  telemetry: 'TELEMETRY_ADDRESS',
  federation: 'FEDERATION_ADDRESS',
  workload: 'WORKLOAD_ADDRESS',
  admin: 'ADMIN_ADDRESS',
} as const satisfies Record<ListenerName, string>

/**
 * Builds and starts the whole service; what was started is stopped again when a later step fails.
 *
 * Throws CONFIGURATION_INVALID naming the variable of a port that is taken, and what {@link openBase} throws.
 */
export async function startService(options: BaseOptions): Promise<Service> {
  const base = await openBase(options)
  const closers: (() => Promise<void>)[] = [() => base.database.close()]
  const stop = async (): Promise<void> => {
    base.readiness.stopping()
    for (const close of closers.toReversed()) await closeQuietly(base, close)
  }
  try {
    const parts = await buildParts(base)
    closers.push(() => parts.sealer.stop())
    await base.changes.start()
    closers.push(() => base.changes.stop())
    await loadEndpoints(parts.endpoints)
    closers.push(() => stopEndpoints(parts.endpoints))
    const apps = await mountApps(base, parts)
    const addresses = await listenAll(base, apps, closers)
    const tickers = startTickers(base, parts)
    closers.push(() => stopAll(tickers))
    watchDatabase(base)
    base.readiness.serving()
    return { base, parts, apps, addresses, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** What cannot be closed is logged, so that the rest is closed all the same. */
async function closeQuietly(base: Base, close: () => Promise<void>): Promise<void> {
  try {
    await close()
  } catch (error) {
    base.log.error({ event: 'process.stop-failed', error: messageOf(error) }, 'cannot close a part')
  }
}

/** Says in `/readyz` when the database is silent: degraded while bundles are served from memory, then failing. */
function watchDatabase({ readiness, changes, config }: Base): void {
  const silentSeconds = (): number => Math.floor(changes.silentMs / 1000)
  readiness.add({
    name: 'database',
    severity: 'degraded',
    reason: () =>
      silentSeconds() > SILENT_SECONDS ? `it has not answered for ${silentSeconds()} s` : undefined,
  })
  readiness.add({
    name: 'bundles',
    severity: 'failing',
    reason: () =>
      silentSeconds() > Math.max(SILENT_SECONDS, config.SERVE_STALE_SECONDS)
        ? 'they are older than ENTENTE_SERVE_STALE_SECONDS and served no more'
        : undefined,
  })
}

/** Builds everything without listening or ticking, for those who only want the routes. */
export async function buildService(
  options: BaseOptions,
): Promise<{ apps: Apps; close: () => Promise<void> }> {
  const base = await openBase(options)
  const apps = await mountApps(base, await buildParts(base))
  return {
    apps,
    close: async () => {
      await Promise.all(LISTENERS.map((name) => apps[name].close()))
      await base.database.close()
    },
  }
}

async function stopAll(tickers: readonly Ticker[]): Promise<void> {
  await Promise.all(tickers.map((ticker) => ticker.stop()))
}

async function listenAll(
  base: Base,
  apps: Apps,
  closers: (() => Promise<void>)[],
): Promise<Record<ListenerName, string>> {
  const addresses: Record<ListenerName, string> = {
    telemetry: '',
    federation: '',
    workload: '',
    admin: '',
  }
  const doors: { close(): Promise<void> }[] = [apps.federation, apps.workload, apps.admin]
  // Health goes on telling that the service stops until all other doors are closed.
  closers.push(() => apps.telemetry.close())
  closers.push(async () => {
    await Promise.all(doors.map((door) => door.close()))
  })
  for (const name of LISTENERS) addresses[name] = await listen(base, apps[name], name)
  if (base.database.engine === 'pglite') {
    const socket = await openAdminSocket(base, apps.admin)
    if (socket !== undefined) doors.push(socket)
  }
  return addresses
}

async function listen(base: Base, app: App, name: ListenerName): Promise<string> {
  const { host, port } = splitAddress(base.config[VARIABLES[name]])
  try {
    await app.listen({ host, port, listenTextResolver: () => '' })
  } catch (error) {
    throw cannotListen(name, base.config[VARIABLES[name]], error)
  }
  const bound = app.server.address() as AddressInfo
  const shown = bound.family === 'IPv6' ? `[${bound.address}]` : bound.address
  base.log.info(
    { event: 'listener.open', listener: name, address: `${shown}:${bound.port}` },
    'listening',
  )
  return `${shown}:${bound.port}`
}

function cannotListen(name: ListenerName, address: string, error: unknown): ServiceError {
  const why = codeOf(error) === 'EADDRINUSE' ? 'the port is in use' : messageOf(error)
  return new ServiceError(
    'CONFIGURATION_INVALID',
    `cannot listen on ENTENTE_${VARIABLES[name]}=${address}: ${why}`,
    {
      cause: error,
      next: `free the port, set ENTENTE_${VARIABLES[name]}, or move all ports with --port-offset`,
    },
  )
}

/** The admin API for the same machine: the socket takes the same token and only its owner may connect. */
async function openAdminSocket(base: Base, admin: App): Promise<LocalSocket | undefined> {
  const path = join(base.config.DATA_DIR, 'admin.sock')
  const socket = await listenOnSocket(admin, path)
  if (socket === undefined) {
    base.log.warn(
      { event: 'admin-socket.skipped', path, next: 'ENTENTE_ADDR=http://HOST:PORT entente …' },
      'the path of the data folder is too long for a socket; the CLI needs ENTENTE_ADDR',
    )
  }
  return socket
}
