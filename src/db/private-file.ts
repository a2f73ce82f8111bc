import { randomUUID } from 'node:crypto'
import { link, mkdir, open, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ServiceError } from '../errors.ts'

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
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    throw new ServiceError(
      'ALREADY_EXISTS',
      `there is already a file at ${path}; it was left as it is`,
      {
        cause: error,
        next: 'name another file, or move the old one away first',
      },
    )
  } finally {
    await unlink(draft)
  }
  await flushFolder(path)
}

/** Writes a file that only its owner can read (0600), replacing what was there in one step. */
export async function replacePrivateFile(path: string, text: string): Promise<void> {
  const draft = await writeDraft(path, text)
  await rename(draft, path)
  await flushFolder(path)
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
