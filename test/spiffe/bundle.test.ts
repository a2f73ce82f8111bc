import fc from 'fast-check'
import t from 'tap'
import { isServiceError } from '../../src/errors.ts'
import {
  type Bundle,
  MAX_BUNDLE_BYTES,
  MAX_HINT_SECONDS,
  MAX_NAMED_SKIPS,
  MAX_SEQUENCE,
  parseBundle,
  writeBundle,
} from '../../src/spiffe/bundle.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'
import {
  ecJwk,
  example,
  exampleKey,
  type Members,
  meshA,
  parsed,
  rsaJwk,
} from '../support/bundles.ts'
import { seeded } from '../support/seeded.ts'

const textOf = (bundle: Bundle): string => new TextDecoder().decode(writeBundle(bundle))
const countsOf = (document: string | object): [number, number] => {
  const { bundle } = parsed(document)
  return [bundle.x509Authorities.length, bundle.jwtAuthorities.length]
}
const reasonsOf = (document: string | object): string[] =>
  parsed(document).skipped.map(({ index, reason }) => `${index} ${reason}`)

const withSequence = (sequence: string): string => `{"spiffe_sequence":${sequence},"keys":[]}`
/** The wrong twin of BU-04: it reads the sequence as a double. */
const doubleTwin = (text: string): number => JSON.parse(text).spiffe_sequence
const padded = (size: number): string => `{"keys":[]${' '.repeat(size - 11)}}`
const jwt = (change: object): object => ({ ...exampleKey('jwt-svid', { kid: 'k' }), ...change })
const hintOf = (hint: string): number | undefined =>
  parsed(`{"spiffe_refresh_hint":${hint},"keys":[]}`).bundle.refreshHintSeconds

/** The wrong twin of BU-11 that refuses the document for one key it does not know. */
const failingTwin = (keys: readonly Members[]): void => {
  for (const { use } of keys) {
    if (use !== 'x509-svid' && use !== 'jwt-svid') throw new Error(`unknown use ${String(use)}`)
  }
}

/** The wrong twin of BU-11 that compares `use` without case. */
const foldingTwin = (keys: readonly Members[]): number =>
  keys.filter(({ use, kty }) => kty === 'EC' && String(use).toLowerCase() === 'x509-svid').length

t.test('the worked example is read: one anchor, one JWT key, the WIT key skipped', async (t) => {
  const { bundle, skipped } = parsed(example)
  t.equal(bundle.trustDomain, 'mesh-a.example')
  t.equal(bundle.sequence, 42n)
  t.equal(bundle.refreshHintSeconds, 300)
  t.equal(bundle.x509Authorities[0]?.certificate[0], 0x30)
  t.equal(bundle.jwtAuthorities[0]?.kid, exampleKey('jwt-svid')['kid'])
  t.same(skipped, [{ index: 2, reason: 'has the unknown use "wit-svid"' }])
})

t.test(
  'BU-01 BU-02 BU-05 BU-06 BU-07 BU-08 X5-27 X5-28 JW-20 the written bundle has exactly the members that the standard names',
  async (t) => {
    const written = JSON.parse(textOf(parsed(example).bundle))
    t.same(Object.keys(written), ['spiffe_sequence', 'spiffe_refresh_hint', 'keys'])
    t.equal(written.spiffe_sequence, 42)
    t.equal(written.spiffe_refresh_hint, 300)
    t.same(
      written.keys.map((key: object) => Object.keys(key)),
      [
        ['kty', 'use', 'kid', 'crv', 'x', 'y'],
        ['kty', 'use', 'crv', 'x', 'y', 'x5c'],
      ],
    )
    t.same(
      written.keys.map((key: { use: string }) => key.use),
      ['jwt-svid', 'x509-svid'],
    )
  },
)

t.test('BU-06 a bundle without authorities is written with an empty keys array', async (t) => {
  t.equal(
    textOf({
      trustDomain: meshA,
      sequence: 43n,
      refreshHintSeconds: 300,
      x509Authorities: [],
      jwtAuthorities: [],
    }),
    '{"spiffe_sequence":43,"spiffe_refresh_hint":300,"keys":[]}',
  )
})

t.test(
  'X5-29 the written x5c is one string of standard base64 that gives back the certificate',
  async (t) => {
    const { bundle } = parsed(example)
    const written = JSON.parse(textOf(bundle))
    t.same(written.keys[1].x5c, exampleKey('x509-svid')['x5c'])
    const bytes = Uint8Array.from(Buffer.from(written.keys[1].x5c[0], 'base64'))
    t.same(bundle.x509Authorities[0]?.certificate, bytes)
  },
)

