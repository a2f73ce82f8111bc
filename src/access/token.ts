import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

const PREFIX = 'entente_'
const SECRET_BYTES = 32
const SECRET_CHARACTERS = 43
const CHECK_CHARACTERS = 6
const FORM = new RegExp(`^${PREFIX}[A-Za-z0-9_-]{${SECRET_CHARACTERS + CHECK_CHARACTERS}}$`)

/**
 * A new API token: `entente_`, 256 random bits and a checksum of six characters.
 *
 * The prefix lets secret scanners find one that leaked; the checksum lets us refuse a mistyped one without
 * asking the database.
 */
export function newToken(): string {
  const secret = PREFIX + randomBytes(SECRET_BYTES).toString('base64url')
  return secret + checksum(secret)
}

/** Whether a text has the form of a token and its checksum fits. */
export function isToken(text: string): boolean {
  if (!FORM.test(text)) return false
  const cut = text.length - CHECK_CHARACTERS
  return checksum(text.slice(0, cut)) === text.slice(cut)
}

/** What is stored of a token. A plain hash suffices: 256 random bits cannot be guessed from it. */
export function hashToken(token: string): Uint8Array {
  return createHash('sha256').update(token).digest()
}

/** Whether two hashes are equal, in time that does not depend on where they differ. */
export function isSameHash(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}

function checksum(secret: string): string {
  const hash = createHash('sha256').update(secret).digest('base64url')
  return hash.slice(0, CHECK_CHARACTERS)
}
