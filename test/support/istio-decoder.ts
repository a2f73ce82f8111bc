import { X509Certificate } from 'node:crypto'

/** What istiod takes out of a bundle: the roots it pools; or why it refuses the document as a whole. */
export type IstioVerdict = { readonly roots: readonly string[] } | { readonly refused: string }

const MAX_UINT64 = 2n ** 64n - 1n
const MAX_INT64 = 2n ** 63n - 1n

/** Sizes of the coordinates of the curves that go-jose knows, in bytes. */
const CURVES: Readonly<Record<string, number>> = { 'P-256': 32, 'P-384': 48, 'P-521': 66 }

/**
 * The rules by which istiod (pkg/spiffe, over go-jose) decodes a SPIFFE bundle, written down once more.
 *
 * Sequence and hint are plain integers of 64 bits; every key must be one that go-jose knows, whatever its use; of
 * those for `x509-svid` there is at least one, each with exactly one certificate, a CA, whose key is the JWK's.
 */
export function decodeAsIstio(document: string): IstioVerdict {
  try {
    checkIntegers(document)
    const { keys } = JSON.parse(document) as { keys?: unknown }
    if (!Array.isArray(keys)) return { refused: 'keys is no list' }
    const certificates = keys.map((key: unknown) => decodeKey(key as Record<string, unknown>))
    const roots = certificates.flatMap((certificate) => certificate ?? [])
    return roots.length === 0 ? { refused: 'no x509-svid key' } : { roots }
  } catch (error) {
    return { refused: (error as Error).message }
  }
}

function checkIntegers(document: string): void {
  for (const [member, most] of [
    ['spiffe_sequence', MAX_UINT64],
    ['spiffe_refresh_hint', MAX_INT64],
  ] as const) {
    const value = new RegExp(`"${member}"\\s*:\\s*([^,}\\s]+)`).exec(document)?.[1]
    if (value === undefined) continue
    if (!/^(?:0|[1-9][0-9]*)$/.test(value) || BigInt(value) > most) {
      throw new Error(`${member} is no plain integer: ${value}`)
    }
  }
}

function decodeKey(key: Record<string, unknown>): string | undefined {
  checkPublicKey(key)
  const { x5c } = key
  const chain = x5c === undefined ? [] : (x5c as string[])
  const certificates = chain.map((entry) => new X509Certificate(fromBase64(entry)))
  const [first] = certificates
  if (first !== undefined) checkSameKey(key, first)
  if (key['use'] !== 'x509-svid') return undefined
  if (first === undefined || certificates.length !== 1) {
    throw new Error(`an x509-svid key has ${certificates.length} certificates, wanted exactly one`)
  }
  if (!first.ca) throw new Error('certificate is no CA')
  return first.fingerprint256
}

function checkPublicKey(key: Record<string, unknown>): void {
  if (key['kty'] === 'RSA') {
    fromBase64Url(key['n'])
    fromBase64Url(key['e'])
    return
  }
  if (key['kty'] !== 'EC') throw new Error(`unknown json web key type ${String(key['kty'])}`)
  const size = CURVES[String(key['crv'])]
  if (size === undefined) throw new Error(`unsupported elliptic curve ${String(key['crv'])}`)
  for (const coordinate of ['x', 'y']) {
    const { length } = fromBase64Url(key[coordinate])
    if (length !== size) throw new Error(`${coordinate} has ${length} bytes, wanted ${size}`)
  }
}

function checkSameKey(key: Record<string, unknown>, certificate: X509Certificate): void {
  const own = certificate.publicKey.export({ format: 'jwk' })
  for (const member of ['kty', 'crv', 'x', 'y', 'n', 'e'] as const) {
    if (own[member] !== key[member]) throw new Error('x5c does not match the key')
  }
}

// Go's decoders take neither the other alphabet nor missing or superfluous padding.
function fromBase64(text: unknown): Buffer {
  const bytes = Buffer.from(String(text), 'base64')
  if (bytes.toString('base64') !== text) throw new Error('no standard base64')
  return bytes
}

function fromBase64Url(text: unknown): Buffer {
  const bytes = Buffer.from(String(text), 'base64url')
  if (bytes.length === 0 || bytes.toString('base64url') !== text) throw new Error('no base64url')
  return bytes
}
