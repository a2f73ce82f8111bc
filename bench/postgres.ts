import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'

const SCRIPT = fileURLToPath(new URL('../test/support/postgres.sh', import.meta.url))

/** A private Postgres on loopback for one run. */
export interface Postgres {
  /** The URL of a new empty database. */
  database(name: string): Promise<string>
  /** The URL of a database that was made. */
  urlOf(name: string): string
  stop(): void
}

/**
 * Starts a private Postgres in a folder, from the binaries of Debian's package `postgresql`.
 *
 * Throws with the reason when there are none; the benches that need it are then skipped with that reason.
 */
export function startPostgres(folder: string): Postgres {
  const server = run('start', folder).trim()
  const urlOf = (name: string): string => {
    const url = new URL(server)
    url.pathname = `/${name}`
    return url.href
  }
  return {
    urlOf,
    database: async (name) => {
      const client = new Client({ connectionString: server })
      await client.connect()
      await client.query(`create database ${name}`)
      await client.end()
      return urlOf(name)
    },
    stop: () => void run('stop', folder),
  }
}

function run(verb: 'start' | 'stop', folder: string): string {
  try {
    return execFileSync('bash', [SCRIPT, verb, folder], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  } catch (error) {
    const printed =
      error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error)
    throw new Error(printed.trim().split('\n').at(-1) ?? 'no Postgres', { cause: error })
  }
}