t.test('the written bytes do not depend on the order in which authorities arrive', async (t) => {
  const keys = [
    exampleKey('x509-svid'),
    ...['b', 'a', 'ä', 'Z'].map((kid) => ({ ...ecJwk(), use: 'jwt-svid', kid })),
  ]
  const forward = parsed({ spiffe_sequence: 1, keys }).bundle
  const backward = parsed({ keys: keys.toReversed(), spiffe_sequence: 1 }).bundle
  t.equal(textOf(forward), textOf(backward))
  t.same(JSON.parse(textOf(forward)).keys.map((key: { kid?: string }) => key.kid), [
    'Z', 'a', 'b', 'ä', undefined,
  ]) // prettier-ignore
})

t.test('RSA keys travel with n and e only', async (t) => {
  const { bundle } = parsed({ keys: [{ ...rsaJwk(), use: 'jwt-svid', kid: 'r', alg: 'RS256' }] })
  t.same(Object.keys(JSON.parse(textOf(bundle)).keys[0]), ['kty', 'use', 'kid', 'n', 'e'])
})

t.test('BU-04 sequences beyond 2^53 stay exact, and a JSON.parse twin confuses them', async (t) => {
  const older = parsed(withSequence('9007199254740992')).bundle.sequence
  const newer = parsed(withSequence('9007199254740993')).bundle.sequence
  t.ok(older !== undefined && newer !== undefined && newer > older)
  t.equal(
    doubleTwin(withSequence('9007199254740992')),
    doubleTwin(withSequence('9007199254740993')),
    'the twin fails',
  )
  const largest = parsed(withSequence('18446744073709551615')).bundle
  t.equal(largest.sequence, MAX_SEQUENCE)
  t.equal(textOf(largest), '{"spiffe_sequence":18446744073709551615,"keys":[]}')
})

t.test(
  'BU-04 a sequence that is no unsigned 64-bit integer makes the document malformed',
  async (t) => {
    for (const sequence of [
      '-1',
      '18446744073709551616',
      '1.5',
      '1e3',
      '"42"',
      'true',
      '[]',
      '{}',
    ]) {
      t.throws(
        () => parsed(`{"spiffe_sequence":${sequence},"keys":[]}`),
        { code: 'BUNDLE_MALFORMED' },
        sequence,
      )
    }
    t.equal(parsed('{"keys":[]}').bundle.sequence, undefined)
    t.equal(parsed('{"spiffe_sequence":null,"keys":[]}').bundle.sequence, undefined)
    t.equal(parsed('{"spiffe_sequence":0,"keys":[]}').bundle.sequence, 0n)
  },
)

t.test('BU-09 unknown top-level members are accepted and not written again', async (t) => {
  const { bundle } = parsed({ ...example, future: { deep: [1, 2, { x: null }] }, spiffe_x: 'y' })
  t.equal(textOf(bundle), textOf(parsed(example).bundle))
})

t.test(
  'BU-11 unknown kty, unknown use, missing use and use in upper case each cost one entry only',
  async (t) => {
    const keys = [
      { kty: 'AKP', use: 'jwt-svid', kid: 'a', pub: 'AA' },
      exampleKey('jwt-svid', { use: 'future-svid' }),
      exampleKey('jwt-svid', { use: undefined }),
      exampleKey('x509-svid', { use: 'X509-SVID' }),
      exampleKey('x509-svid', { kty: undefined }),
      exampleKey('x509-svid'),
    ]
    t.same(countsOf({ keys }), [1, 0])
    t.same(reasonsOf({ keys }), [
      '0 has the unknown kty "AKP"',
      '1 has the unknown use "future-svid"',
      '2 has no use',
      '3 has the unknown use "X509-SVID"',
      '4 has no kty',
    ])
    t.throws(() => failingTwin(keys), 'the twin that fails on unknown use loses the good key')
    t.equal(foldingTwin(keys), 2, 'the twin that folds case trusts an entry that is none')
  },
)

