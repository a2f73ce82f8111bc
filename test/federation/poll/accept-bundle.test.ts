import t from 'tap'
import {
  decideRead,
  type Ingestion,
  MAX_AUTHORITIES,
  readDocument,
} from '../../../src/federation/poll/accept-bundle.ts'
import { type ServiceError } from '../../../src/errors.ts'
import { MAX_NAMED_SKIPS } from '../../../src/spiffe/bundle.ts'
import { parseTrustDomain } from '../../../src/spiffe/trust-domain.ts'
import { bundleOf, FakeAuthority } from '../../support/fake-peer.ts'

const td = parseTrustDomain('globex.example')
const root = await FakeAuthority.root(td)
const other = await FakeAuthority.root(td)
const doc = (sequence: bigint | undefined, roots = [root], hint: number | undefined = 300) =>
  bundleOf(td, { sequence, hint, roots })
const bytes = (text: string) => new TextEncoder().encode(text)
const nothing: Ingestion = {
  policy: 'auto',
  held: undefined,
  before: undefined,
  inUse: undefined,
  newestFetched: undefined,
  acceptLowerSequence: false,
  distrusted: new Set(),
}
const fetched = (document: Uint8Array): Ingestion => {
  const { digest, bundle } = readDocument(td, document)
  return {
    ...nothing,
    inUse: { digest, origin: 'fetched' },
    newestFetched: { digest, sequence: bundle.sequence },
  }
}
const codeOf = (judge: () => unknown): string | undefined => {
  try {
    judge()
    return undefined
  } catch (error) {
    return (error as ServiceError).code
  }
}
const edited = (document: Uint8Array, edit: (keys: Record<string, unknown>[]) => unknown[]) => {
  const parsed = JSON.parse(new TextDecoder().decode(document))
  return bytes(JSON.stringify({ ...parsed, keys: edit(parsed.keys) }))
}

t.test('a first document is accepted, the same again is unchanged', async (t) => {
  t.match(decideRead(readDocument(td, doc(7n)), nothing), { kind: 'accepted', warnings: [] })
  t.equal(decideRead(readDocument(td, doc(7n)), fetched(doc(7n))).kind, 'unchanged')
})

t.test('the same bundle with its keys in another order is unchanged', async (t) => {
  const stored = doc(7n, [root, other])
  const shuffled = edited(stored, (keys) => keys.toReversed())
  t.notSame(Buffer.from(shuffled), Buffer.from(stored))
  t.equal(decideRead(readDocument(td, shuffled), fetched(stored)).kind, 'unchanged')
})

t.test('a hint or sequence alone is a change', async (t) => {
  t.equal(decideRead(readDocument(td, doc(7n, [root], 60)), fetched(doc(7n))).kind, 'accepted')
  t.equal(decideRead(readDocument(td, doc(8n)), fetched(doc(7n))).kind, 'accepted')
})

t.test(
  'FE-38 what was set by hand is replaced by the same content fetched: it was never verified',
  async (t) => {
    const hand: Ingestion = {
      ...nothing,
      inUse: { digest: readDocument(td, doc(7n)).digest, origin: 'manual' },
    }
    t.equal(decideRead(readDocument(td, doc(7n)), hand).kind, 'accepted')
  },
)

t.test('FE-37 a lower sequence is refused, unless a person accepts it for once', async (t) => {
  t.equal(
    codeOf(() => decideRead(readDocument(td, doc(6n)), fetched(doc(7n)))),
    'BUNDLE_SEQUENCE_REGRESSED',
  )
  const byHand = { ...fetched(doc(7n)), acceptLowerSequence: true }
  t.match(decideRead(readDocument(td, doc(6n)), byHand), {
    kind: 'accepted',
    warnings: [/went back from 7 to 6, accepted by hand/],
  })
})

t.test('FE-37 without a sequence the newest fetched wins', async (t) => {
  t.equal(
    decideRead(readDocument(td, doc(undefined, [other])), fetched(doc(undefined))).kind,
    'accepted',
  )
  t.equal(decideRead(readDocument(td, doc(1n)), fetched(doc(undefined))).kind, 'accepted')
  t.match(decideRead(readDocument(td, doc(undefined)), fetched(doc(7n))), {
    kind: 'accepted',
    warnings: [/no longer carries a sequence; it was 7/],
  })
})

t.test('FE-37 the same sequence with other content is accepted with a warning', async (t) => {
  t.match(decideRead(readDocument(td, doc(7n, [other])), fetched(doc(7n))), {
    kind: 'accepted',
    warnings: [/other content under the same sequence 7/],
  })
})

const PRECISE = [2n ** 53n, 2n ** 53n + 1n] as const

t.test('BU-04 sequences are ordered to the last of 64 bits', async (t) => {
  const [lower, higher] = PRECISE
  t.equal(decideRead(readDocument(td, doc(higher)), fetched(doc(lower))).kind, 'accepted')
  t.equal(
    codeOf(() => decideRead(readDocument(td, doc(lower)), fetched(doc(higher)))),
    'BUNDLE_SEQUENCE_REGRESSED',
  )
  const largest = 2n ** 64n - 1n
  t.equal(readDocument(td, doc(largest)).bundle.sequence, largest)
})

const twinSequence = (document: Uint8Array): number =>
  JSON.parse(new TextDecoder().decode(document)).spiffe_sequence

t.test('BU-04 the twin that orders with JSON.parse takes the older for the same', async (t) => {
  const [lower, higher] = PRECISE
  t.equal(twinSequence(doc(higher)) > twinSequence(doc(lower)), false, 'it misses the newer one')
})

