import type { Test } from 'tap'

/** Forms of key material that no log, answer, error or audit record may hold, whatever its value. */
const FORMS: readonly (readonly [string, RegExp])[] = [
  ['a PEM private key', /-----BEGIN [A-Z ]*PRIVATE KEY-----/],
  ['a PEM certificate request', /-----BEGIN (NEW )?CERTIFICATE REQUEST-----/],
  ['a private JWK', /\\?"d\\?"\s*:\s*\\?"[A-Za-z0-9_-]{40,}/],
  ['a KEK file', /entente-kek-v1 [0-9a-f]{16} [A-Za-z0-9_-]{43}/],
]

/**
 * Fails when a text holds one of the given secrets (as it is, or its bytes in hex, base64 or base64url), or
 * anything in the form of a private key, a CSR or a KEK.
 */
export function assertNoSecrets(
  t: Pick<Test, 'same'>,
  text: string,
  secrets: readonly (string | Uint8Array)[],
): void {
  t.same(findSecrets(text, secrets), [], 'no secret in the text')
}

/** What {@link assertNoSecrets} would complain about; never the secret itself. */
export function findSecrets(text: string, secrets: readonly (string | Uint8Array)[]): string[] {
  const lower = text.toLowerCase()
  const found = FORMS.filter(([, form]) => form.test(text)).map(([name]) => name)
  for (const [i, secret] of secrets.entries()) {
    const bytes = Buffer.from(secret)
    const isThere =
      (typeof secret === 'string' && text.includes(secret)) ||
      lower.includes(bytes.toString('hex')) ||
      [0, 1, 2].some((shift) => hasBase64(text, bytes, shift))
    if (isThere) found.push(`secret ${i}`)
  }
  return found
}

/** Base64 of bytes that stand anywhere inside longer bytes: the part that does not depend on its neighbours. */
function hasBase64(text: string, bytes: Buffer, shift: number): boolean {
  const padded = Buffer.concat([Buffer.alloc(shift), bytes])
  const whole = padded.subarray(0, padded.length - (padded.length % 3)).toString('base64')
  const core = whole.slice(shift === 0 ? 0 : 4)
  if (core.length < 8) return false
  return text.includes(core) || text.includes(core.replaceAll('+', '-').replaceAll('/', '_'))
}
