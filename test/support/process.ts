import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Agent, request } from 'undici'
import type { Test } from 'tap'
import { freePorts } from './service.ts'

/** A service in a process of its own, started with the real executable. */
export interface ServiceProcess {
  readonly child: ChildProcess
  readonly adminOrigin: string
  readonly federationOrigin: string
  readonly workloadOrigin: string
  readonly telemetryOrigin: string
  /** Everything it printed so far. */
  output(): string
  /** Resolves with its exit code (or signal) when it has ended. */
  ended(): Promise<number | string>
  kill(signal: NodeJS.Signals): void
}

/** Longest start that is still waited for; ten times what it takes. */
const START_LIMIT_MS = 60_000

/** Starts `bin/entente serve` with the given environment and waits until `/readyz` answers 200. */
export async function startProcess(
  t: Pick<Test, 'teardown'>,
  environment: Record<string, string>,
): Promise<ServiceProcess> {
  const started = await spawnProcess(t, environment)
  const deadline = Date.now() + START_LIMIT_MS
  while (Date.now() < deadline) {
    if (started.child.exitCode !== null) throw new Error(`it ended: ${started.output()}`)
    if ((await readyStatus(started)) === 200) return started
    await delay(50)
  }
  throw new Error(`not ready after ${START_LIMIT_MS} ms: ${started.output()}`)
}

/** Status of `/readyz`, 0 when nothing answers. */
export async function readyStatus(process: ServiceProcess): Promise<number> {
  try {
    const answer = await request(`${process.telemetryOrigin}/readyz`)
    await answer.body.dump()
    return answer.statusCode
  } catch {
    return 0
  }
}

/** Starts `bin/entente serve` without waiting; it is killed when the test ends. */
export async function spawnProcess(
  t: Pick<Test, 'teardown'>,
  environment: Record<string, string>,
): Promise<ServiceProcess> {
  const [federation = 0, workload = 0, admin = 0, telemetry = 0] = await freePorts(4)
  const child = spawn(process.execPath, ['bin/entente', 'serve'], {
    env: {
      ...childEnvironment(),
      ENTENTE_PUBLIC_URL: `https://localhost:${federation}`,
      ENTENTE_FEDERATION_ADDRESS: `127.0.0.1:${federation}`,
      ENTENTE_WORKLOAD_ADDRESS: `127.0.0.1:${workload}`,
      ENTENTE_ADMIN_ADDRESS: `127.0.0.1:${admin}`,
      ENTENTE_TELEMETRY_ADDRESS: `127.0.0.1:${telemetry}`,
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let printed = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8')
    stream.on('data', (text: string) => (printed += text))
  }
  const end = once(child, 'exit').then(
    ([code, signal]: (number | string | null)[]) => code ?? signal ?? '',
  )
  t.teardown(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    await end
  })
  return {
    child,
    adminOrigin: `http://127.0.0.1:${admin}`,
    federationOrigin: `https://localhost:${federation}`,
    workloadOrigin: `https://localhost:${workload}`,
    telemetryOrigin: `http://127.0.0.1:${telemetry}`,
    output: () => printed,
    ended: () => end,
    kill: (signal) => child.kill(signal),
  }
}

/** What a program of ours inherits from a test: where programs are, and where Node keeps what it compiled. */
export function childEnvironment(): NodeJS.ProcessEnv {
  return {
    PATH: process.env['PATH'],
    NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
  }
}

/** Environment of a service on Postgres with a KEK and an admin token made by the product. */
export function postgresEnvironment(
  folder: string,
  url: string,
): {
  readonly ENTENTE_DATABASE_URL: string
  readonly ENTENTE_KEK_FILE: string
  readonly ENTENTE_ADMIN_TOKEN_FILE: string
} {
  const kek = join(folder, 'kek')
  const token = join(folder, 'token')
  execFileSync(process.execPath, ['bin/entente', 'kek', 'create', '--out', kek])
  execFileSync(process.execPath, ['bin/entente', 'admin-token', 'create', '--out', token])
  return {
    ENTENTE_DATABASE_URL: url,
    ENTENTE_KEK_FILE: kek,
    ENTENTE_ADMIN_TOKEN_FILE: token,
  }
}

/** One request to the admin API of a process. */
export interface AdminCall {
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly path: string
  readonly token: string
  readonly body?: object
}

/** Sends it; the text is not parsed, since it may be a problem document. */
export async function adminCall(service: ServiceProcess, call: AdminCall) {
  const answer = await request(`${service.adminOrigin}/v1${call.path}`, {
    method: call.method,
    headers: { authorization: `Bearer ${call.token}`, 'content-type': 'application/json' },
    body: call.body === undefined ? null : JSON.stringify(call.body),
  })
  const text = await answer.body.text()
  return { status: answer.statusCode, headers: answer.headers, text }
}

const anyServer = new Agent({ connect: { rejectUnauthorized: false } })

/** A GET on the bundle endpoint of a process, whatever certificate it shows; status 0 when nothing answers. */
export async function bundleAnswer(service: ServiceProcess, trustDomain: string) {
  const url = `${service.federationOrigin}/bundles/${trustDomain}`
  try {
    const answer = await request(url, { dispatcher: anyServer })
    return { status: answer.statusCode, text: await answer.body.text() }
  } catch {
    return { status: 0, text: '' }
  }
}
