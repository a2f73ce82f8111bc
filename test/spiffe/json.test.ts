import fc from 'fast-check'
import t from 'tap'
import { isServiceError } from '../../src/errors.ts'
import {
  DEFAULT_MAX_DEPTH,
  isJsonArray,
  isJsonObject,
  type JsonValue,
  MAX_INTEGER_DIGITS,
  parseJson,
} from '../../src/spiffe/json.ts'
import { seeded } from '../support/seeded.ts'

const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const limits = { maxBytes: 4 * 1024 * 1024 }
const parse = (text: string): JsonValue => parseJson(bytesOf(text), limits)

/** The value that JSON.parse would give: Maps as objects, integers as doubles. */
const plain = (value: JsonValue): unknown => {
  if (typeof value === 'bigint') return Number(value)
  if (isJsonArray(value)) return value.map(plain)
  if (!isJsonObject(value)) return value
  const entries = [...value].map(([name, member]) => [name, plain(member)] as const)
  return Object.fromEntries(entries)
}

t.test('objects are maps, integers are exact and other numbers are doubles', async (t) => {
  t.same(
    parse('{"a":[1,-7,0,1.5,1e3,-2E-2,true,false,null,"x"]}'),
    new Map([['a', [1n, -7n, 0n, 1.5, 1000, -0.02, true, false, null, 'x']]]),
  )
  t.equal(parse(' \t\r\n18446744073709551615 '), 18446744073709551615n)
  t.same(parse('{}'), new Map())
  t.same(parse('[ ]'), [])
})

t.test('strings are decoded with every escape', async (t) => {
  t.equal(parse('"\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e4\\ud83d\\ude00"'), '"\\/\b\f\n\r\tAä😀')
  t.equal(parse('"\\u0000"'), '\0')
  t.equal(parse('"ä€😀"'), 'ä€😀')
})

t.test('text that is not JSON is refused with the place where reading stopped', async (t) => {
  const bad = [
    '', ' ', 'nul', 'tru', 'True', 'undefined', 'NaN', 'Infinity', '-', '+1', '01', '-01', '1.', '.5',
    '1e', '1e+', '0x1', '1_000', '[', ']', '[1', '[1,', '[1,]', '[,1]', '[1 2]', '{', '}', '{"a"',
    '{"a":', '{"a":1', '{"a":1,', '{"a":1,}', '{a:1}', "{'a':1}", '{"a" 1}', '{"a":1 "b":2}', '{1:2}',
    '"', '"a', '"\\', '"\\x"', '"\\u12"', '"\\u12g4"', '"a\nb"', '"\t"', '1 2', '{}{}', '[] x', '// x\n1',
    '/* */1', '\u00a01', '1\u00a0', '<html>', 'null,', '"\\u"', '"\\', '[}', '{]',
  ] // prettier-ignore
  for (const text of bad) {
    t.throws(() => parse(text), { code: 'JSON_INVALID', message: /at character \d+$/ }, text)
  }
})

t.test(
  'BU-19 duplicate member names are refused, also when one is written with escapes',
  async (t) => {
    t.throws(() => parse('{"a":1,"a":1}'), {
      code: 'JSON_INVALID',
      message: /two members named "a"/,
    })
    t.throws(() => parse('{"a":1,"\\u0061":2}'), { code: 'JSON_INVALID' })
    t.throws(() => parse('[{"x":{"__proto__":1,"__proto__":2}}]'), { code: 'JSON_INVALID' })
    t.same(parse('{"a":1,"A":2}'), new Map([['a', 1n], ['A', 2n]])) // prettier-ignore
    t.equal(JSON.parse('{"a":1,"a":2}').a, 2, 'the twin keeps the last one silently')
  },
)

t.test('BU-12 invalid UTF-8, a byte order mark and lone surrogates are refused', async (t) => {
  const broken = [
    [0x22, 0xff, 0x22],
    [0x22, 0xc0, 0xaf, 0x22],
    [0x22, 0xed, 0xa0, 0x80, 0x22],
    [0x22, 0xe2, 0x82, 0x22],
    [0xef, 0xbb, 0xbf, 0x31],
    [0xff, 0xfe, 0x31, 0x00],
  ]
  for (const bytes of broken) {
    t.throws(() => parseJson(Uint8Array.from(bytes), limits), { code: 'JSON_INVALID' })
  }
  for (const text of ['"\\ud800"', '"\\udc00x"', '{"\\ud83d":1}', '"\\ude00\\ud83d"']) {
    t.throws(() => parse(text), { code: 'JSON_INVALID', message: /lone surrogate/ })
  }
})

t.test('members named like those of object prototypes are ordinary members', async (t) => {
  const value = parse('{"__proto__":{"polluted":1},"constructor":2}')
  t.ok(isJsonObject(value))
  t.equal(isJsonObject(value) ? value.get('constructor') : undefined, 2n)
  t.equal(Reflect.get({}, 'polluted'), undefined)
})

