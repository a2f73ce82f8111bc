import { createHash } from 'node:crypto'
import { type DetailedPeerCertificate, type TLSSocket } from 'node:tls'
import { readCertificate } from '../pki/certificate.ts'
import { MAX_SPIFFE_ID_BYTES } from '../spiffe/spiffe-id.ts'

/** Whom a connection reached, kept for logs and for how a document was authenticated (FE-42). */
export interface Contact {
  address: string | undefined
  presentedIds: readonly string[]
  /** SHA-256, hex, over the presented certificates in order. */
  chainSha256: string | undefined
}

/**
 * The presented certificates in order of issue, leaf first, then the anchor if OpenSSL found one.
 *
 * Not `getPeerX509Certificate`: its first call takes the certificates away, and every later reader, Node's own
 * host name check among them, finds none (Node 24.21).
 */
export function presentedChain(socket: TLSSocket): Uint8Array[] {
  const chain: Uint8Array[] = []
  let certificate: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true)
  while (certificate?.raw !== undefined && chain.length < MAX_CHAIN) {
    chain.push(new Uint8Array(certificate.raw))
    const issuer: DetailedPeerCertificate | undefined = certificate.issuerCertificate
    certificate = issuer === certificate ? undefined : issuer
  }
  return chain
}

/** Certificates read of a presented chain; OpenSSL verifies at most 100, real ones have two to four. */
const MAX_CHAIN = 16

/** URI SANs that are kept of a presented certificate, for logs; more than one is already a refusal. */
const MAX_SHOWN_IDS = 3

/** Notes whom a connection reached, proven or not. */
export function recordContact(
  socket: TLSSocket,
  chain: readonly Uint8Array[],
  contact: Contact,
): void {
  contact.address = socket.remoteAddress
  const leaf = chain[0]
  contact.presentedIds = leaf === undefined ? [] : uriSansOf(leaf).slice(0, MAX_SHOWN_IDS)
  const hash = createHash('sha256')
  for (const certificate of chain) hash.update(certificate)
  contact.chainSha256 = hash.digest('hex')
}

function uriSansOf(certificate: Uint8Array): readonly string[] {
  try {
    return readCertificate(certificate).uriSans.map(printable)
  } catch {
    return []
  }
}

// Whoever answers writes this: a NUL in it could not be stored, and its length must not become ours.
function printable(uri: string): string {
  return uri.slice(0, MAX_SPIFFE_ID_BYTES).replaceAll(/[^\x21-\x7e]/g, '?')
}
