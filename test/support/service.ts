import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { request } from 'undici'
import type { Test } from 'tap'
import { systemClock } from '../../src/clock.ts'
import { type Service, startService } from '../../src/compose.ts'
import { parseConfig } from '../../src/config.ts'
import { createLogger } from '../../src/http/log.ts'
import { seedDataFolder } from './database.ts'
import { testFolder } from './test-folder.ts'

/** A whole service of this test, in this process, on ports of its own. */
export interface TestService {
  readonly service: Service
  readonly folder: string
  readonly publicUrl: string
  readonly workloadUrl: string
  /** Lines of the log so far. */
  readonly lines: readonly string[]
  /** One request to the admin API with the first admin token. */
  admin(
    method: Method,
    path: string,
    body?: object,
    headers?: Record<string, string>,
  ): Promise<Answer>
  stop(): Promise<void>
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** An answer of the admin API; `body` is its JSON. */
export interface Answer {
  readonly status: number
  // oxlint-disable-next-line typescript/no-explicit-any -- tests look into answers of many shapes
  readonly body: any
  readonly etag: string | undefined
}

/** Ports that were free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1')
      await once(server, 'listening')
      return server
    }),
  )
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

/** Starts a whole service on the embedded database (or with `settings`), stopped when the test ends. */
export async function startTestService(
  t: Pick<Test, 'teardown' | 'testdir'>,
  settings: Record<string, string> = {},
): Promise<TestService> {
  const [federation = 0, workload = 0, admin = 0, telemetry = 0] = await freePorts(4)
  const folder = settings['ENTENTE_DATA_DIR'] ?? testFolder(t)
  if (settings['ENTENTE_DATABASE_URL'] === undefined) await seedDataFolder(folder)
  const publicUrl = `https://localhost:${federation}`
  const config = parseConfig({
    environment: {
      ENTENTE_DATA_DIR: folder,
      ENTENTE_PUBLIC_URL: publicUrl,
      ENTENTE_FEDERATION_ADDRESS: `127.0.0.1:${federation}`,
      ENTENTE_WORKLOAD_ADDRESS: `127.0.0.1:${workload}`,
      ENTENTE_ADMIN_ADDRESS: `127.0.0.1:${admin}`,
      ENTENTE_TELEMETRY_ADDRESS: `127.0.0.1:${telemetry}`,
      ...settings,
    },
  })
  const lines: string[] = []
  const log = createLogger({ level: 'info' }, { write: (line) => void lines.push(line) })
  const service = await startService({ config, clock: systemClock, log })
  let stopped: Promise<void> | undefined
  const stop = (): Promise<void> => (stopped ??= service.stop())
  t.teardown(stop)
  const token = readFileSync(config.ADMIN_TOKEN_FILE ?? join(folder, 'admin.token'), 'utf8').trim()
  return {
    service,
    folder,
    publicUrl,
    workloadUrl: `https://localhost:${workload}`,
    lines,
    stop,
    admin: (method, path, body, headers) =>
      adminRequest({ origin: `http://127.0.0.1:${admin}`, token, method, path, body, headers }),
  }
}

interface AdminRequest {
  readonly origin: string
  readonly token: string
  readonly method: Method
  readonly path: string
  readonly body: object | undefined
  readonly headers: Record<string, string> | undefined
}

async function adminRequest(wanted: AdminRequest): Promise<Answer> {
  const answer = await request(`${wanted.origin}/v1${wanted.path}`, {
    method: wanted.method,
    headers: {
      authorization: `Bearer ${wanted.token}`,
      ...(wanted.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...wanted.headers,
    },
    body: wanted.body === undefined ? null : JSON.stringify(wanted.body),
  })
  const text = await answer.body.text()
  const etag = answer.headers['etag']
  return {
    status: answer.statusCode,
    body: text === '' ? undefined : (JSON.parse(text) as unknown),
    etag: typeof etag === 'string' ? etag : undefined,
  }
}
