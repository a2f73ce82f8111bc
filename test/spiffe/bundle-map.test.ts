import t from 'tap'
import { type Bundle } from '../../src/spiffe/bundle.ts'
import { parseBundleMap, writeBundleMap } from '../../src/spiffe/bundle-map.ts'
import { parseTrustDomain, type TrustDomain } from '../../src/spiffe/trust-domain.ts'
import { example, parsed } from '../support/bundles.ts'

const bundleOf = (name: string, sequence: bigint): Bundle => ({
  ...parsed(example).bundle,
  trustDomain: parseTrustDomain(name),
  sequence,
})
const textOf = (bundles: readonly Bundle[]): string =>
  new TextDecoder().decode(writeBundleMap(bundles))
const read = (text: string): Map<TrustDomain, Bundle> =>
  parseBundleMap(new TextEncoder().encode(text))

t.test(
  'BU-18 a map of no domains and of two is an object keyed by bare names in byte order',
  async (t) => {
    t.equal(textOf([]), '{"trust_domains":{}}')
    const written = JSON.parse(textOf([bundleOf('b.example', 7n), bundleOf('a.example', 42n)]))
    t.same(Object.keys(written), ['trust_domains'])
    t.same(Object.keys(written.trust_domains), ['a.example', 'b.example'])
    t.equal(written.trust_domains['b.example'].spiffe_sequence, 7)
  },
)

t.test('BU-18 two bundles of one domain cannot be written into one map', async (t) => {
  t.throws(() => textOf([bundleOf('a', 1n), bundleOf('a', 2n)]), { code: 'BUNDLE_MALFORMED' })
})

t.test(
  'BU-18 ID-10 a domain named __proto__ goes through a map and an upper-case one refuses it',
  async (t) => {
    const map = read(textOf([bundleOf('__proto__', 1n), bundleOf('a.example', 2n)]))
    t.equal(map.get(parseTrustDomain('__proto__'))?.sequence, 1n)
    t.equal(map.get(parseTrustDomain('a.example'))?.sequence, 2n)
    t.equal(map.size, 2)
    for (const name of ['Example.com', 'spiffe://a.example', '', 'a b']) {
      const text = `{"trust_domains":{${JSON.stringify(name)}:{"keys":[]}}}`
      t.throws(() => read(text), { code: 'BUNDLE_MALFORMED' }, name)
    }
  },
)

t.test(
  'BU-19 a map that names a domain twice is refused as a whole, and JSON.parse keeps the last silently',
  async (t) => {
    const text =
      '{"trust_domains":{"a":{"keys":[],"spiffe_sequence":1},"a":{"keys":[],"spiffe_sequence":2}}}'
    t.throws(() => read(text), { code: 'BUNDLE_MALFORMED' })
    t.equal(JSON.parse(text).trust_domains.a.spiffe_sequence, 2, 'the wrong twin reads one of them')
  },
)

t.test('BU-20 BU-21 hints are neither written into a map nor read from one', async (t) => {
  t.notMatch(textOf([bundleOf('a', 1n)]), /refresh_hint/)
  const map = read('{"trust_domains":{"a":{"keys":[],"spiffe_refresh_hint":1}}}')
  t.equal(map.get(parseTrustDomain('a'))?.refreshHintSeconds, undefined)
})

t.test('BU-22 one malformed bundle refuses the whole map', async (t) => {
  for (const inner of ['{}', 'null', '[]', '{"keys":null}', '{"keys":[],"spiffe_sequence":-1}']) {
    const text = `{"trust_domains":{"a":{"keys":[]},"b":${inner}}}`
    t.throws(() => read(text), { code: 'BUNDLE_MALFORMED' }, inner)
  }
})

t.test('documents that are no bundle map are refused', async (t) => {
  const bad = [
    '',
    '{}',
    '[]',
    'null',
    '{"trust_domains":[]}',
    '{"trust_domains":null}',
    '{"keys":[]}',
    'x',
  ]
  for (const text of bad) t.throws(() => read(text), { code: 'BUNDLE_MALFORMED' }, text)
  t.equal(read('{"trust_domains":{},"other":1}').size, 0)
})

t.test('a map is read back as it was written', async (t) => {
  const bundles = [bundleOf('a.example', 18446744073709551615n), bundleOf('b.example', 0n)]
  t.equal(textOf([...read(textOf(bundles)).values()]), textOf(bundles))
})
