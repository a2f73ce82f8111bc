import { randomInt } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { ServiceError, messageOf } from '../errors.ts'

/** A held lock; the kernel releases it when the process dies. */
export interface FolderLock {
  release(): void
}

const ATTEMPTS = 10

/**
 * Locks a data folder for this process by an exclusive SQLite transaction on `.lock` in it.
 *
 * Two processes on one PGlite folder would destroy it. Tries ten times with 20 to 100 ms between, since a
 * process that was just killed may still hold it; then throws DATA_FOLDER_LOCKED.
 */
export async function lockFolder(folder: string): Promise<FolderLock> {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const path = join(folder, '.lock')
  for (let attempt = 1; ; attempt += 1) {
    const lock = tryLock(path)
    if (lock !== undefined) return lock
    if (attempt === ATTEMPTS) throw lockedBy(folder)
    await delay(20 + randomInt(81))
  }
}

function tryLock(path: string): FolderLock | undefined {
  const database = new DatabaseSync(path)
  try {
    database.exec('pragma busy_timeout = 0')
    database.exec('begin exclusive')
    return { release: () => database.close() }
  } catch (error) {
    database.close()
    if (/locked|busy/i.test(messageOf(error))) return undefined
    throw error
  }
}

function lockedBy(folder: string): ServiceError {
  return new ServiceError(
    'DATA_FOLDER_LOCKED',
    `the data folder ${folder} is in use by another entente process`,
    {
      next: 'stop that process, or choose another folder with --data-dir (and other ports with --port-offset)',
    },
  )
}
