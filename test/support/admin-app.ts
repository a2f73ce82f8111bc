import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { type AddressInfo, connect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { Test } from 'tap'
import { addAccess } from '../../src/access/access-hook.ts'
import { ensureAdminToken } from '../../src/access/admin-token.ts'
import { guardAdmin } from '../../src/access/admin-guard.ts'
import { addIdempotency } from '../../src/access/idempotency.ts'
import { grantRoutes } from '../../src/access/grant-routes.ts'
import { quotaRoutes } from '../../src/access/quota/quota-routes.ts'
import { accessRoutes } from '../../src/access/routes.ts'
import { type Clock, systemClock } from '../../src/clock.ts'
import type { Database, Db } from '../../src/db/connect.ts'
import { databaseNow, type DbClock } from '../../src/db/time.ts'
import { type App, createApp } from '../../src/http/listener.ts'
import { createLogger } from '../../src/http/log.ts'
import { createMetrics } from '../../src/http/metrics.ts'
import { testDatabase } from './database.ts'

/** An admin listener of this test on loopback, with access control and its own routes only. */
export interface AdminApp {
  readonly database: Database
  readonly app: App
  readonly port: number
  /** The first admin token. */
  readonly token: string
  readonly lines: readonly string[]
  readonly call: (method: string, path: string, options?: CallOptions) => Promise<AdminAnswer>
}

export interface CallOptions {
  readonly token?: string | undefined
  readonly headers?: Record<string, string>
  readonly body?: unknown
}

export interface AdminAnswer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  // oxlint-disable-next-line typescript/no-explicit-any -- tests look into answers of many shapes
  readonly body: any
}

export interface AdminAppOptions {
  readonly clock?: Clock
  /** The database's clock; default its own. */
  readonly now?: DbClock
  /** Another app's database and token: a second replica. */
  readonly beside?: Pick<AdminApp, 'database' | 'token'>
  readonly hosts?: readonly string[]
  /** Of one token. */
  readonly callsPerSecond?: number
  readonly mount?: (v1: App, db: Db) => void
}

export async function adminApp(t: Test, options: AdminAppOptions = {}): Promise<AdminApp> {
  const { database, token } = options.beside ?? (await freshDatabase(t))
  const { db } = database
  const now = options.now ?? databaseNow
  const lines: string[] = []
  const log = createLogger({ level: 'info' }, { write: (line) => void lines.push(line) })
  const app = createApp({ name: 'admin', log, metrics: createMetrics() })
  guardAdmin(app, { hosts: options.hosts ?? [] })
  await app.register(
    async (v1: App) => {
      const { clock = systemClock, callsPerSecond } = options
      addAccess(v1, { db, clock, log, callsPerSecond })
      addIdempotency(v1, { db, now, log })
      v1.register(accessRoutes, { db, now: databaseNow })
      v1.register(grantRoutes, { db, now: databaseNow })
      v1.register(quotaRoutes, { db, now: databaseNow })
      options.mount?.(v1, db)
    },
    { prefix: '/v1' },
  )
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  const { port } = app.server.address() as AddressInfo
  const origin = `http://127.0.0.1:${port}`
  const call: AdminApp['call'] = (method, path, given = {}) =>
    send(`${origin}${path}`, method, { token, ...given })
  return { database, app, port, token, lines, call }
}

async function freshDatabase(t: Test): Promise<Pick<AdminApp, 'database' | 'token'>> {
  const database = await testDatabase(t)
  const file = join(t.testdir(), 'admin.token')
  await ensureAdminToken(database.db, { file, create: true })
  return { database, token: (await readFile(file, 'utf8')).trim() }
}

async function send(url: string, method: string, options: CallOptions): Promise<AdminAnswer> {
  const { token, headers = {}, body } = options
  const answer = await fetch(url, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const received = await answer.text()
  const json: unknown = received === '' ? undefined : JSON.parse(received)
  return { status: answer.status, headers: answer.headers, text: received, body: json }
}

/** Sends exactly these lines, which `fetch` would not, and answers with status and body. */
export async function sendRaw(
  where: { readonly port: number } | { readonly path: string },
  lines: readonly string[],
): Promise<{ status: number; text: string }> {
  const socket = 'port' in where ? connect(where.port, '127.0.0.1') : connect(where.path)
  await once(socket, 'connect')
  socket.write(`${[...lines, 'connection: close'].join('\r\n')}\r\n\r\n`)
  const received = await text(socket)
  return { status: Number(received.split(' ')[1]), text: received }
}
