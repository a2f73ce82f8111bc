import { type FileHandle, open, rm } from 'node:fs/promises'
import { messageOf, quoted } from '../errors.ts'
import { usageFailure } from './failure.ts'

/**
 * Writes the secret of something that is made meanwhile into a new file that only its owner can read (0600).
 *
 * The file is made first: a secret that cannot be kept is not asked for. Throws a usage failure when there is
 * already a file of that name.
 */
export async function intoSecretFile<T>(
  path: string,
  make: () => Promise<T>,
  secretOf: (made: T) => string,
): Promise<T> {
  const file = await newFile(path)
  try {
    const made = await make()
    await file.writeFile(`${secretOf(made)}\n`)
    return made
  } catch (error) {
    await rm(path, { force: true })
    throw error
  } finally {
    await file.close()
  }
}

async function newFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx', 0o600)
  } catch (cause) {
    throw usageFailure(`cannot make ${quoted(path)}: ${messageOf(cause)}`, 'name another file')
  }
}
