import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { endChild, pidOf } from './children.ts'

const PROGRAM = fileURLToPath(new URL('../bin/entente', import.meta.url))

/** Longest wait for a service to become ready. */
const START_LIMIT_MS = 60_000

/** A service in a process of its own, as `entente serve` starts it. */
export interface ServiceProcess {
  readonly pid: number
  readonly ports: Readonly<Record<'federation' | 'workload' | 'admin' | 'telemetry', number>>
  /** From the start of the process to its first answer of `/readyz` with 200. */
  readonly startMs: number
  /** One call to the admin API; throws unless it succeeds. */
  admin<T>(method: string, path: string, body?: object): Promise<T>
  end(): Promise<void>
}

/** Starts a service with these settings beside the defaults of a bench: quiet, on loopback, free ports. */
export async function startServiceProcess(
  folder: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<ServiceProcess> {
  const [federation = 0, workload = 0, admin = 0, telemetry = 0] = await freePorts(4)
  const environment = {
    PATH: process.env['PATH'] ?? '',
    ENTENTE_DATA_DIR: folder,
    ENTENTE_LOG_LEVEL: 'warn',
    // What one tenant may ask is not what is measured.
    ENTENTE_ADMIN_CALLS_PER_SECOND: '100000',
    ENTENTE_MESH_REQUESTS_PER_SECOND: '5000',
    ENTENTE_PUBLIC_URL: `https://localhost:${federation}`,
    ENTENTE_FEDERATION_ADDRESS: `127.0.0.1:${federation}`,
    ENTENTE_WORKLOAD_ADDRESS: `127.0.0.1:${workload}`,
    ENTENTE_ADMIN_ADDRESS: `127.0.0.1:${admin}`,
    ENTENTE_TELEMETRY_ADDRESS: `127.0.0.1:${telemetry}`,
    ...settings,
  }
  const log = openSync(join(folder, 'service.log'), 'a')
  const begun = performance.now()
  const child = spawn(process.execPath, [PROGRAM, 'serve'], {
    env: environment,
    stdio: ['ignore', log, log],
  })
  while (!(await isReady(telemetry))) {
    const late = performance.now() - begun > START_LIMIT_MS
    if (child.exitCode !== null || late) throw new Error(`no service: ${lastLines(folder)}`)
  }
  const startMs = performance.now() - begun
  const tokenFile = settings['ENTENTE_ADMIN_TOKEN_FILE'] ?? join(folder, 'admin.token')
  return {
    pid: pidOf(child),
    ports: { federation, workload, admin, telemetry },
    startMs,
    admin: (method, path, body) => callAdmin({ port: admin, tokenFile, method, path, body }),
    end: () => endChild(child, 'SIGTERM'),
  }
}

/** A folder that is removed when the bench has ended. */
export function scratchFolder(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'entente-bench-'))
  // Postgres runs as another user and must find its own folder in it.
  chmodSync(path, 0o711)
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

/** Settings of a service on Postgres, with a KEK and an admin token of its own in the folder. */
export function postgresSettings(folder: string, url: string): Record<string, string> {
  const kek = join(folder, 'kek')
  const token = join(folder, 'token')
  execFileSync(process.execPath, [PROGRAM, 'kek', 'create', '--out', kek])
  execFileSync(process.execPath, [PROGRAM, 'admin-token', 'create', '--out', token])
  return { ENTENTE_DATABASE_URL: url, ENTENTE_KEK_FILE: kek, ENTENTE_ADMIN_TOKEN_FILE: token }
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

async function isReady(port: number): Promise<boolean> {
  const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined)
  await answer?.body?.cancel()
  if (answer?.status === 200) return true
  await delay(10)
  return false
}

interface AdminCall {
  readonly port: number
  readonly tokenFile: string
  readonly method: string
  readonly path: string
  readonly body: object | undefined
}

async function callAdmin<T>({ port, tokenFile, method, path, body }: AdminCall): Promise<T> {
  const answer = await fetch(`http://127.0.0.1:${port}/v1${path}`, {
    method,
    headers: {
      authorization: `Bearer ${readFileSync(tokenFile, 'utf8').trim()}`,
      ...(body && { 'content-type': 'application/json' }),
    },
    ...(body && { body: JSON.stringify(body) }),
  })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${method} ${path} answered ${answer.status}: ${text}`)
  return JSON.parse(text) as T
}

function lastLines(folder: string): string {
  return readFileSync(join(folder, 'service.log'), 'utf8')
    .trimEnd()
    .split('\n')
    .slice(-5)
    .join('\n')
}
