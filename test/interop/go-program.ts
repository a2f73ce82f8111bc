import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { type Test } from 'tap'

const FOLDER = new URL('go/', import.meta.url).pathname

/** The built program of `test/interop/go`, or why there is none. */
export type Built = { readonly path: string } | { readonly missing: string }

/** Builds the program with the modules that go.sum pins; nothing newer is ever fetched. */
export function buildGoProgram(t: Pick<Test, 'teardown'>): Built {
  const { error, stdout } = spawnSync('go', ['version'], { encoding: 'utf8' })
  if (error !== undefined) return { missing: 'Go is not installed' }
  const folder = mkdtempSync(join(tmpdir(), 'entente-interop-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'interop')
  const built = spawnSync('go', ['build', '-mod=readonly', '-o', path, '.'], {
    cwd: FOLDER,
    encoding: 'utf8',
    timeout: 300_000,
  })
  if (built.status === 0) return { path }
  const reason = built.stderr.trim().split('\n').slice(-3).join(' ')
  return { missing: `${stdout.trim()} cannot build the client: ${reason}` }
}

/** The running program: it answers one JSON object a line. */
export class GoProgram {
  readonly #child: ChildProcess
  readonly #lines: Interface
  readonly #waiting: ((line: string | undefined) => void)[] = []
  readonly #arrived: string[] = []
  #errors = ''
  #ended = false

  constructor(t: Pick<Test, 'teardown'>, path: string, request: object) {
    this.#child = spawn(path, { stdio: ['pipe', 'pipe', 'pipe'] })
    const { stdout, stderr } = this.#child
    if (stdout === null) throw new Error('no standard output')
    this.#lines = createInterface({ input: stdout })
    this.#lines.on('line', (line) => this.#take(line))
    this.#lines.on('close', () => this.#end())
    stderr?.on('data', (part: Buffer) => (this.#errors += part.toString()))
    this.say(JSON.stringify(request))
    t.teardown(() => this.#child.kill())
  }

  /** Writes a line to the program. */
  say(line: string): void {
    this.#child.stdin?.write(`${line}\n`)
  }

  /** The next object that it writes; throws with its errors when it ends first. */
  async next(): Promise<Record<string, unknown>> {
    const line = this.#arrived.shift() ?? (await this.#coming())
    if (line === undefined) throw new Error(`the Go program ended: ${this.#errors.trim()}`)
    return JSON.parse(line) as Record<string, unknown>
  }

  /** The next object with these members, whatever comes before it. */
  async nextWith(wanted: Record<string, unknown>): Promise<Record<string, unknown>> {
    for (;;) {
      const found = await this.next()
      if (Object.entries(wanted).every(([name, value]) => found[name] === value)) return found
    }
  }

  #coming(): Promise<string | undefined> {
    if (this.#ended) return Promise.resolve(undefined)
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  #take(line: string): void {
    const waiting = this.#waiting.shift()
    if (waiting === undefined) this.#arrived.push(line)
    else waiting(line)
  }

  #end(): void {
    this.#ended = true
    for (const waiting of this.#waiting.splice(0)) waiting(undefined)
  }
}