t.test('BU-12 a document that is no bundle as a whole is malformed', async (t) => {
  const bad = [
    '{}', '{"keys":null}', '{"keys":{}}', '{"keys":"x"}', '{"keys":0}', '[]', 'null', '"x"', '42', 'true',
    '', '<!doctype html><title>502</title>', '{"keys":[]', '{"keys":[]}x', '{"Keys":[]}',
    '{"keys":[],"keys":[]}', '{"keys":[{"a":1,"a":2}]}',
  ] // prettier-ignore
  for (const text of bad) t.throws(() => parsed(text), { code: 'BUNDLE_MALFORMED' }, text)
  const notUtf8 = Uint8Array.from([
    ...new TextEncoder().encode('{"keys":[],"x":"'),
    0xff,
    0x22,
    0x7d,
  ])
  t.throws(() => parseBundle(meshA, notUtf8), { code: 'BUNDLE_MALFORMED' })
})

t.test('BU-12 FE-43 a document over 1 MiB or nested without end is malformed', async (t) => {
  t.same(countsOf(padded(MAX_BUNDLE_BYTES)), [0, 0])
  t.throws(() => parsed(padded(MAX_BUNDLE_BYTES + 1)), { code: 'BUNDLE_MALFORMED' })
  t.throws(() => parsed(`{"keys":${'['.repeat(500_000)}`), { code: 'BUNDLE_MALFORMED' })
})

t.test(
  'BU-13 malformed keys are skipped one by one, each with its reason, and the good ones stay',
  async (t) => {
    const garbage: [unknown, RegExp][] = [
      [null, /no JSON object/],
      [42, /no JSON object/],
      ['x', /no JSON object/],
      [[], /no JSON object/],
      [{}, /no use/],
      [jwt({ use: 7 }), /odd use/],
      [jwt({ kty: 'EC', crv: 'P-192' }), /crv/],
      [jwt({ crv: 'secp256k1' }), /crv/],
      [jwt({ crv: undefined }), /crv/],
      [jwt({ x: 'AA' }), /"x"/],
      [jwt({ x: `${'A'.repeat(42)}=` }), /"x"/],
      [jwt({ y: undefined }), /"y"/],
      [jwt({ y: 'A'.repeat(42) + '+' }), /"y"/],
      [jwt({ y: 'A'.repeat(42) + 'B' }), /"y"/],
      [jwt({ crv: 'P-384' }), /"x"/],
      [jwt({ kty: 'RSA' }), /"n"/],
      [jwt({ ...rsaJwk(), e: '' }), /"e"/],
      [jwt({ ...rsaJwk(), n: `AA${'A'.repeat(340)}` }), /"n"/],
      [jwt({ kty: 'oct', k: 'AAAA' }), /private member "k"/],
      [jwt({ kty: 'OKP', crv: 'Ed25519' }), /unknown kty "OKP"/],
      [exampleKey('x509-svid', { x5c: 'MII' }), /missing or empty x5c/],
      [exampleKey('x509-svid', { x5c: [7] }), /standard base64/],
      [exampleKey('x509-svid', { x5c: [''] }), /standard base64/],
    ]
    const keys = [
      ...garbage.map(([entry]) => entry),
      exampleKey('jwt-svid'),
      exampleKey('x509-svid'),
    ]
    t.same(countsOf({ keys }), [1, 1])
    for (const [index, [, pattern]] of garbage.entries())
      t.match(reasonsOf({ keys })[index], pattern)
  },
)

t.test('BU-14 a hint of odd shape counts as absent', async (t) => {
  for (const odd of [
    '0',
    '-5',
    '1.5',
    '"300"',
    '1000000000000',
    '1e999',
    'null',
    'true',
    '[300]',
    '{}',
    '3e2',
  ]) {
    t.equal(hintOf(odd), undefined, odd)
  }
  t.equal(hintOf('1'), 1)
  t.equal(hintOf(String(MAX_HINT_SECONDS)), MAX_HINT_SECONDS)
  t.equal(parsed('{"keys":[]}').bundle.refreshHintSeconds, undefined)
})

t.test('BU-15 no keys, or none that survives, is a valid bundle that trusts nobody', async (t) => {
  const revoked = '{"spiffe_sequence":43,"spiffe_refresh_hint":300,"keys":[]}'
  t.same(countsOf(revoked), [0, 0])
  const unknownOnly = {
    spiffe_sequence: 43,
    keys: [exampleKey('jwt-svid', { use: 'future-svid' })],
  }
  t.same(countsOf(unknownOnly), [0, 0])
  const stored = parsed(example).bundle
  const keepsLastGood = (fetched: Bundle): Bundle =>
    fetched.x509Authorities.length + fetched.jwtAuthorities.length === 0 ? stored : fetched
  for (const document of [revoked, unknownOnly]) {
    const { bundle } = parsed(document)
    t.equal(bundle.x509Authorities.length, 0)
    t.equal(keepsLastGood(bundle).x509Authorities.length, 1, 'the wrong twin un-revokes the key')
  }
})

