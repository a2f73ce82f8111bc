import { quoted } from '../errors.ts'
import { decodeBase64Url } from './base64.ts'
import { type JsonObject } from './json.ts'

/** The public members of an EC or RSA key (RFC 7518 §6.2.1, §6.3.1). */
export interface PublicJwk {
  readonly kty: string
  readonly crv?: string
  readonly x?: string
  readonly y?: string
  readonly n?: string
  readonly e?: string
}

/** A parsed value, or the reason why this one entry is skipped. */
export type Outcome<T> = { readonly value: T } | { readonly skip: string }

/** Bytes of one coordinate, per curve that a JWT-SVID may sign with (RFC 7518 §6.2.1.2, JW-02). */
const COORDINATE_BYTES = new Map([
  ['P-256', 32],
  ['P-384', 48],
  ['P-521', 66],
])
/** 16384 bits: nobody uses more, and checking such a signature must not become the work of a peer's choice. */
const MAX_MODULUS_BYTES = 2048
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

/**
 * Takes the public members out of a JWK and checks their shape; whether the point lies on its curve is for
 * the layer that holds the cryptography (BU-11, BU-13).
 *
 * A key that comes with private members is public knowledge and therefore skipped (BU-17).
 */
export function readPublicJwk(entry: JsonObject): Outcome<PublicJwk> {
  const exposed = PRIVATE_MEMBERS.find((member) => entry.has(member))
  if (exposed !== undefined) return { skip: `publishes its private member "${exposed}"` }
  const kty = entry.get('kty')
  if (kty === 'EC') return readEcJwk(entry)
  if (kty === 'RSA') return readRsaJwk(entry)
  if (typeof kty === 'string') return { skip: `has the unknown kty ${quoted(kty)}` }
  return { skip: 'has no kty' }
}

/** Whether two public keys have the same members. */
export function isSameJwk(one: PublicJwk, other: PublicJwk): boolean {
  const members = ['kty', 'crv', 'x', 'y', 'n', 'e'] as const
  return members.every((member) => one[member] === other[member])
}

function readEcJwk(entry: JsonObject): Outcome<PublicJwk> {
  const crv = entry.get('crv')
  const size = typeof crv === 'string' ? COORDINATE_BYTES.get(crv) : undefined
  if (typeof crv !== 'string' || size === undefined) {
    return { skip: `has a crv other than ${[...COORDINATE_BYTES.keys()].join(', ')}` }
  }
  const x = entry.get('x')
  const y = entry.get('y')
  if (typeof x !== 'string' || decodeBase64Url(x)?.byteLength !== size) return badMember('x')
  if (typeof y !== 'string' || decodeBase64Url(y)?.byteLength !== size) return badMember('y')
  return { value: { kty: 'EC', crv, x, y } }
}

function readRsaJwk(entry: JsonObject): Outcome<PublicJwk> {
  const n = entry.get('n')
  const e = entry.get('e')
  if (typeof n !== 'string' || !isUnsignedInteger(n, MAX_MODULUS_BYTES)) return badMember('n')
  if (typeof e !== 'string' || !isUnsignedInteger(e, 8)) return badMember('e')
  return { value: { kty: 'RSA', n, e } }
}

/** Base64urlUInt of RFC 7518 §2: as few octets as possible, so no leading zero. */
function isUnsignedInteger(text: string, maxBytes: number): boolean {
  const bytes = decodeBase64Url(text)
  if (bytes === undefined || bytes.byteLength > maxBytes) return false
  return bytes[0] !== undefined && bytes[0] !== 0
}

function badMember(name: string): { readonly skip: string } {
  return { skip: `has a missing or malformed "${name}"` }
}
