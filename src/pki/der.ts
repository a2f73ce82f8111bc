import { ServiceError } from '../errors.ts'

/** Universal and context tags that certificates use (X.690 §8.1.2). */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  printableString: 0x13,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const

/** The tag `[n]` of a context-specific element, primitive or constructed. */
export function contextTag(n: number, form: 'primitive' | 'constructed'): number {
  return (form === 'constructed' ? 0xa0 : 0x80) | n
}

/** One element inside a buffer: where it starts, where its content starts, and where both end. */
export interface DerElement {
  readonly bytes: Buffer
  readonly tag: number
  readonly start: number
  readonly contentStart: number
  readonly end: number
}

const CONSTRUCTED = 0x20
/** Four length octets would already allow 4 GiB; what we read is far smaller. */
const MAX_LENGTH_OCTETS = 3
/** Most children read of one element, so that a small input cannot cost much. */
const MAX_CHILDREN = 512

/**
 * Reads bytes that are exactly one DER element.
 *
 * Strict (X.690 §10): definite and shortest lengths, low tag numbers, nothing after the element. Throws
 * `DER_INVALID`.
 */
export function readDer(bytes: Uint8Array): DerElement {
  const buffer = asBuffer(bytes)
  const element = elementAt(buffer, 0, buffer.length)
  if (element.end !== buffer.length) {
    throw invalid(`${buffer.length - element.end} bytes after the end`)
  }
  return element
}

/** The elements inside a constructed element, in order; throws `DER_INVALID`. */
export function childrenOf(element: DerElement): DerElement[] {
  if ((element.tag & CONSTRUCTED) === 0) {
    throw invalid(`element ${hex(element.tag)} at ${element.start} holds no elements`)
  }
  const children: DerElement[] = []
  for (let at = element.contentStart; at < element.end;) {
    if (children.length === MAX_CHILDREN) throw invalid(`more than ${MAX_CHILDREN} elements in one`)
    const child = elementAt(element.bytes, at, element.end)
    children.push(child)
    at = child.end
  }
  return children
}

/** The element if it has the wanted tag; throws `DER_INVALID` naming what was wanted. */
export function expectTag(element: DerElement | undefined, tag: number, what: string): DerElement {
  if (element === undefined) throw invalid(`${what} is missing`)
  if (element.tag !== tag) {
    throw invalid(`${what} has tag ${hex(element.tag)}, wanted ${hex(tag)}`)
  }
  return element
}

/** The children of an element that must be a SEQUENCE. */
export function sequenceOf(element: DerElement | undefined, what: string): DerElement[] {
  return childrenOf(expectTag(element, TAG.sequence, what))
}

/** The content octets, a view without copying. */
export function contentOf(element: DerElement): Buffer {
  return element.bytes.subarray(element.contentStart, element.end)
}

/** The whole element with its tag and length, a view without copying. */
export function rawOf(element: DerElement): Buffer {
  return element.bytes.subarray(element.start, element.end)
}

/** A BOOLEAN; DER knows 00 and ff only. */
export function readBoolean(element: DerElement | undefined, what: string): boolean {
  const content = contentOf(expectTag(element, TAG.boolean, what))
  if (content.length !== 1 || (content[0] !== 0 && content[0] !== 0xff)) {
    throw invalid(`${what} is no DER boolean`)
  }
  return content[0] === 0xff
}

/** The octets of a non-negative INTEGER without a leading zero octet (zero is the one octet 00). */
export function readUnsigned(element: DerElement | undefined, what: string): Buffer {
  const content = contentOf(expectTag(element, TAG.integer, what))
  const [first, second] = content
  if (first === undefined) throw invalid(`${what} is empty`)
  if (first >= 0x80) throw invalid(`${what} is negative`)
  if (first !== 0 || second === undefined) return content
  if (second < 0x80) throw invalid(`${what} is padded with a zero octet`)
  return content.subarray(1)
}

/** A small non-negative INTEGER (at most 31 bits). */
export function readSmallInteger(element: DerElement | undefined, what: string): number {
  const octets = readUnsigned(element, what)
  if (octets.length > 4 || (octets.length === 4 && (octets[0] ?? 0) >= 0x80)) {
    throw invalid(`${what} is larger than 31 bits`)
  }
  return octets.readUIntBE(0, octets.length)
}

/** An OBJECT IDENTIFIER in dotted decimals. */
export function readOid(element: DerElement | undefined, what: string): string {
  const content = contentOf(expectTag(element, TAG.oid, what))
  const numbers: number[] = []
  let value = 0
  let isOpen = false
  for (const octet of content) {
    if ((!isOpen && octet === 0x80) || value > 0xffffffff) throw invalid(`${what} is no identifier`)
    value = value * 128 + (octet & 0x7f)
    isOpen = octet >= 0x80
    if (isOpen) continue
    numbers.push(value)
    value = 0
  }
  const [first, ...rest] = numbers
  if (isOpen || first === undefined) throw invalid(`${what} is cut off`)
  const root = Math.min(2, Math.floor(first / 40))
  return [root, first - root * 40, ...rest].join('.')
}

