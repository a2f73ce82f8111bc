import { createHmac, timingSafeEqual } from 'node:crypto'
import type { TrustDomain } from '../spiffe/trust-domain.ts'

/** Name of the sealed secret behind reader URLs; made once and never changed, or every URL would break. */
export const READER_SECRET = 'reader-urls'

const ID_BYTES = 16
const MAC_BYTES = 16
const REF = /^[A-Za-z0-9_-]{43}$/

/** Whose URL a reference stands in. */
export interface ReaderKey {
  readonly trustDomain: TrustDomain
  /** UUID of the reader's row. */
  readonly id: string
}

/** The kinds of URL with a reference; one written for one kind is none of the other. */
type RefKind = 'for' | 'peers'

/**
 * The reference in a reader's URL: base64url(id ‖ first 16 bytes of HMAC-SHA-256).
 *
 * An address, not a credential: it only lets a forged one be refused without a query. The MAC's input begins
 * with the kind of URL and binds the trust domain.
 */
export function writeReaderRef(secret: Uint8Array, key: ReaderKey): string {
  return writeRef(secret, 'for', key)
}

/** The reference in the URL of a relayed bundle, made in the same way; `id` is the relay's. */
export function writeRelayRef(secret: Uint8Array, key: ReaderKey): string {
  return writeRef(secret, 'peers', key)
}

/** The reader's id in a reference, or undefined when it was not written by us for this trust domain. */
export function readReaderRef(
  secret: Uint8Array,
  trustDomain: TrustDomain,
  ref: string,
): string | undefined {
  return readRef(secret, { kind: 'for', trustDomain }, ref)
}

/** The relay's id in a reference, or undefined when it was not written by us for this trust domain. */
export function readRelayRef(
  secret: Uint8Array,
  trustDomain: TrustDomain,
  ref: string,
): string | undefined {
  return readRef(secret, { kind: 'peers', trustDomain }, ref)
}

function writeRef(secret: Uint8Array, kind: RefKind, { trustDomain, id: uuid }: ReaderKey): string {
  const id = Buffer.from(uuid.replaceAll('-', ''), 'hex')
  return Buffer.concat([id, macOf(secret, { kind, trustDomain }, id)]).toString('base64url')
}

interface RefPlace {
  readonly kind: RefKind
  readonly trustDomain: TrustDomain
}

function readRef(secret: Uint8Array, place: RefPlace, ref: string): string | undefined {
  if (!REF.test(ref)) return undefined
  const bytes = Buffer.from(ref, 'base64url')
  if (bytes.toString('base64url') !== ref) return undefined
  const id = bytes.subarray(0, ID_BYTES)
  const mac = bytes.subarray(ID_BYTES)
  return timingSafeEqual(mac, macOf(secret, place, id)) ? uuidOf(id) : undefined
}

function macOf(secret: Uint8Array, { kind, trustDomain }: RefPlace, id: Uint8Array): Buffer {
  const mac = createHmac('sha256', secret).update(`${kind}\0${trustDomain}\0`).update(id)
  return mac.digest().subarray(0, MAC_BYTES)
}

function uuidOf(id: Buffer): string {
  const hex = id.toString('hex')
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join('-')
}
