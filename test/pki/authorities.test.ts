import { X509Certificate } from 'node:crypto'
import t from 'tap'
import { checkAuthorities } from '../../src/pki/authorities.ts'
import { readCertificate } from '../../src/pki/certificate.ts'
import { generateKeyPair, keyId, publicJwk } from '../../src/pki/key-pair.ts'
import { verifyX509Svid } from '../../src/pki/verify-chain.ts'
import { type Bundle, parseBundle, writeBundle } from '../../src/spiffe/bundle.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'
import { testAuthority } from '../support/authority.ts'
import { type Forged, forge, forgeCa, forgeLeaf, keyUsage, NOW } from '../support/forge.ts'

const td = parseTrustDomain('acme.example')
const authorityOf = ({ der, keys }: Forged) => ({
  certificate: der,
  jwk: publicJwk(keys.publicKey),
})
const bundleOf = (
  x509Authorities: Bundle['x509Authorities'],
  jwtAuthorities: Bundle['jwtAuthorities'] = [],
): Bundle => ({
  trustDomain: td,
  sequence: 1n,
  refreshHintSeconds: 300,
  x509Authorities,
  jwtAuthorities,
})
const good = forgeCa({ subject: 'good' })

t.test('BU-13 odd authorities are dropped one by one and named, the good one stays', async (t) => {
  const leaf = forgeLeaf({ issuer: good })
  const noSign = forgeCa({ subject: 'x', keyUsage: keyUsage(0x02, 1) })
  const other = generateKeyPair()
  const offCurve = publicJwk(other.publicKey)
  const x = Buffer.from(offCurve.x ?? '', 'base64url')
  x[0]! ^= 1
  const { bundle, skipped } = checkAuthorities(
    bundleOf(
      [
        { certificate: Buffer.from('garbage'), jwk: publicJwk(other.publicKey) },
        authorityOf(leaf),
        authorityOf(noSign),
        { certificate: good.der, jwk: publicJwk(other.publicKey) },
        authorityOf(good),
      ],
      [
        { kid: 'off', jwk: { ...offCurve, x: x.toString('base64url') } },
        { kid: 'on', jwk: publicJwk(other.publicKey) },
      ],
    ),
    [{ index: 7, reason: 'was skipped before' }],
  )
  t.same(bundle.x509Authorities, [authorityOf(good)])
  t.same(
    bundle.jwtAuthorities.map(({ kid }) => kid),
    ['on'],
  )
  t.equal(skipped.length, 6)
  t.same(skipped[0], { index: 7, reason: 'was skipped before' })
  t.match(
    skipped.map(({ reason }) => reason),
    [/before/, /malformed/, /no CA/, /may not sign/, /not the key of its certificate/, /JWK/],
  )
})

t.test('BU-13 X5-13 a missing or odd URI SAN does not cost an anchor its place', async (t) => {
  const authorities = [
    authorityOf(good),
    authorityOf(forgeCa({ subject: 'slash', uri: 'spiffe://acme.example/' })),
    authorityOf(forgeCa({ subject: 'foreign', uri: 'spiffe://elsewhere.example' })),
  ]
  t.same(checkAuthorities(bundleOf(authorities)), { bundle: bundleOf(authorities), skipped: [] })
})

t.test('X5-30 an authority need not be self-signed to be an anchor', async (t) => {
  const middle = forgeCa({ subject: 'middle', issuer: good })
  const { bundle } = checkAuthorities(bundleOf([authorityOf(middle)]))
  const anchors = bundle.x509Authorities.map(({ certificate }) => certificate)
  const leaf = forgeLeaf({ issuer: middle })
  t.ok(verifyX509Svid([leaf.der], { anchorsOf: () => anchors, now: NOW }))
})

t.test('BU-15 nothing left is a bundle that trusts nobody, not an error', async (t) => {
  const { bundle } = checkAuthorities(bundleOf([{ certificate: Buffer.of(1), jwk: { kty: 'EC' } }]))
  t.same(bundle.x509Authorities, [])
  t.equal(bundle.trustDomain, td)
})

/** The wrong twin: base64 as Node decodes it, whatever the alphabet, padding and line breaks. */
const lenientTwin = (x5c: string): Buffer => Buffer.from(x5c, 'base64')

t.test(
  'X5-27 X5-28 X5-29 what we publish is one certificate per entry in strict base64, with its key',
  async (t) => {
    const { root, rootKeys } = testAuthority('acme.example')
    const bytes = writeBundle(
      bundleOf([{ certificate: root, jwk: publicJwk(rootKeys.publicKey) }, authorityOf(good)]),
    )
    const { keys } = JSON.parse(Buffer.from(bytes).toString()) as {
      keys: Record<string, unknown>[]
    }
    t.equal(keys.length, 2)
    for (const key of keys) {
      const x5c = key['x5c'] as string[]
      t.equal(x5c.length, 1)
      const der = Buffer.from(x5c[0] ?? '', 'base64')
      t.equal(der.toString('base64'), x5c[0])
      const { crv, x, y } = new X509Certificate(der).publicKey.export({ format: 'jwk' })
      t.match(key, { kty: 'EC', use: 'x509-svid', crv, x, y })
      t.notOk('kid' in key)
    }
    const [text] = (keys[0]?.['x5c'] ?? []) as string[]
    for (const odd of [
      `${text}\n`,
      text?.replaceAll('+', '-').replaceAll('/', '_'),
      text?.replace(/=*$/, '!'),
    ]) {
      if (odd === text) continue
      const entry = { ...keys[0], x5c: [odd] }
      const { bundle } = parseBundle(td, Buffer.from(JSON.stringify({ keys: [entry] })))
      t.same(bundle.x509Authorities, [], JSON.stringify(odd?.slice(-8)))
      t.ok(readCertificate(lenientTwin(odd ?? '')), 'a lenient decoder takes it')
    }
  },
)

t.test(
  'X5-29 a JWK that is not the key of its certificate is dropped; a twin that reads x5c alone keeps it',
  async (t) => {
    const other = publicJwk(generateKeyPair().publicKey)
    const mismatched = bundleOf([{ certificate: good.der, jwk: other }])
    t.same(checkAuthorities(mismatched).bundle.x509Authorities, [])
    const twin = mismatched.x509Authorities.filter(
      ({ certificate }) => readCertificate(certificate).isCa,
    )
    t.equal(twin.length, 1)
  },
)

t.test(
  'X5-33 a bundle without x509-svid entries refuses every X509-SVID of its domain',
  async (t) => {
    const keys = generateKeyPair()
    const jwtOnly = bundleOf([], [{ kid: keyId(keys.publicKey), jwk: publicJwk(keys.publicKey) }])
    const { bundle } = checkAuthorities(jwtOnly)
    const anchors = bundle.x509Authorities.map(({ certificate }) => certificate)
    const leaf = forgeLeaf({ issuer: good })
    t.throws(() => verifyX509Svid([leaf.der, good.der], { anchorsOf: () => anchors, now: NOW }), {
      code: 'SVID_INVALID',
    })
  },
)

t.test('a v1 certificate is no authority', async (t) => {
  const old = forge({ subject: 'old', extensions: [], omitKeyIds: true, version: 1 })
  t.match(checkAuthorities(bundleOf([authorityOf(old)])).skipped, [{ reason: /no CA/ }])
})
