import fc from 'fast-check'
import { toPem } from '../../src/pki/certificate.ts'
import { generateKeyPair, publicJwk } from '../../src/pki/key-pair.ts'
import { testAuthority } from './authority.ts'
import { ecJwk, example, rsaJwk } from './bundles.ts'
import { forgeLeaf, forgeCa } from './forge.ts'

/** A JSON text; documents are made as text so that they can hold what no writer of ours would write. */
export type Text = string

const base64 = (der: Uint8Array): string => Buffer.from(der).toString('base64')

function x509Entry(der: Uint8Array, jwk: object): object {
  return { use: 'x509-svid', ...jwk, x5c: [base64(der)] }
}

function authorities(): readonly object[] {
  const made = ['ES256', 'ES384', 'RS256', 'ES256'] as const
  return made.map((algorithm) => {
    const { root, rootKeys } = testAuthority('peer.example', { algorithm })
    return x509Entry(root, publicJwk(rootKeys.publicKey))
  })
}

const X509 = authorities()
const [FIRST = {}] = X509
const JWT = [ecJwk(), ecJwk('P-384'), rsaJwk(), ecJwk()]
const CA = forgeCa({ subject: 'x' })
const LEAF = forgeLeaf({ issuer: CA })
const PEM = toPem(CA.der)

const x509 = fc.constantFrom(...X509)
const jwt = fc
  .tuple(fc.constantFrom('a', 'b', 'c', '__proto__', 'constructor', 'é'), fc.constantFrom(...JWT))
  .map(([kid, jwk]) => ({ use: 'jwt-svid', kid, ...jwk }))

/** Entries that are wrong in one way each. */
const wrong = fc.constantFrom<unknown>(
  ...example.keys,
  null,
  7,
  'key',
  [],
  {},
  { ...FIRST, use: undefined },
  { ...FIRST, use: 'X509-SVID' },
  { ...FIRST, use: 'wit-svid' },
  { ...FIRST, use: ['x509-svid'] },
  { ...FIRST, x5c: [] },
  { ...FIRST, x5c: 'MIIB' },
  { ...FIRST, x5c: ['!'] },
  { ...FIRST, x5c: ['AAAA'] },
  { ...FIRST, x5c: [PEM] },
  { ...FIRST, kty: 'oct' },
  { ...FIRST, ...publicJwk(generateKeyPair().publicKey) },
  x509Entry(LEAF.der, publicJwk(LEAF.keys.publicKey)),
  x509Entry(CA.der.subarray(0, -1), publicJwk(CA.keys.publicKey)),
  { ...JWT[0], use: 'jwt-svid' },
  { ...JWT[0], use: 'jwt-svid', kid: 7 },
  { ...JWT[0], use: 'jwt-svid', kid: '' },
  { ...JWT[0], use: 'jwt-svid', kid: 'off', y: Buffer.alloc(32, 1).toString('base64url') },
  { ...JWT[0], use: 'jwt-svid', kid: 'curve', crv: 'P-1' },
  { ...JWT[2], use: 'jwt-svid', kid: 'small', n: 'AQAB' },
)

/** Entries with members added or replaced by anything at all. */
const strange = fc
  .tuple(fc.oneof(x509, jwt), fc.dictionary(fc.string({ maxLength: 8 }), fc.jsonValue()))
  .map(([entry, more]) => ({ ...entry, ...more }))

const keys = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: x509 },
    { weight: 4, arbitrary: jwt },
    { weight: 3, arbitrary: wrong },
    strange,
  ),
  { maxLength: 12 },
)

const sequence = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String),
  fc.constantFrom('0', '9007199254740993', '18446744073709551615'),
  { weight: 1, arbitrary: fc.constantFrom('-1', '1.5', '"7"', 'null', '18446744073709551616') },
)
const hint = fc.oneof(
  fc.integer({ min: 1, max: 100_000 }).map(String),
  fc.constantFrom('0', '-5', '1.5', 'null', '"300"', '[]', `1${'0'.repeat(30)}`),
)

/** A document by its members, each as it stands in the text, and how many entries its `keys` has. */
export interface Made {
  readonly text: Text
  readonly keys: readonly unknown[]
}

/** Documents with the shape of a bundle, good and bad entries mixed. */
export const bundles: fc.Arbitrary<Made> = fc
  .record({
    keys,
    sequence: fc.option(sequence, { nil: undefined }),
    hint: fc.option(hint, { nil: undefined }),
    more: fc.dictionary(fc.string({ maxLength: 6 }), fc.jsonValue(), { maxKeys: 2 }),
  })
  .map((made) => {
    const members = [
      ...(made.sequence === undefined ? [] : [`"spiffe_sequence":${made.sequence}`]),
      ...(made.hint === undefined ? [] : [`"spiffe_refresh_hint":${made.hint}`]),
      `"keys":${JSON.stringify(made.keys)}`,
      ...Object.entries(made.more).map(
        ([name, value]) => `${JSON.stringify(`x-${name}`)}:${JSON.stringify(value)}`,
      ),
    ]
    return { text: `{${members.join(',')}}`, keys: JSON.parse(JSON.stringify(made.keys)) }
  })

const names = fc.constantFrom('a.example', 'b.example', '__proto__', 'constructor', 'a_b-c.1', 'x')

/** Bundle maps by the name of each domain, and some whose names are none or stand twice. */
export const bundleMaps: fc.Arbitrary<{
  text: Text
  domains: readonly (readonly [string, Made])[]
}> = fc
  .array(
    fc.tuple(fc.oneof({ weight: 9, arbitrary: names }, fc.string({ maxLength: 5 })), bundles),
    { maxLength: 4 },
  )
  .map((domains) => {
    const members = domains.map(([name, { text }]) => `${JSON.stringify(name)}:${text}`)
    return { text: `{"trust_domains":{${members.join(',')}}}`, domains }
  })

/** Any bytes, among them much that looks like JSON. */
export const anyBytes: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.uint8Array({ maxLength: 400 }),
  fc.string({ unit: 'binary', maxLength: 200 }).map((text) => new TextEncoder().encode(text)),
  fc.json().map((text) => new TextEncoder().encode(text)),
  fc
    .array(
      fc.constantFrom('{', '}', '[', ']', '"', ':', ',', '\\', 'keys', '0', '-', 'e', 'true', ' '),
    )
    .map((tokens) => new TextEncoder().encode(tokens.join(''))),
)

/** A document, or a map, with bytes changed, taken out, put in and doubled. */
export const mutated: fc.Arbitrary<Uint8Array> = fc
  .tuple(
    fc.oneof(bundles, bundleMaps),
    fc.array(
      fc.record({
        at: fc.nat(),
        act: fc.constantFrom('set', 'cut', 'insert', 'double'),
        bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }),
      }),
      { minLength: 1, maxLength: 4 },
    ),
  )
  .map(([{ text }, changes]) => {
    let bytes = Buffer.from(text)
    for (const { at, act, bytes: given } of changes) {
      const from = at % (bytes.length + 1)
      const to = Math.min(bytes.length, from + (given[0] ?? 1))
      const parts = {
        set: [bytes.subarray(0, from), given, bytes.subarray(from + given.length)],
        cut: [bytes.subarray(0, from), bytes.subarray(to)],
        insert: [bytes.subarray(0, from), given, bytes.subarray(from)],
        double: [bytes.subarray(0, to), bytes.subarray(from)],
      }[act]
      bytes = Buffer.concat(parts)
    }
    return bytes
  })
