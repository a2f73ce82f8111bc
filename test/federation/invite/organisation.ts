import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type Test } from 'tap'
import { seedDataFolder } from '../../support/database.ts'
import { type Namespace } from '../../support/namespaces.ts'
import { childEnvironment } from '../../support/process.ts'

/** The four ticks of an acceptance. */
export const TICKS = ['invite valid', 'we reached them', 'they reached us', 'both bundles verified']

/** One organisation: a service in a process of its own, and whoever types commands there. */
export interface Organisation {
  readonly folder: string
  /** Commands typed so far. */
  readonly typed: string[]
  readonly type: (...args: string[]) => Promise<{ code: number; stdout: string; stderr: string }>
}

export interface Place {
  readonly mesh: string
  readonly folder: string
  readonly environment: Record<string, string>
  readonly namespace?: Namespace
}

/** Starts `bin/entente serve`, where asked in a network namespace, and makes its mesh. */
export const organisation = async (t: Test, place: Place): Promise<Organisation> => {
  const within = (...args: string[]): [string, string[]] =>
    place.namespace === undefined
      ? [process.execPath, args]
      : ['ip', ['netns', 'exec', place.namespace.name, process.execPath, ...args]]
  const env = { ...childEnvironment(), ENTENTE_DATA_DIR: place.folder, ...place.environment }
  await seedDataFolder(place.folder)
  const [program, args] = within('bin/entente', 'serve')
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => end(child))
  await started(child, place.folder)
  const typed: string[] = []
  const run: Organisation['type'] = (...words) => {
    const [cli, rest] = within('bin/entente', ...words)
    return new Promise((resolve) => {
      const options = { env: { ...childEnvironment(), ENTENTE_DATA_DIR: place.folder } }
      execFile(cli, rest, options, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr })
      })
    })
  }
  const made = await run('mesh', 'create', place.mesh, '--trust-domain', `${place.mesh}.example`)
  if (made.code !== 0) throw new Error(made.stderr)
  return {
    folder: place.folder,
    typed,
    type: (...words) => {
      typed.push(words.join(' '))
      return run(...words)
    },
  }
}

const started = async (child: ChildProcess, folder: string): Promise<void> => {
  let printed = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => (printed += text))
  }
  for (let i = 0; i < 1200; i += 1) {
    if (existsSync(join(folder, 'admin.sock')) && printed.includes('"admin"')) return
    if (child.exitCode !== null) break
    await delay(50)
  }
  throw new Error(`it does not run: ${printed}`)
}

const end = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  await gone
}

/** A folder with a path so short that a socket fits into it. */
export const shortFolder = (t: Test): string => {
  const folder = mkdtempSync(join(tmpdir(), 'ent-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export const ticksIn = (text: string): string[] =>
  text.split('\n').flatMap((line) => (/^[✓✗] /.test(line) ? [line] : []))

export const fingerprintsIn = (text: string): string[] =>
  text.match(/[0-9]{5}( [0-9]{5}){7}/g) ?? []
