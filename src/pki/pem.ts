import { ServiceError } from '../errors.ts'

/** Most PEM text that we read at once: some hundreds of certificates. */
export const MAX_PEM_CHARACTERS = 1024 * 1024

const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----([A-Za-z0-9+/=\s]*)-----END \1-----/g

/**
 * The DER of every block of this label in a PEM text, in order; other blocks and text between are passed over.
 *
 * Throws `CERTIFICATE_INVALID` when there is none, or one holds no base64.
 */
export function splitPem(pem: string, label = 'CERTIFICATE'): Uint8Array[] {
  if (pem.length > MAX_PEM_CHARACTERS) {
    throw invalid(`has ${pem.length} characters, at most ${MAX_PEM_CHARACTERS} are allowed`)
  }
  const blocks: Uint8Array[] = []
  for (const [, name, body = ''] of pem.matchAll(BLOCK)) {
    if (name !== label) continue
    const text = body.replaceAll(/\s/g, '')
    const der = Buffer.from(text, 'base64')
    if (der.length === 0 || der.toString('base64') !== text) throw invalid('is no base64')
    blocks.push(der)
  }
  if (blocks.length === 0) throw invalid(`has no "BEGIN ${label}" block`)
  return blocks
}

/** PEM of some DER (RFC 7468), lines of 64 characters, ending in a line break. */
export function toPem(der: Uint8Array, label = 'CERTIFICATE'): string {
  const body = Buffer.from(der)
    .toString('base64')
    .replaceAll(/.{64}(?=.)/g, '$&\n')
  return `-----BEGIN ${label}-----\n${body}\n-----END ${label}-----\n`
}

function invalid(what: string): ServiceError {
  return new ServiceError('CERTIFICATE_INVALID', `PEM text ${what}`)
}