t.test(
  'BU-16 the parsed bundle carries the domain it was asked for, as the document names none',
  async (t) => {
    const bytes = new TextEncoder().encode(JSON.stringify(example))
    t.equal(
      parseBundle(parseTrustDomain('other.example'), bytes).bundle.trustDomain,
      'other.example',
    )
  },
)

t.test(
  'BU-17 a key published with its private members is not used, and private members are never written',
  async (t) => {
    const keys = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k', 'oth'].map((member, index) =>
      exampleKey('jwt-svid', { kid: `k${index}`, [member]: 'AAAA' }),
    )
    t.same(countsOf({ keys }), [0, 0])
    t.match(reasonsOf({ keys })[0], /publishes its private member "d"/)
    const jwk = { ...ecJwk(), kty: 'EC', d: 'secret' }
    const leaky: Bundle = {
      trustDomain: meshA,
      sequence: 1n,
      refreshHintSeconds: undefined,
      x509Authorities: [],
      jwtAuthorities: [{ kid: 'k', jwk }],
    }
    t.notMatch(textOf(leaky), /secret|"d"/)
  },
)

t.test(
  'X5-29 x5c in base64url, PEM, without padding, with blanks or stray bits costs that entry',
  async (t) => {
    const good = String((exampleKey('x509-svid')['x5c'] as string[])[0])
    const bad = [
      good.replaceAll('+', '-').replaceAll('/', '_'),
      `-----BEGIN CERTIFICATE-----\n${good}\n-----END CERTIFICATE-----`,
      `${good.slice(0, 64)}\n${good.slice(64)}`,
      ` ${good}`,
      'MIIBrA',
      'MIIBrB==',
      'MIIB=',
    ]
    for (const x5c of bad)
      t.same(countsOf({ keys: [exampleKey('x509-svid', { x5c: [x5c] })] }), [0, 0])
    t.same(countsOf({ keys: [exampleKey('x509-svid', { x5c: [good] })] }), [1, 0])
  },
)

t.test('X5-31 an entry without x5c is skipped and the good one beside it is used', async (t) => {
  for (const x5c of [undefined, [], null, {}]) {
    t.same(countsOf({ keys: [exampleKey('x509-svid', { x5c }), exampleKey('x509-svid')] }), [1, 0])
  }
})

t.test('X5-32 of several x5c values only the first counts', async (t) => {
  const first = String((exampleKey('x509-svid')['x5c'] as string[])[0])
  const { bundle } = parsed({ keys: [exampleKey('x509-svid', { x5c: [first, 'AAAA', 42] })] })
  t.equal(bundle.x509Authorities.length, 1)
  t.equal(JSON.parse(textOf(bundle)).keys[0].x5c.length, 1)
  t.same(countsOf({ keys: [exampleKey('x509-svid', { x5c: ['', first] })] }), [0, 0])
})

t.test('X5-33 a bundle with JWT keys only has no X.509 anchor', async (t) => {
  t.same(countsOf({ keys: [exampleKey('jwt-svid')] }), [0, 1])
})

t.test('a certificate that appears twice is one anchor', async (t) => {
  const keys = [exampleKey('x509-svid'), exampleKey('x509-svid', { kid: 'odd' })]
  t.same(countsOf({ keys }), [1, 0])
  t.match(reasonsOf({ keys })[0], /^1 repeats/)
})

t.test('JW-23 a JWT key without kid is skipped and the others are used', async (t) => {
  for (const kid of [undefined, '', null, 7]) {
    const keys = [exampleKey('jwt-svid', { kid }), exampleKey('jwt-svid')]
    t.same(countsOf({ keys }), [0, 1])
    t.same(reasonsOf({ keys }), ['0 has no kid'])
  }
})

t.test(
  'JW-23 two different keys under one kid make that kid unusable and leave the rest',
  async (t) => {
    const two = [ecJwk(), ecJwk(), ecJwk()].map((jwk) => ({ ...jwk, use: 'jwt-svid', kid: 'same' }))
    const other = exampleKey('jwt-svid')
    const { bundle, skipped } = parsed({ keys: [two[0], other, two[1], two[0], two[2]] })
    t.same(
      bundle.jwtAuthorities.map(({ kid }) => kid),
      [other['kid']],
    )
    t.same(
      skipped.map(({ index }) => index),
      [0, 2, 3, 4],
    )
    t.match(skipped[0]?.reason, /shares the kid "same" with a different key/)
  },
)

