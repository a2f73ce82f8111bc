import { randomUUID } from 'node:crypto'
import { link, mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ServiceError } from '../errors.ts'
import { codeOf } from './failures.ts'

/**
 * Writes a new file that only its owner can read (0600), whole or not at all, and flushed to disk.
 *
 * The text is complete before the name appears, so a crash leaves no torn file. Throws ALREADY_EXISTS when
 * anything is at the path.
 */
export async function createPrivateFile(path: string, text: string): Promise<void> {
  const draft = await writeDraft(path, text)
  try {
    await link(draft, path)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
    throw new ServiceError(
      'ALREADY_EXISTS',
      `there is already a file at ${path}; it was left as it is`,
      {
        cause: error,
        next: 'name another file, or move the old one away first',
      },
    )
  } finally {
    await rm(draft, { force: true })
  }
  await flushFolder(path)
}

/** A private file that is written and flushed, and does not have its name yet. */
export interface PrivateDraft {
  /** Gives the file its name in one step, replacing what was there. */
  publish(): Promise<void>
  /** Forgets the draft. */
  discard(): Promise<void>
}

/** Writes a file that only its owner can read (0600) beside its place, for a caller that must do something first. */
export async function draftPrivateFile(path: string, text: string): Promise<PrivateDraft> {
  const draft = await writeDraft(path, text)
  return {
    publish: async () => {
      await rename(draft, path)
      await flushFolder(path)
    },
    discard: () => rm(draft, { force: true }),
  }
}

async function writeDraft(path: string, text: string): Promise<string> {
  await mkdir(dirname(path), { recursive: true })
  const draft = `${path}.${randomUUID()}.draft`
  const file = await open(draft, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  return draft
}

async function flushFolder(path: string): Promise<void> {
  const folder = await open(dirname(path), 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
