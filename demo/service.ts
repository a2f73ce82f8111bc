import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { until } from './wait.ts'

const PROGRAM = fileURLToPath(new URL('../bin/entente', import.meta.url))

/** How one of the two services is set up. */
export interface ServicePlan {
  readonly name: string
  /** Folder of everything about it: data, log, files. */
  readonly folder: string
  /** Added to the default ports. */
  readonly portOffset: number
}

/** One Entente service: a process of its own with its own data folder and ports. */
export class DemoService {
  readonly name: string
  readonly folder: string
  readonly dataDir: string
  readonly logFile: string
  readonly #env: Record<string, string>
  readonly #telemetry: string
  readonly #admin: string
  #process: ChildProcess | undefined

  constructor({ name, folder, portOffset }: ServicePlan) {
    this.name = name
    this.folder = folder
    this.dataDir = path.join(folder, 'data')
    this.logFile = path.join(folder, 'service.log')
    mkdirSync(folder, { recursive: true })
    const port = (standard: number): string => `127.0.0.1:${standard + portOffset}`
    this.#telemetry = `http://${port(9464)}`
    this.#admin = `http://${port(8080)}/v1`
    this.#env = {
      ...foreignEnvironment(),
      ENTENTE_DATA_DIR: this.dataDir,
      ENTENTE_PORT_OFFSET: String(portOffset),
      ENTENTE_FEDERATION_ADDRESS: port(8443),
      ENTENTE_WORKLOAD_ADDRESS: port(8444),
      ENTENTE_POLL_MIN_SECONDS: '1',
      ENTENTE_LIFECYCLE_TICK_SECONDS: '1',
    }
  }

  /** What stands before a command line that speaks to this service. */
  get prompt(): string {
    return `ENTENTE_DATA_DIR=${this.dataDir} ./bin/entente`
  }

  /** Process id while it runs. */
  get pid(): number | undefined {
    return this.#process?.pid
  }

  /** Starts the process and waits until it is ready to serve. */
  async start(): Promise<void> {
    const log = openSync(this.logFile, 'a')
    const child = spawn(process.execPath, [PROGRAM, 'serve'], {
      env: this.#env,
      stdio: ['ignore', log, log],
      detached: true,
    })
    this.#process = child
    const isUp = async (): Promise<true | undefined> => {
      if (child.exitCode !== null) throw new Error(`${this.name} ended: ${this.lastLog()}`)
      const answer = await fetch(`${this.#telemetry}/readyz`).catch(() => undefined)
      return answer?.ok === true ? true : undefined
    }
    await until({ what: `${this.name} being ready`, seconds: 30, everyMs: 100 }, isUp)
  }

  /** Ends the process with a signal and waits until it is gone; answers its exit code. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null> {
    const child = this.#process
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return null
    const gone = once(child, 'exit')
    child.kill(signal)
    await gone
    this.#process = undefined
    return child.exitCode
  }

  /** Lets the process live on after this one. */
  release(): void {
    this.#process?.unref()
  }

  /** Runs `bin/entente` against this service and answers what it printed. */
  async run(...args: readonly string[]): Promise<string> {
    return new Promise((resolve, reject) => {
      const options = { env: this.#env, cwd: this.folder, maxBuffer: 16 * 1024 * 1024 }
      execFile(process.execPath, [PROGRAM, ...args], options, (error, stdout, stderr) => {
        if (error === null) resolve(stdout)
        else reject(new Error(`entente ${args.join(' ')}: ${stderr.trim() || error.message}`))
      })
    })
  }

  /** Runs `bin/entente … --output json`. */
  async ask<T>(...args: readonly string[]): Promise<T> {
    return JSON.parse(await this.run(...args, '--output', 'json')) as T
  }

  /** Calls the REST API: GET, or POST when there is a body. */
  async api<T>(target: string, body?: unknown): Promise<T> {
    const token = readFileSync(path.join(this.dataDir, 'admin.token'), 'utf8').trim()
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const post = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }
    const answer = await fetch(`${this.#admin}${target}`, { headers, ...post })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${target} answered ${answer.status}: ${text}`)
    return JSON.parse(text) as T
  }

  /** The last lines of its log, for a failure. */
  lastLog(): string {
    if (!existsSync(this.logFile)) return 'none'
    return readFileSync(this.logFile, 'utf8').trimEnd().split('\n').slice(-8).join('\n')
  }
}

/** Our own environment without settings that were meant for another service. */
function foreignEnvironment(): Record<string, string> {
  const entries = Object.entries(process.env).filter(([name]) => !name.startsWith('ENTENTE_'))
  return Object.fromEntries(entries.map(([name, value]) => [name, value ?? '']))
}