t.test('JW-23 the same key twice under one kid is used once', async (t) => {
  const keys = [exampleKey('jwt-svid'), exampleKey('jwt-svid', { alg: 'ES256' })]
  t.same(countsOf({ keys }), [0, 1])
  t.match(reasonsOf({ keys })[0], /^1 repeats/)
})

t.test('a flood of bad entries is reported up to a bound', async (t) => {
  const { skipped } = parsed({ keys: Array.from({ length: 50_000 }, () => ({})) })
  t.equal(skipped.length, MAX_NAMED_SKIPS + 1)
  t.match(skipped.at(-1)?.reason, /and 49900 entries/)
})

t.test('a sequence or hint that nobody could read is never written', async (t) => {
  const { bundle } = parsed(example)
  for (const change of [{ sequence: -1n }, { sequence: MAX_SEQUENCE + 1n }]) {
    t.throws(() => writeBundle({ ...bundle, ...change }), { code: 'BUNDLE_MALFORMED' })
  }
  for (const refreshHintSeconds of [0, -1, 1.5, Number.NaN, Infinity, MAX_HINT_SECONDS + 1]) {
    t.throws(() => writeBundle({ ...bundle, refreshHintSeconds }), { code: 'BUNDLE_MALFORMED' })
  }
})

const names = fc.stringMatching(/^[a-z0-9._-]{1,20}$/).map(parseTrustDomain)
const coordinate = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => Buffer.from(bytes).toString('base64url'))
const jwks = fc.record({
  kty: fc.constant('EC'),
  crv: fc.constant('P-256'),
  x: coordinate,
  y: coordinate,
})
const certificates = fc.uint8Array({ minLength: 1, maxLength: 40 })
const bundles: fc.Arbitrary<Bundle> = fc.record({
  trustDomain: names,
  sequence: fc.option(fc.bigInt({ min: 0n, max: MAX_SEQUENCE }), { nil: undefined }),
  refreshHintSeconds: fc.option(fc.integer({ min: 1, max: MAX_HINT_SECONDS }), { nil: undefined }),
  x509Authorities: fc.uniqueArray(fc.record({ certificate: certificates, jwk: jwks }), {
    selector: ({ certificate }) => Buffer.from(certificate).toString('hex'),
    maxLength: 5,
  }),
  jwtAuthorities: fc.uniqueArray(
    fc.record({ kid: fc.string({ unit: 'grapheme', minLength: 1 }), jwk: jwks }),
    {
      selector: ({ kid }) => kid,
      maxLength: 5,
    },
  ),
})

t.test(
  'a written bundle is read back whole, and writing it again gives the same bytes',
  async (t) => {
    seeded(
      t,
      fc.property(bundles, (bundle) => {
        const bytes = writeBundle(bundle)
        const { bundle: again, skipped } = parseBundle(bundle.trustDomain, bytes)
        const sameCounts =
          again.x509Authorities.length === bundle.x509Authorities.length &&
          again.jwtAuthorities.length === bundle.jwtAuthorities.length
        const sameHead =
          again.sequence === bundle.sequence &&
          again.refreshHintSeconds === bundle.refreshHintSeconds
        return sameCounts && sameHead && skipped.length === 0 && textOf(again) === textOf(bundle)
      }),
    )
  },
)

t.test('whatever a peer serves, the parser answers or refuses with BUNDLE_MALFORMED', async (t) => {
  const anything = fc.oneof(
    fc.uint8Array({ maxLength: 50 }),
    fc.jsonValue({ maxDepth: 4 }).map((value) => new TextEncoder().encode(JSON.stringify(value))),
    fc
      .array(
        fc.dictionary(
          fc.constantFrom('kty', 'use', 'kid', 'crv', 'x', 'y', 'n', 'e', 'x5c'),
          fc.oneof(
            fc.constantFrom('EC', 'RSA', 'x509-svid', 'jwt-svid', 'P-256', 'AAAA'),
            fc.jsonValue({ maxDepth: 1 }),
          ),
        ),
      )
      .map((keys) => new TextEncoder().encode(JSON.stringify({ keys }))),
  )
  seeded(
    t,
    fc.property(anything, (bytes) => {
      try {
        return Array.isArray(parseBundle(meshA, bytes).skipped)
      } catch (thrown) {
        return isServiceError(thrown, 'BUNDLE_MALFORMED')
      }
    }),
    2000,
  )
})
