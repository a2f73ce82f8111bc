import { contextTag, TAG } from './der.ts'

/** One element around the given parts. */
export function tlv(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  let length = 0
  for (const part of parts) length += part.length
  const head = headOf(tag, length)
  const element = Buffer.allocUnsafe(head.length + length)
  element.set(head, 0)
  let at = head.length
  for (const part of parts) {
    element.set(part, at)
    at += part.length
  }
  return element
}

/** SEQUENCE of the given elements. */
export function sequence(...elements: readonly Uint8Array[]): Buffer {
  return tlv(TAG.sequence, ...elements)
}

/** `[n]` around the given elements (EXPLICIT, or IMPLICIT of a constructed type). */
export function explicit(n: number, ...elements: readonly Uint8Array[]): Buffer {
  return tlv(contextTag(n, 'constructed'), ...elements)
}

/** INTEGER of unsigned octets: as short as possible, with a zero octet where the sign bit would be set. */
export function unsigned(octets: Uint8Array): Buffer {
  let from = 0
  while (from < octets.length - 1 && octets[from] === 0) from += 1
  const shortest = octets.subarray(from)
  if (shortest.length === 0) return tlv(TAG.integer, Buffer.from([0]))
  return (shortest[0] ?? 0) < 0x80
    ? tlv(TAG.integer, shortest)
    : tlv(TAG.integer, Buffer.from([0]), shortest)
}

/** BOOLEAN TRUE; FALSE is always a default in what we write, and DER leaves defaults out. */
export const TRUE: Buffer = Buffer.from([TAG.boolean, 1, 0xff])

/** BIT STRING of whole octets. */
export function octetBits(octets: Uint8Array): Buffer {
  return tlv(TAG.bitString, Buffer.from([0]), octets)
}

/** OCTET STRING. */
export function octetString(...parts: readonly Uint8Array[]): Buffer {
  return tlv(TAG.octetString, ...parts)
}

const identifiers = new Map<string, Buffer>()

/** OBJECT IDENTIFIER written in dotted decimals; for the constants of our code, each encoded once. */
export function oid(dotted: string): Buffer {
  const known = identifiers.get(dotted)
  if (known !== undefined) return known
  const encoded = encodeOid(dotted)
  identifiers.set(dotted, encoded)
  return encoded
}

function encodeOid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const octets = [first * 40 + second, ...rest].flatMap(base128)
  return tlv(TAG.oid, Buffer.from(octets))
}

/** Certificate time to whole seconds: UTCTime through 2049, GeneralizedTime from 2050 (RFC 5280 §4.1.2.5). */
export function time(moment: Date): Buffer {
  const year = moment.getUTCFullYear()
  const rest = [
    moment.getUTCMonth() + 1,
    moment.getUTCDate(),
    moment.getUTCHours(),
    moment.getUTCMinutes(),
    moment.getUTCSeconds(),
  ]
  return year < 2050
    ? tlv(TAG.utcTime, digitPairs([year % 100, ...rest]))
    : tlv(TAG.generalizedTime, digitPairs([Math.floor(year / 100), year % 100, ...rest]))
}

/** Two digits each, and the Z of Zulu time. */
function digitPairs(numbers: readonly number[]): Buffer {
  const octets = Buffer.allocUnsafe(numbers.length * 2 + 1)
  for (const [index, number] of numbers.entries()) {
    octets[index * 2] = 0x30 + Math.floor(number / 10)
    octets[index * 2 + 1] = 0x30 + (number % 10)
  }
  octets[octets.length - 1] = 0x5a
  return octets
}

function base128(value: number): number[] {
  const octets = [value & 0x7f]
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) octets.unshift((rest & 0x7f) | 0x80)
  return octets
}

function headOf(tag: number, length: number): Buffer {
  if (length < 0x80) return Buffer.from([tag, length])
  if (length < 0x100) return Buffer.from([tag, 0x81, length])
  if (length < 0x10000) return Buffer.from([tag, 0x82, length >> 8, length & 0xff])
  return Buffer.from([tag, 0x83, length >> 16, (length >> 8) & 0xff, length & 0xff])
}