t.test(
  'a document over its size limit is refused and one of exactly the limit is read',
  async (t) => {
    t.equal(parseJson(bytesOf('"abc"'), { maxBytes: 5 }), 'abc')
    t.throws(() => parseJson(bytesOf('"abcd"'), { maxBytes: 5 }), { code: 'JSON_INVALID' })
  },
)

t.test(
  'nesting is allowed up to the limit and a million brackets do not end the process',
  async (t) => {
    t.ok(parse(nested(DEFAULT_MAX_DEPTH)))
    t.throws(() => parse(nested(DEFAULT_MAX_DEPTH + 1)), {
      code: 'JSON_INVALID',
      message: /nested/,
    })
    t.throws(() => parse('['.repeat(1_000_000)), { code: 'JSON_INVALID' })
    t.throws(() => parse('{"a":'.repeat(500_000)), { code: 'JSON_INVALID' })
    const siblings = `[${Array.from({ length: 1000 }, () => '[[]]').join(',')}]`
    t.doesNotThrow(() => parseJson(bytesOf(siblings), { ...limits, maxDepth: 3 }))
  },
)

t.test('integers are exact up to the digit limit and longer ones are refused', async (t) => {
  const longest = '9'.repeat(MAX_INTEGER_DIGITS)
  t.equal(parse(longest), BigInt(longest))
  t.throws(() => parse(`${longest}9`), { code: 'JSON_INVALID' })
})

t.test('reading takes time in proportion to the length, whatever is inside', async (t) => {
  const shapes: ((size: number) => string)[] = [
    (size) => `"${'\\u0041'.repeat(size / 6)}"`,
    (size) => `"${'a'.repeat(size)}"`,
    (size) => `[${'"\\n",'.repeat(size / 5)}1]`,
    (size) => `[${'{},'.repeat(size / 3)}1]`,
    (size) => `{${Array.from({ length: size / 10 }, (_, n) => `"${n}":1`).join(',')}}`,
    (size) => `${' '.repeat(size)}1`,
    (size) => `"${'a'.repeat(size)}`,
    (size) => '['.repeat(size),
    (size) => `[${'1234567890123456789,'.repeat(size / 20)}1]`,
  ]
  for (const shape of shapes) {
    const small = timeOf(shape(100_000))
    const large = timeOf(shape(1_600_000))
    // 16 times the length; quadratic work would take 256 times as long
    t.ok(large < 160 * Math.max(small, 1), `${large.toFixed(1)} ms against ${small.toFixed(1)} ms`)
  }
})

const timeOf = (text: string): number => {
  const bytes = bytesOf(text)
  const runs = Array.from({ length: 3 }, () => {
    const start = performance.now()
    attempt(bytes)
    return performance.now() - start
  })
  return Math.min(...runs)
}

const REFUSED = Symbol('refused')
const attempt = (bytes: Uint8Array): JsonValue | typeof REFUSED => {
  try {
    return parseJson(bytes, limits)
  } catch (thrown) {
    if (isServiceError(thrown, 'JSON_INVALID')) return REFUSED
    throw thrown
  }
}

t.test('the parser agrees with JSON.parse on every valid document', async (t) => {
  const values = fc.jsonValue({ maxDepth: 6, noUnicodeString: false, stringUnit: 'grapheme' })
  seeded(
    t,
    fc.property(values, fc.nat(3), (value, indent) => {
      const text = JSON.stringify(value, undefined, indent)
      return JSON.stringify(plain(parse(text))) === JSON.stringify(JSON.parse(text))
    }),
  )
})

t.test('whatever bytes arrive, the parser answers or refuses with JSON_INVALID', async (t) => {
  seeded(
    t,
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => attempt(bytes) !== undefined),
  )
  const tokens = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"',
    '"a"',
    '1',
    '-',
    '\\',
    'e9',
    ' ',
    'null',
  )
  seeded(
    t,
    fc.property(fc.array(tokens, { maxLength: 30 }), (parts) => {
      const text = parts.join('')
      const accepted = attempt(bytesOf(text)) !== REFUSED
      return !accepted || JSON.stringify(JSON.parse(text)) !== undefined
    }),
    5000,
  )
})

t.test('what the parser refuses of JSON.parse-valid text is only what it says', async (t) => {
  const members = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.nat(9)), { maxLength: 4 })
  seeded(
    t,
    fc.property(members, (list) => {
      const text = `{${list.map(([name, value]) => `"${name}":${value}`).join(',')}}`
      const isUnique = new Set(list.map(([name]) => name)).size === list.length
      return (attempt(bytesOf(text)) !== REFUSED) === isUnique
    }),
  )
})
