import { type KeyObject, createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { ServiceError } from '../errors.ts'
import { type Kek, KEK_ID_BYTES, createKekFile, readKekFile } from './kek-file.ts'
import type { AuthorityKind, Db } from './schema.ts'
import { type SealedItem, findSecret, insertSecret, listSealed } from './sealed.ts'

/**
 * What a sealed thing belongs to; bound to it as associated data, so that it opens nowhere else.
 *
 * A private key moved to another row, another kind or beside another public key does not open.
 */
export type SealContext =
  | {
      readonly of: 'authority'
      readonly meshId: string
      readonly trustDomain: string
      readonly authorityId: string
      readonly kind: AuthorityKind
      /** SHA-256 of the DER SubjectPublicKeyInfo. */
      readonly publicKeySha256: Uint8Array
    }
  | { readonly of: 'secret'; readonly name: string }

const VERSION = 1
const NONCE_BYTES = 12
const TAG_BYTES = 16
const HEADER_BYTES = 1 + KEK_ID_BYTES
const OVERHEAD_BYTES = HEADER_BYTES + NONCE_BYTES + TAG_BYTES

/**
 * Seals private keys and secrets with the key-encryption key (KEK) of the service.
 *
 * AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce: good for 2^32 seals under one KEK (§8.3), far
 * beyond what authorities need. A sealed thing is version(1) ‖ KEK id(8) ‖ nonce(12) ‖ tag(16) ‖ ciphertext.
 */
export class Keyring {
  readonly #key: KeyObject
  readonly #idBytes: Uint8Array
  /** First 8 bytes of a hash of the KEK, as hex; safe to print. */
  readonly kekId: string

  constructor(kek: Kek) {
    this.#key = kek.key
    this.#idBytes = Buffer.from(kek.id, 'hex')
    this.kekId = kek.id
  }

  /** Reads the KEK from its file; throws KEK_MISSING or KEK_MALFORMED. */
  static async load(path: string): Promise<Keyring> {
    return new Keyring(await readKekFile(path))
  }

  /** Seals bytes for one place; the same context must be given to open them. */
  seal(plain: Uint8Array, context: SealContext): Uint8Array {
    const header = Buffer.concat([Uint8Array.of(VERSION), this.#idBytes])
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce, { authTagLength: TAG_BYTES })
    cipher.setAAD(associatedData(header, context))
    const ciphertext = Buffer.concat([cipher.update(plain), cipher.final()])
    return Buffer.concat([header, nonce, cipher.getAuthTag(), ciphertext])
  }

  /**
   * Opens what was sealed for this place.
   *
   * Throws KEK_WRONG when another KEK sealed it, and SEAL_BROKEN when the bytes were changed or belong to
   * another place.
   */
  open(sealed: Uint8Array, context: SealContext): Uint8Array {
    const kekId = sealedUnder(sealed)
    if (kekId !== this.kekId) throw wrongKek(this.kekId, [{ ...describe(context), kekId }])
    const header = sealed.subarray(0, HEADER_BYTES)
    const nonce = sealed.subarray(HEADER_BYTES, HEADER_BYTES + NONCE_BYTES)
    const tag = sealed.subarray(HEADER_BYTES + NONCE_BYTES, OVERHEAD_BYTES)
    const decipher = createDecipheriv('aes-256-gcm', this.#key, nonce, { authTagLength: TAG_BYTES })
    decipher.setAAD(associatedData(header, context))
    decipher.setAuthTag(tag)
    try {
      const plain = decipher.update(sealed.subarray(OVERHEAD_BYTES))
      return Buffer.concat([plain, decipher.final()])
    } catch (error) {
      throw new ServiceError(
        'SEAL_BROKEN',
        `the sealed ${describe(context).label} was changed, or moved here from another place`,
        {
          cause: error,
          next: 'restore the row from a backup, and look at who can write to the database',
        },
      )
    }
  }
}

/** Id of the KEK that sealed these bytes; throws SEAL_BROKEN when they are no sealed thing of version 1. */
export function sealedUnder(sealed: Uint8Array): string {
  if (sealed.length < OVERHEAD_BYTES || sealed[0] !== VERSION) {
    throw new ServiceError(
      'SEAL_BROKEN',
      `a sealed key of ${sealed.length} bytes and format ${sealed[0] ?? 'none'} cannot be opened; wanted format ${VERSION}`,
    )
  }
  return Buffer.from(sealed.subarray(1, HEADER_BYTES)).toString('hex')
}

/** How {@link openKeyring} finds the KEK. */
export interface KeyringOptions {
  readonly file: string
  /** Make the file when it is absent and nothing is sealed yet (embedded database only). */
  readonly create: boolean
}

/** What {@link openKeyring} answers. */
export interface OpenedKeyring {
  readonly keyring: Keyring
  /** Whether the KEK file was made just now. */
  readonly created: boolean
}

const CANARY = 'kek-check'

/**
 * Opens the KEK of this database and makes sure that it is the right one.
 *
 * Throws KEK_MISSING (naming what only that key can open), KEK_MALFORMED or KEK_WRONG. A KEK is created only
 * while no sealed key exists. A small sealed secret is stored at first use, so that replicas that were given
 * different keys find out at once.
 */
export async function openKeyring(db: Db, options: KeyringOptions): Promise<OpenedKeyring> {
  const found = await readOrCreate(db, options)
  await checkKeyring(db, found.keyring)
  await loadOrCreateSecret(db, found.keyring, { name: CANARY, make: () => randomBytes(32) })
  return found
}

async function readOrCreate(db: Db, options: KeyringOptions): Promise<OpenedKeyring> {
  try {
    return { keyring: await Keyring.load(options.file), created: false }
  } catch (error) {
    if (!(error instanceof ServiceError) || error.code !== 'KEK_MISSING') throw error
    const sealed = await listSealed(db)
    if (sealed.length > 0) throw missingKek(options.file, sealed)
    if (!options.create) throw error
  }
  await createKekFile(options.file)
  return { keyring: await Keyring.load(options.file), created: true }
}

/** Throws KEK_WRONG, naming what is affected, when anything in the database is sealed under another KEK. */
export async function checkKeyring(db: Db, keyring: Keyring): Promise<void> {
  const foreign = await sealedUnderOthers(db, keyring)
  if (foreign.length > 0) throw wrongKek(keyring.kekId, foreign)
}

/** What the database holds under another KEK than this one. */
async function sealedUnderOthers(db: Db, keyring: Keyring): Promise<readonly SealedItem[]> {
  const sealed = await listSealed(db)
  return sealed.filter((item) => item.kekId !== keyring.kekId)
}

/** Which service-wide secret is wanted, and how to make it the first time. */
export interface SecretOptions {
  readonly name: string
  readonly make: () => Uint8Array
}

/**
 * A secret that the whole service shares, made once and kept sealed in the database.
 *
 * Replicas that come at once agree on the first one stored.
 */
export async function loadOrCreateSecret(
  db: Db,
  keyring: Keyring,
  { name, make }: SecretOptions,
): Promise<Uint8Array> {
  const context: SealContext = { of: 'secret', name }
  const known = await findSecret(db, name)
  if (known !== undefined) return keyring.open(known, context)
  await insertSecret(db, name, keyring.seal(make(), context))
  const stored = await findSecret(db, name)
  if (stored === undefined) throw new Error(`secret ${name} vanished while it was being made`)
  return keyring.open(stored, context)
}

/** Every field with its length before it, so that no two contexts share an encoding. */
function associatedData(header: Uint8Array, context: SealContext): Uint8Array {
  const fields: (string | Uint8Array)[] =
    context.of === 'secret'
      ? ['secret', context.name]
      : [
          'authority',
          context.meshId,
          context.trustDomain,
          context.authorityId,
          context.kind,
          context.publicKeySha256,
        ]
  return Buffer.concat([header, ...fields.flatMap(lengthPrefixed)])
}

function lengthPrefixed(field: string | Uint8Array): Uint8Array[] {
  const bytes = typeof field === 'string' ? Buffer.from(field, 'utf8') : field
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return [length, bytes]
}

function describe(context: SealContext): Omit<SealedItem, 'kekId'> {
  if (context.of === 'secret') return { of: 'secret', label: `secret ${context.name}` }
  const { kind, trustDomain, meshId, authorityId } = context
  return {
    of: 'authority',
    label: `${kind} of ${trustDomain} in mesh ${meshId} (id ${authorityId})`,
  }
}

function missingKek(file: string, sealed: readonly SealedItem[]): ServiceError {
  return new ServiceError(
    'KEK_MISSING',
    `there is no key-encryption key at ${file}, and ${affected(sealed)}; nothing was created over it`,
    { next: `put the KEK file with id ${kekIds(sealed)} back at ${file}` },
  )
}

function wrongKek(kekId: string, foreign: readonly SealedItem[]): ServiceError {
  return new ServiceError(
    'KEK_WRONG',
    `the key-encryption key has id ${kekId}, and ${affected(foreign)}; nothing was created over it`,
    { next: `start with the KEK file whose id is ${kekIds(foreign)}` },
  )
}

const NAMED = 5

/** "3 sealed keys need another one: x509_root of …, …" */
function affected(items: readonly SealedItem[]): string {
  const named = items.slice(0, NAMED).map((item) => `${item.label} needs KEK ${item.kekId}`)
  const rest = items.length > NAMED ? ` and ${items.length - NAMED} more` : ''
  const count = items.length === 1 ? '1 sealed key needs' : `${items.length} sealed keys need`
  return `${count} the one it was sealed with: ${named.join(', ')}${rest}`
}

function kekIds(items: readonly SealedItem[]): string {
  return [...new Set(items.map((item) => item.kekId))].join(' or ')
}
