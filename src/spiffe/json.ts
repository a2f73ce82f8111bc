import { messageOf, quoted, ServiceError } from '../errors.ts'

/** A parsed JSON value: objects are `Map`s, integer tokens are `bigint`, all other numbers `number`. */
export type JsonValue =
  null | boolean | string | number | bigint | readonly JsonValue[] | ReadonlyMap<string, JsonValue>

/** A parsed JSON object. */
export type JsonObject = ReadonlyMap<string, JsonValue>

/** Bounds of {@link parseJson}. */
export interface JsonLimits {
  readonly maxBytes: number
  /** Arrays and objects inside each other; default {@link DEFAULT_MAX_DEPTH}. */
  readonly maxDepth?: number
}

/** A bundle map needs 5 levels; more room than any document we read, far from the stack's end. */
export const DEFAULT_MAX_DEPTH = 32

/** Longest integer token; keeps reading linear, as a million digits take longer than their length. */
export const MAX_INTEGER_DIGITS = 1024

/**
 * Reads strict JSON (RFC 8259) in linear time.
 *
 * Beyond `JSON.parse` it refuses invalid UTF-8, a byte order mark, lone surrogates, duplicate member names
 * (BU-19), documents over `maxBytes` and nesting over `maxDepth`; and it keeps every integer exact (BU-04).
 * Throws `JSON_INVALID` with the offset, in characters, where reading stopped.
 */
export function parseJson(bytes: Uint8Array, limits: JsonLimits): JsonValue {
  if (bytes.byteLength > limits.maxBytes) {
    const found = `${bytes.byteLength} bytes, at most ${limits.maxBytes} are allowed`
    throw new ServiceError('JSON_INVALID', `document has ${found}`)
  }
  const reader = new Reader(decodeUtf8(bytes), limits.maxDepth ?? DEFAULT_MAX_DEPTH)
  return reader.document()
}

/** Whether a value is a JSON object. */
export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return value instanceof Map
}

/** Whether a value is a JSON array. */
export function isJsonArray(value: JsonValue | undefined): value is readonly JsonValue[] {
  return Array.isArray(value)
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw new ServiceError('JSON_INVALID', `document is not UTF-8: ${messageOf(cause)}`, { cause })
  }
}

// Sticky, so that each matches only at `lastIndex`, and without backtracking.
const BLANKS = /[ \t\n\r]*/y
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y
// oxlint-disable-next-line no-control-regex -- these are the characters that a JSON string must escape
const PLAIN = /[^"\\\u0000-\u001f]*/y
const UNICODE_ESCAPE = /[0-9a-fA-F]{4}/y
const SHORT_ESCAPES = new Map([
  ['"', '"'],
  ['\\', '\\'],
  ['/', '/'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
])
const WORDS = new Map<string, readonly [string, JsonValue]>([
  ['t', ['true', true]],
  ['f', ['false', false]],
  ['n', ['null', null]],
])

class Reader {
  readonly #text: string
  readonly #maxDepth: number
  #at = 0
  #depth = 0

  constructor(text: string, maxDepth: number) {
    this.#text = text
    this.#maxDepth = maxDepth
  }

  document(): JsonValue {
    const value = this.#value()
    this.#skipBlanks()
    if (this.#at < this.#text.length) throw this.#unexpected('the end of the document')
    return value
  }

  #value(): JsonValue {
    this.#skipBlanks()
    const next = this.#text.charAt(this.#at)
    if (next === '{') return this.#nested(() => this.#object())
    if (next === '[') return this.#nested(() => this.#array())
    if (next === '"') return this.#string()
    const word = WORDS.get(next)
    return word === undefined ? this.#number() : this.#word(word)
  }

  #nested<T>(read: () => T): T {
    this.#depth += 1
    if (this.#depth > this.#maxDepth) throw this.#fault(`is nested deeper than ${this.#maxDepth}`)
    this.#at += 1
    const value = read()
    this.#depth -= 1
    return value
  }

  #object(): JsonObject {
    const members = new Map<string, JsonValue>()
    if (this.#takes('}')) return members
    do {
      this.#skipBlanks()
      if (this.#text.charAt(this.#at) !== '"') throw this.#unexpected('a member name')
      const name = this.#string()
      if (members.has(name)) throw this.#fault(`has two members named ${quoted(name)}`)
      if (!this.#takes(':')) throw this.#unexpected('":"')
      members.set(name, this.#value())
    } while (this.#takes(','))
    if (!this.#takes('}')) throw this.#unexpected('"," or "}"')
    return members
  }

  #array(): readonly JsonValue[] {
    const items: JsonValue[] = []
    if (this.#takes(']')) return items
    do items.push(this.#value())
    while (this.#takes(','))
    if (!this.#takes(']')) throw this.#unexpected('"," or "]"')
    return items
  }

  #word([word, value]: readonly [string, JsonValue]): JsonValue {
    if (!this.#text.startsWith(word, this.#at)) throw this.#unexpected('a value')
    this.#at += word.length
    return value
  }

  #number(): JsonValue {
    const match = this.#match(NUMBER)
    if (match === null) throw this.#unexpected('a value')
    const [token, fraction, exponent] = match
    if (fraction !== undefined || exponent !== undefined) return Number(token)
    if (token.length > MAX_INTEGER_DIGITS) {
      throw this.#fault(`has an integer of more than ${MAX_INTEGER_DIGITS} digits`)
    }
    return BigInt(token)
  }

  #string(): string {
    this.#at += 1
    const parts: string[] = []
    for (;;) {
      parts.push(this.#match(PLAIN)?.[0] ?? '')
      const stop = this.#text.charAt(this.#at)
      if (stop === '"') break
      if (stop !== '\\') throw this.#unexpected('the end of a string')
      parts.push(this.#escape())
    }
    this.#at += 1
    const text = parts.join('')
    if (!text.isWellFormed()) throw this.#fault('has a string with a lone surrogate')
    return text
  }

  #escape(): string {
    const kind = this.#text.charAt(this.#at + 1)
    const short = SHORT_ESCAPES.get(kind)
    this.#at += 2
    if (short !== undefined) return short
    const digits = kind === 'u' ? this.#match(UNICODE_ESCAPE) : null
    if (digits === null) throw this.#fault('has an unknown escape in a string')
    return String.fromCharCode(Number.parseInt(digits[0], 16))
  }

  #skipBlanks(): void {
    this.#match(BLANKS)
  }

  #takes(character: string): boolean {
    this.#skipBlanks()
    if (this.#text.charAt(this.#at) !== character) return false
    this.#at += 1
    return true
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at
    const match = pattern.exec(this.#text)
    if (match !== null) this.#at += match[0].length
    return match
  }

  #unexpected(wanted: string): ServiceError {
    const found = this.#text.charAt(this.#at)
    return this.#fault(`has ${found === '' ? 'its end' : quoted(found)} where ${wanted} is wanted`)
  }

  #fault(what: string): ServiceError {
    return new ServiceError('JSON_INVALID', `document ${what}, at character ${this.#at}`)
  }
}