t.test(
  'BU-11 a key of unknown kty or use, or without use, is skipped and reported, the good one used',
  async (t) => {
    const odd = edited(doc(1n), ([good]) => [
      { ...good, kty: 'AKP' },
      { ...good, use: 'future-svid' },
      { ...good, use: undefined },
      { ...good, use: 'X509-SVID' },
      good ?? {},
    ])
    const verdict = decideRead(readDocument(td, odd), nothing)
    t.match(verdict, { kind: 'accepted' })
    t.equal(verdict.read.bundle.x509Authorities.length, 1)
    t.equal(verdict.read.skipped.length, 4)
    t.equal(verdict.kind === 'accepted' && verdict.warnings.length, 4)
    t.throws(() => strictTwin(odd), /unknown/, 'the twin refuses the whole document')
    t.doesNotThrow(() => strictTwin(doc(1n)))
  },
)

/** A fetcher that fails on the first key it does not know, as SPIRE 1.15 does. */
function strictTwin(document: Uint8Array): void {
  for (const { kty, use } of JSON.parse(new TextDecoder().decode(document)).keys) {
    if (!['EC', 'RSA'].includes(kty)) throw new Error('unknown kty')
    if (!['x509-svid', 'jwt-svid'].includes(use)) throw new Error('unknown use')
  }
}

t.test('BU-13 a garbage entry beside a good one is skipped', async (t) => {
  const leaf = await root.issue({ uris: ['spiffe://globex.example/leaf'] })
  const leafDer = leaf.cert.replaceAll(/-----[^-]+-----|\s/g, '')
  const garbage = edited(doc(1n), ([good]) => [
    good ?? {},
    { ...good, x5c: ['bm90IGEgY2VydGlmaWNhdGU='] },
    { ...good, x5c: ['***'] },
    { ...good, x: 'AAAA' },
    { ...good, x5c: [leafDer] },
    'not even an object',
  ])
  const { bundle, skipped } = readDocument(td, garbage)
  t.equal(bundle.x509Authorities.length, 1)
  t.equal(skipped.length, 5)
})

t.test('FE-43 more authorities than anybody has are refused before any is looked at', async (t) => {
  const point = Buffer.alloc(32, 1).toString('base64url')
  const jwts = (count: number) =>
    edited(doc(1n), () =>
      Array.from({ length: count }, (_, index) => {
        return { use: 'jwt-svid', kid: `k${index}`, kty: 'EC', crv: 'P-256', x: point, y: point }
      }),
    )
  t.equal(
    codeOf(() => readDocument(td, jwts(MAX_AUTHORITIES + 1))),
    'BUNDLE_MALFORMED',
  )
  const { skipped } = readDocument(td, jwts(MAX_AUTHORITIES))
  t.equal(skipped.length, MAX_NAMED_SKIPS + 1, 'and not every odd one is named')
  t.match(skipped.at(-1)?.reason, /^and 1900 entries from here on are skipped$/)
})

t.test('BU-12 what is no bundle is refused, and is not an empty one', async (t) => {
  const documents = [
    '',
    '{}',
    '{"keys":null}',
    '{"keys":{}}',
    '[]',
    '"keys"',
    'null',
    '<html><body>503</body></html>',
    '{"keys":[]',
    '{"keys":[]}x',
    '{"keys":[],"keys":[]}',
    '{"spiffe_sequence":"7","keys":[]}',
    '{"spiffe_sequence":-1,"keys":[]}',
    '{"spiffe_sequence":18446744073709551616,"keys":[]}',
    '\ufeff{"keys":[]}x',
  ]
  for (const document of documents) {
    t.equal(
      codeOf(() => decideRead(readDocument(td, bytes(document)), fetched(doc(7n)))),
      'BUNDLE_MALFORMED',
      document,
    )
  }
  const invalidUtf8 = Uint8Array.of(...bytes('{"keys":[],"x":"'), 0xff, ...bytes('"}'))
  t.equal(
    codeOf(() => decideRead(readDocument(td, invalidUtf8), nothing)),
    'BUNDLE_MALFORMED',
  )
  const huge = bytes(`{"keys":[]${' '.repeat(1024 * 1024)}}`)
  t.equal(
    codeOf(() => decideRead(readDocument(td, huge), nothing)),
    'BUNDLE_MALFORMED',
  )
})

/** A fetcher that keeps the last bundle in which something survived. */
const keepingTwin = (document: Uint8Array, stored: number): number => {
  const usable = readDocument(td, document).bundle.x509Authorities.length
  return usable === 0 ? stored : usable
}

t.test(
  'BU-15 BU-17 an empty bundle, and one in which nothing survives, take everything away',
  async (t) => {
    const unknownOnly = edited(doc(8n), ([good]) => [{ ...good, use: 'future-svid' }])
    for (const document of [doc(8n, []), unknownOnly]) {
      const verdict = decideRead(readDocument(td, document), fetched(doc(7n)))
      t.equal(verdict.kind, 'accepted')
      t.equal(verdict.read.bundle.x509Authorities.length, 0)
      t.equal(keepingTwin(document, 1), 1, 'the twin un-revokes')
    }
  },
)

t.test('BU-17 a new document replaces, nothing is carried over', async (t) => {
  const { read } = decideRead(readDocument(td, doc(8n, [other])), fetched(doc(7n, [root])))
  t.same(
    read.bundle.x509Authorities.map(({ certificate }) => Buffer.from(certificate)),
    [Buffer.from(other.der)],
  )
})

t.test('BU-09 extra top-level members are passed over, __proto__ among them', async (t) => {
  const parsed = new TextDecoder().decode(doc(1n))
  const extra = bytes(parsed.replace('{', '{"__proto__":{"keys":[]},"constructor":1,"x":{"y":[]},'))
  t.equal(readDocument(td, extra).bundle.x509Authorities.length, 1)
})
