import { type KeyObject, createHash, createSecretKey, randomBytes } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { command, quoted, ServiceError } from '../errors.ts'
import { codeOf } from './failures.ts'
import { createPrivateFile } from './private-file.ts'

/** A key-encryption key, with the id that stands in everything it seals. */
export interface Kek {
  readonly id: string
  readonly key: KeyObject
}

/** Bytes of a KEK's id. */
export const KEK_ID_BYTES = 8

const FORMAT = 'entente-kek-v1'
const KEY_BYTES = 32
const LINE = /^entente-kek-v1 ([0-9a-f]{16}) ([A-Za-z0-9_-]{43})\n?$/
/** A file longer than this is no KEK file; nothing more of it is read. */
const MAX_FILE_BYTES = 1024

/**
 * Makes a KEK file: one line `entente-kek-v1 <id> <256 random bits, base64url>`, mode 0600.
 *
 * Throws ALREADY_EXISTS when anything is at the path: a KEK is never overwritten.
 */
export async function createKekFile(path: string): Promise<{ readonly id: string }> {
  const bytes = randomBytes(KEY_BYTES)
  const id = kekIdOf(bytes)
  await createPrivateFile(path, `${FORMAT} ${id} ${bytes.toString('base64url')}\n`)
  bytes.fill(0)
  return { id }
}

/**
 * Reads a KEK file.
 *
 * Throws KEK_MISSING when there is none, and KEK_MALFORMED when others may read it, it cannot be read, or its
 * text is not one line of the format whose id fits its key (a torn or mistyped file).
 */
export async function readKekFile(path: string): Promise<Kek> {
  const file = await openKekFile(path)
  try {
    await assertPrivate(file, path)
    return parseKek(await readStart(file), path)
  } finally {
    await file.close()
  }
}

async function openKekFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') {
      throw new ServiceError('KEK_MISSING', `there is no key-encryption key at ${path}`, {
        cause: error,
        next: command`entente kek create --out ${path}`,
      })
    }
    throw new ServiceError('KEK_MALFORMED', `the KEK file ${path} cannot be read`, {
      cause: error,
      next: `let the user that runs entente read ${path}`,
    })
  }
}

async function assertPrivate(file: FileHandle, path: string): Promise<void> {
  const { mode, size } = await file.stat()
  if ((mode & 0o077) !== 0) {
    throw new ServiceError(
      'KEK_MALFORMED',
      `the KEK file ${path} has mode ${(mode & 0o777).toString(8)} and must be closed to group and others`,
      { next: command`chmod 600 ${path}` },
    )
  }
  if (size > MAX_FILE_BYTES) throw malformed(path, `it is ${size} bytes long`)
}

async function readStart(file: FileHandle): Promise<string> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_FILE_BYTES), 0, MAX_FILE_BYTES, 0)
  return buffer.toString('latin1', 0, bytesRead)
}

function parseKek(text: string, path: string): Kek {
  const [, id, encoded] = LINE.exec(text) ?? []
  if (id === undefined || encoded === undefined) {
    throw malformed(path, text === '' ? 'it is empty' : 'its text has another form')
  }
  const bytes = Buffer.from(encoded, 'base64url')
  if (kekIdOf(bytes) !== id) throw malformed(path, `its key does not have the id ${quoted(id)}`)
  const key = createSecretKey(bytes)
  bytes.fill(0)
  return { id, key }
}

function malformed(path: string, found: string): ServiceError {
  return new ServiceError(
    'KEK_MALFORMED',
    `${path} is no KEK file: ${found}; wanted one line "${FORMAT} <id> <key>"`,
    {
      next: `restore ${path} from where it is kept, or make one with: entente kek create --out FILE`,
    },
  )
}

function kekIdOf(key: Uint8Array): string {
  const hash = createHash('sha256').update('entente kek id v1\0').update(key).digest('hex')
  return hash.slice(0, 2 * KEK_ID_BYTES)
}
