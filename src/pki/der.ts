import { ServiceError } from '../errors.ts'

/** Universal and context tags that certificates use (X.690 §8.1.2). */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
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
  const { bytes, contentStart, end } = expectTag(element, TAG.boolean, what)
  const value = bytes[contentStart]
  if (end - contentStart !== 1 || (value !== 0 && value !== 0xff)) {
    throw invalid(`${what} is no DER boolean`)
  }
  return value === 0xff
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
  const { bytes, contentStart, end } = expectTag(element, TAG.oid, what)
  let dotted = ''
  let value = 0
  let isOpen = false
  for (let at = contentStart; at < end; at += 1) {
    const octet = bytes[at] ?? 0
    if ((!isOpen && octet === 0x80) || value > 0xffffffff) throw invalid(`${what} is no identifier`)
    value = value * 128 + (octet & 0x7f)
    isOpen = octet >= 0x80
    if (isOpen) continue
    dotted = dotted === '' ? firstArcs(value) : `${dotted}.${value}`
    value = 0
  }
  if (isOpen || dotted === '') throw invalid(`${what} is cut off`)
  return dotted
}

/** The first number holds two arcs (X.690 §8.19.4). */
function firstArcs(value: number): string {
  const root = Math.min(2, Math.floor(value / 40))
  return `${root}.${value - root * 40}`
}

/** The octets of a BIT STRING that consists of whole octets (keys, signatures). */
export function readOctetBits(element: DerElement | undefined, what: string): Buffer {
  const content = contentOf(expectTag(element, TAG.bitString, what))
  if (content.length < 1 || content[0] !== 0) throw invalid(`${what} is no string of whole octets`)
  return content.subarray(1)
}

/** The first sixteen named bits of a BIT STRING, bit 0 first as the most significant (RFC 5280 §4.2.1.3). */
export function readNamedBits(element: DerElement | undefined, what: string): number {
  const { bytes, contentStart, end } = expectTag(element, TAG.bitString, what)
  const length = end - contentStart
  const unused = length > 0 ? bytes.readUInt8(contentStart) : 8
  if (length > 3 || unused > (length === 1 ? 0 : 7)) throw invalid(`${what} is malformed`)
  const octets = length === 1 ? 0 : bytes.readUIntBE(contentStart + 1, length - 1)
  if ((octets & ((1 << unused) - 1)) !== 0) throw invalid(`${what} sets bits that it calls unused`)
  return length === 3 ? octets : octets << 8
}

/** A moment in one of the two forms of RFC 5280 §4.1.2.5: Zulu, with seconds, without fractions. */
export function readTime(element: DerElement | undefined, what: string): Date {
  if (element === undefined) throw invalid(`${what} is missing`)
  const { bytes, tag, contentStart, end } = element
  const yearDigits = YEAR_DIGITS.get(tag)
  const isShaped = end - contentStart === (yearDigits ?? 0) + 11 && bytes[end - 1] === 0x5a
  if (yearDigits === undefined || !isShaped) {
    throw invalid(`${what} is no time as RFC 5280 writes it`)
  }
  const at = contentStart + yearDigits
  const [month, day] = [digits(bytes, at, 2), digits(bytes, at + 2, 2)]
  const [hour, minute] = [digits(bytes, at + 4, 2), digits(bytes, at + 6, 2)]
  const second = digits(bytes, at + 8, 2)
  const year = fullYear(digits(bytes, contentStart, yearDigits), yearDigits)
  const moment = new Date(Date.UTC(2000, month - 1, day, hour, minute, second))
  moment.setUTCFullYear(year, month - 1, day)
  const isSame =
    moment.getUTCMonth() === month - 1 && moment.getUTCDate() === day && hour < 24 && minute < 60
  if (!isSame || !(second <= 59)) throw invalid(`${what} is no moment of the calendar`)
  return moment
}

/** Text of a string that may hold ASCII only (IA5String and its implicitly tagged forms). */
export function readAscii(element: DerElement, what: string): string {
  const { bytes, contentStart, end } = element
  for (let at = contentStart; at < end; at += 1) {
    if ((bytes[at] ?? 0) > 0x7f) throw invalid(`${what} is not ASCII`)
  }
  return bytes.toString('latin1', contentStart, end)
}

/** The content octets in lower-case hex. */
export function readHex(element: DerElement): string {
  return element.bytes.toString('hex', element.contentStart, element.end)
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
function digits(bytes: Buffer, at: number, count: number): number {
  let value = 0
  for (let index = at; index < at + count; index += 1) {
    const digit = (bytes[index] ?? 0) - 0x30
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