/** The octets of a BIT STRING that consists of whole octets (keys, signatures). */
export function readOctetBits(element: DerElement | undefined, what: string): Buffer {
  const content = contentOf(expectTag(element, TAG.bitString, what))
  if (content.length < 1 || content[0] !== 0) throw invalid(`${what} is no string of whole octets`)
  return content.subarray(1)
}

/** The first sixteen named bits of a BIT STRING, bit 0 first as the most significant (RFC 5280 §4.2.1.3). */
export function readNamedBits(element: DerElement | undefined, what: string): number {
  const content = contentOf(expectTag(element, TAG.bitString, what))
  const [unused, first, second] = content
  const isShaped = unused !== undefined && unused < 8 && content.length <= 3
  if (!isShaped || (first === undefined && unused !== 0)) throw invalid(`${what} is malformed`)
  const last = content.length === 1 ? 0 : (content.at(-1) ?? 0)
  if ((last & ((1 << unused) - 1)) !== 0) throw invalid(`${what} sets bits that it calls unused`)
  return ((first ?? 0) << 8) | (second ?? 0)
}

/** A moment in one of the two forms of RFC 5280 §4.1.2.5: Zulu, with seconds, without fractions. */
export function readTime(element: DerElement | undefined, what: string): Date {
  if (element === undefined) throw invalid(`${what} is missing`)
  const content = contentOf(element)
  const yearDigits = YEAR_DIGITS.get(element.tag)
  if (yearDigits === undefined || content.length !== yearDigits + 11 || content.at(-1) !== 0x5a) {
    throw invalid(`${what} is no time as RFC 5280 writes it`)
  }
  const [month, day, hour, minute, second] = [0, 2, 4, 6, 8].map((at) =>
    digits(content, yearDigits + at, 2),
  ) as [number, number, number, number, number]
  const moment = new Date(Date.UTC(2000, month - 1, day, hour, minute, second))
  moment.setUTCFullYear(fullYear(digits(content, 0, yearDigits), yearDigits), month - 1, day)
  const isSame =
    moment.getUTCMonth() === month - 1 && moment.getUTCDate() === day && hour < 24 && minute < 60
  if (!isSame || !(second <= 59)) throw invalid(`${what} is no moment of the calendar`)
  return moment
}

/** Text of a string that may hold ASCII only (IA5String and its implicitly tagged forms). */
export function readAscii(element: DerElement, what: string): string {
  const content = contentOf(element)
  for (const octet of content) if (octet > 0x7f) throw invalid(`${what} is not ASCII`)
  return content.toString('latin1')
}

const YEAR_DIGITS = new Map<number, number>([
  [TAG.utcTime, 2],
  [TAG.generalizedTime, 4],
])

/** UTCTime means 1950 to 2049 (RFC 5280 §4.1.2.5.1). */
function fullYear(year: number, yearDigits: number): number {
  if (yearDigits === 4) return year
  return year >= 50 ? 1900 + year : 2000 + year
}

/** NaN where a character is no digit, which no comparison then lets pass. */
function digits(content: Buffer, at: number, count: number): number {
  let value = 0
  for (let index = at; index < at + count; index += 1) {
    const digit = (content[index] ?? 0) - 0x30
    value = digit >= 0 && digit <= 9 ? value * 10 + digit : Number.NaN
  }
  return value
}

function elementAt(bytes: Buffer, start: number, limit: number): DerElement {
  const tag = bytes[start]
  const first = bytes[start + 1]
  if (tag === undefined || first === undefined || start + 2 > limit) {
    throw invalid(`element at ${start} is cut off`)
  }
  if ((tag & 0x1f) === 0x1f) throw invalid(`element at ${start} has a long tag number`)
  if (first < 0x80) return bounded({ bytes, tag, start, contentStart: start + 2 }, first, limit)
  const octets = first & 0x7f
  if (octets === 0) throw invalid(`element at ${start} has an indefinite length`)
  const contentStart = start + 2 + octets
  if (octets > MAX_LENGTH_OCTETS || contentStart > limit) {
    throw invalid(`element at ${start} has a length beyond its container`)
  }
  const length = bytes.readUIntBE(start + 2, octets)
  if (length < 0x80 || length < 2 ** (8 * (octets - 1))) {
    throw invalid(`element at ${start} has a length that is not the shortest`)
  }
  return bounded({ bytes, tag, start, contentStart }, length, limit)
}

function bounded(head: Omit<DerElement, 'end'>, length: number, limit: number): DerElement {
  const { bytes, tag, start, contentStart } = head
  const end = contentStart + length
  if (end > limit) throw invalid(`element at ${start} has a length beyond its container`)
  return { bytes, tag, start, contentStart, end }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function hex(tag: number): string {
  return `0x${tag.toString(16).padStart(2, '0')}`
}

function invalid(what: string): ServiceError {
  return new ServiceError('DER_INVALID', `not DER: ${what}`)
}
