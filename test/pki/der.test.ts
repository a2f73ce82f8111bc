import fc from 'fast-check'
import t from 'tap'
import { ServiceError } from '../../src/errors.ts'
import {
  childrenOf,
  contentOf,
  readBoolean,
  readDer,
  readNamedBits,
  readOctetBits,
  readOid,
  readSmallInteger,
  readTime,
  readUnsigned,
  TAG,
} from '../../src/pki/der.ts'
import { octetBits, oid, sequence, time, tlv, TRUE, unsigned } from '../../src/pki/der-write.ts'
import { seeded } from '../support/seeded.ts'

const read = (hex: string) => readDer(Buffer.from(hex, 'hex'))
const INVALID = { code: 'DER_INVALID' }

t.test('lengths must be definite, shortest and inside their container', async (t) => {
  const refused = {
    'nothing at all': '',
    'a tag alone': '30',
    'an indefinite length': '30800000',
    'a long form where the short one fits': '04810100',
    'a padded long form': '0482000100',
    'more than three length octets': '048401000000',
    'a length beyond the end': '0402aa',
    'bytes after the end': '040100ff',
    'a long tag number': '1f810100',
    'a length that is cut off': '0482',
  }
  for (const [what, hex] of Object.entries(refused)) t.throws(() => read(hex), INVALID, what)
  t.equal(contentOf(read('0401aa')).toString('hex'), 'aa')
})

t.test('a child may not reach beyond its parent although the input goes on', async (t) => {
  t.throws(() => childrenOf(read('3003040500')), INVALID)
  t.throws(() => childrenOf(read('040100')), INVALID, 'a primitive element holds no elements')
})

t.test('values have one encoding', async (t) => {
  t.equal(readBoolean(read('0101ff'), 'x'), true)
  t.throws(() => readBoolean(read('010101'), 'x'), INVALID, 'TRUE is ff in DER')
  t.equal(readUnsigned(read('020100'), 'x').toString('hex'), '00')
  t.throws(() => readUnsigned(read('0200'), 'x'), INVALID, 'an empty integer')
  t.throws(() => readUnsigned(read('0201ff'), 'x'), INVALID, 'a negative integer')
  t.throws(() => readUnsigned(read('02020001'), 'x'), INVALID, 'a padded integer')
  t.equal(readUnsigned(read('02020080'), 'x').toString('hex'), '80')
  t.equal(readSmallInteger(read('02020100'), 'x'), 256)
  t.throws(() => readSmallInteger(read('02050080000000'), 'x'), INVALID)
  t.throws(() => readOctetBits(read('030101'), 'x'), INVALID)
  t.throws(() => readNamedBits(read('03020781'), 'x'), INVALID, 'a bit that is called unused')
  t.equal(readNamedBits(read('03020780'), 'x'), 0x8000)
  t.equal(readOid(read('0603551d11'), 'x'), '2.5.29.17')
  t.throws(() => readOid(read('0602559d'), 'x'), INVALID, 'cut off')
  t.throws(() => readOid(read('0603558011'), 'x'), INVALID, 'a padded arc')
})

t.test('times are written as RFC 5280 §4.1.2.5 wants them', async (t) => {
  const cases = [
    ['2049-12-31T23:59:59Z', TAG.utcTime, '491231235959Z'],
    ['2050-01-01T00:00:00Z', TAG.generalizedTime, '20500101000000Z'],
    ['1999-02-28T01:02:03Z', TAG.utcTime, '990228010203Z'],
  ] as const
  for (const [iso, tag, text] of cases) {
    const element = readDer(time(new Date(iso)))
    t.equal(element.tag, tag)
    t.equal(contentOf(element).toString(), text)
    t.equal(readTime(element, 'x').toISOString(), new Date(iso).toISOString())
  }
})

t.test('times that are no moments are refused', async (t) => {
  const texts = [
    '270229000000Z',
    '271301000000Z',
    '270100000000Z',
    '270101240000Z',
    '270101006000Z',
  ]
  const odd = [
    '270101000060Z',
    '2701010000Z',
    '270101000000+0000',
    '2701010000x0Z',
    '27010100000xZ',
  ]
  for (const text of [...texts, ...odd]) {
    t.throws(() => readTime(readDer(tlv(TAG.utcTime, Buffer.from(text))), 'x'), INVALID, text)
  }
  const fraction = tlv(TAG.generalizedTime, Buffer.from('20500101000000.5Z'))
  t.throws(() => readTime(readDer(fraction), 'x'), INVALID, 'a fraction')
})

t.test('what is written is read again', async (t) => {
  seeded(
    t,
    fc.property(fc.uint8Array({ maxLength: 70_000, size: 'max' }), (bytes) => {
      const element = readDer(tlv(TAG.octetString, bytes))
      return contentOf(element).equals(bytes)
    }),
    60,
  )
  seeded(
    t,
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 200n }), (value) => {
      const hex = value.toString(16)
      const octets = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex')
      const found = readUnsigned(readDer(unsigned(octets)), 'x').toString('hex')
      return BigInt(`0x${found}`) === value
    }),
  )
  const arcs = fc.tuple(
    fc.integer({ min: 0, max: 2 }),
    fc.integer({ min: 0, max: 39 }),
    fc.integer({ min: 0, max: 2 ** 31 - 1 }),
  )
  seeded(
    t,
    fc.property(arcs, (numbers) => {
      const dotted = numbers.join('.')
      return readOid(readDer(oid(dotted)), 'x') === dotted
    }),
  )
})

const walk = (bytes: Uint8Array): void => {
  const pending = [readDer(bytes)]
  for (let element = pending.pop(); element !== undefined; element = pending.pop()) {
    for (const act of [
      readBoolean,
      readUnsigned,
      readNamedBits,
      readOctetBits,
      readOid,
      readTime,
    ]) {
      try {
        act(element, 'x')
      } catch (thrown) {
        if (!(thrown instanceof ServiceError)) throw thrown
      }
    }
    if ((element.tag & 0x20) !== 0) pending.push(...childrenOf(element))
  }
}
const holds = (bytes: Uint8Array): boolean => {
  try {
    walk(bytes)
    return true
  } catch (thrown) {
    return thrown instanceof ServiceError
  }
}

t.test('only a ServiceError leaves the reader, whatever the bytes', async (t) => {
  const start = sequence(TRUE, octetBits(Buffer.from('aa', 'hex')), unsigned(Buffer.from([1])))
  seeded(t, fc.property(fc.uint8Array({ maxLength: 64 }), holds), 5000)
  const flips = fc.array(fc.tuple(fc.nat(start.length - 1), fc.nat(255)), { maxLength: 4 })
  seeded(
    t,
    fc.property(flips, (changes) => {
      const bytes = Buffer.from(start)
      for (const [at, value] of changes) bytes[at] = value
      return holds(bytes)
    }),
    5000,
  )
})
