import { type KeyObject, createHash, sign, verify } from 'node:crypto'

/** The hash before the first record: 32 zero bytes. */
export const GENESIS = new Uint8Array(32)

/** A record's hash: SHA-256 of the previous record's hash and this record's exact bytes. */
export function chainHash(previous: Uint8Array, body: Uint8Array): Uint8Array {
  return createHash('sha256').update(previous).update(body).digest()
}

/** A point of the chain that a link vouches for. */
export interface LinkPoint {
  readonly upto_n: bigint
  readonly hash: Uint8Array
  readonly at: Date
}

const LINK_DOMAIN = Buffer.from('entente audit link v1\0')

/** Signs a point of the chain with the audit key (Ed25519, RFC 8032); number and time are under the signature. */
export function signLink(point: LinkPoint, privateKey: KeyObject): Uint8Array {
  return sign(null, linkBytes(point), privateKey)
}

/** Whether the audit key signed this point. */
export function isSignedLink(
  point: LinkPoint & { readonly signature: Uint8Array },
  publicKey: KeyObject,
): boolean {
  return verify(null, linkBytes(point), publicKey, point.signature)
}

function linkBytes({ upto_n, hash, at }: LinkPoint): Uint8Array {
  const numbers = Buffer.alloc(16)
  numbers.writeBigUInt64BE(upto_n, 0)
  numbers.writeBigUInt64BE(BigInt(at.getTime()), 8)
  return Buffer.concat([LINK_DOMAIN, numbers, hash])
}

/** A place in the log as people write it down: `<n>:<hash in hex>`. */
export function headText(head: { readonly n: bigint; readonly hash: Uint8Array }): string {
  return `${head.n}:${Buffer.from(head.hash).toString('hex')}`
}

/** The form of {@link headText}. */
export const HEAD_PATTERN = '^[1-9][0-9]{0,18}:[0-9a-f]{64}$'

/** The place in a text of the form `<n>:<hash in hex>`, or undefined when it has another. */
export function parseHead(
  text: string,
): { readonly n: bigint; readonly hash: Uint8Array } | undefined {
  if (!new RegExp(HEAD_PATTERN).test(text)) return undefined
  const [n = '', hash = ''] = text.split(':')
  return { n: BigInt(n), hash: Buffer.from(hash, 'hex') }
}
