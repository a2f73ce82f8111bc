import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import fc from 'fast-check'
import { createLocalJWKSet, jwtVerify, SignJWT } from 'jose'
import t from 'tap'
import { isServiceError } from '../../src/errors.ts'
import { jwsAlgorithmFor } from '../../src/pki/algorithms.ts'
import { signJwtSvid, verifyJwtSvid } from '../../src/pki/jwt-svid.ts'
import { generateKeyPair, keyId, keyTypeOf, publicJwk, spkiOf } from '../../src/pki/key-pair.ts'
import { type Bundle, writeBundle } from '../../src/spiffe/bundle.ts'
import { parseSpiffeId } from '../../src/spiffe/spiffe-id.ts'
import { parseTrustDomain, type TrustDomain } from '../../src/spiffe/trust-domain.ts'
import { forgeCa } from '../support/forge.ts'
import { seeded } from '../support/seeded.ts'

const NOW = new Date('2027-01-15T08:00:00Z')
const nowSeconds = NOW.getTime() / 1000
const INVALID = { code: 'SVID_INVALID' }
const REFUSED = { code: 'SVID_REFUSED' }
const id = parseSpiffeId('spiffe://acme.example/ns/shop/sa/cart')
const AUDIENCE = 'spiffe://globex.example/ns/pay/sa/api'

const keys = generateKeyPair()
const key = { kid: keyId(keys.publicKey), privateKey: keys.privateKey }
const domain = (name: string, jwt: { kid: string; publicKey: KeyObject }[]): Bundle => ({
  trustDomain: parseTrustDomain(name),
  sequence: 1n,
  refreshHintSeconds: undefined,
  x509Authorities: [],
  jwtAuthorities: jwt.map(({ kid, publicKey }) => ({ kid, jwk: publicJwk(publicKey) })),
})
const acme = domain('acme.example', [{ kid: key.kid, publicKey: keys.publicKey }])
const trust = (bundles: readonly Bundle[] = [acme], now = NOW) => ({
  audience: [AUDIENCE],
  bundleOf: (td: TrustDomain) => bundles.find(({ trustDomain }) => trustDomain === td),
  now,
})
const request = (changes: object = {}) => ({
  id,
  audience: [AUDIENCE],
  issuedAt: NOW,
  expiresAt: new Date(NOW.getTime() + 300_000),
  key,
  ...changes,
})

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const claims = { sub: id, aud: [AUDIENCE], exp: nowSeconds + 300, iat: nowSeconds }
/** Any token, right or wrong, signed under P-256. */
const token = (
  changes: {
    header?: object
    claims?: object
    payload?: string
    by?: KeyObject
    hash?: string
  } = {},
): string => {
  const header = { alg: 'ES256', kid: key.kid, typ: 'JWT', ...changes.header }
  const body = changes.payload ?? encode({ ...claims, ...changes.claims })
  const input = `${encode(header)}.${body}`
  const signer = { key: changes.by ?? keys.privateKey, dsaEncoding: 'ieee-p1363' as const }
  return `${input}.${sign(changes.hash ?? 'sha256', Buffer.from(input), signer).toString('base64url')}`
}

t.test('JW-01 JW-05 JW-07 what we sign is compact, with alg, kid and typ alone', async (t) => {
  const [header = '', payload = '', signature = ''] = signJwtSvid(request()).split('.')
  t.same(JSON.parse(Buffer.from(header, 'base64url').toString()), {
    alg: 'ES256',
    kid: key.kid,
    typ: 'JWT',
  })
  t.same(JSON.parse(Buffer.from(payload, 'base64url').toString()), claims)
  t.equal(Buffer.from(signature, 'base64url').length, 64)
})

t.test(
  'JW-02 every key of ours signs under an algorithm of the list, and jose verifies it',
  async (t) => {
    for (const algorithm of ['ES256', 'ES384', 'RS256'] as const) {
      const pair = generateKeyPair(algorithm)
      const made = signJwtSvid(request({ key: { kid: 'k', privateKey: pair.privateKey } }))
      const options = { audience: AUDIENCE, currentDate: NOW, algorithms: [algorithm] }
      const { payload } = await jwtVerify(made, pair.publicKey, options)
      t.equal(payload.sub, id)
      t.equal(jwsAlgorithmFor(keyTypeOf(spkiOf(pair.publicKey))), algorithm)
      const bundle = domain('acme.example', [{ kid: 'k', publicKey: pair.publicKey }])
      t.equal(verifyJwtSvid(made, trust([bundle])).id, id)
    }
  },
)

t.test('tokens that jose signs verify here', async (t) => {
  const made = await new SignJWT({ ...claims, role: 'cart' })
    .setProtectedHeader({ alg: 'ES256', kid: key.kid })
    .sign(keys.privateKey)
  const found = verifyJwtSvid(made, trust())
  t.equal(found.id, id)
  t.equal(found.claims.get('role'), 'cart', 'JW-18 unknown claims are allowed')
  t.same(found.expiresAt, new Date((nowSeconds + 300) * 1000))
})

t.test(
  'JW-02 JW-04 PS and RS and ES of every size verify with the key made for them',
  async (t) => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const pairs = [
      ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'].map((alg) => [alg, rsa] as const),
      ['ES384', generateKeyPairSync('ec', { namedCurve: 'P-384' })] as const,
      ['ES512', generateKeyPairSync('ec', { namedCurve: 'P-521' })] as const,
    ]
    for (const [alg, pair] of pairs) {
      const made = await new SignJWT(claims)
        .setProtectedHeader({ alg, kid: 'k' })
        .sign(pair.privateKey)
      const bundle = domain('acme.example', [{ kid: 'k', publicKey: pair.publicKey }])
      t.equal(verifyJwtSvid(made, trust([bundle])).id, id, alg)
    }
  },
)

t.test('JW-01 anything but three parts of unpadded base64url is refused', async (t) => {
  const good = token()
  const [header = '', payload = '', signature = ''] = good.split('.')
  const json = JSON.stringify({ protected: header, payload, signature })
  const odd = [
    '',
    'x',
    json,
    `${good}.`,
    `${good}.x`,
    `${header}.${payload}`,
    `${good}=`,
    ` ${good}`,
  ]
  for (const bad of [
    ...odd,
    `${header}.${payload}.`,
    good.replace('.', '..'),
    'a'.repeat(20_000),
  ]) {
    t.throws(() => verifyJwtSvid(bad, trust()), INVALID, bad.slice(0, 20))
  }
})

t.test('JW-03 only the nine algorithms, checked first', async (t) => {
  const secret = createHmac('sha256', spkiOf(keys.publicKey))
  const input = `${encode({ alg: 'HS256', kid: key.kid })}.${encode(claims)}`
  const hmac = `${input}.${secret.update(input).digest('base64url')}`
  t.throws(() => verifyJwtSvid(hmac, trust()), { ...INVALID, message: /alg/ })
  for (const alg of ['none', 'HS256', 'EdDSA', 'ES256K', 'es256', undefined, 7, null]) {
    t.throws(() => verifyJwtSvid(token({ header: { alg } }), trust()), INVALID, String(alg))
  }
})

t.test('JW-04 an algorithm that does not fit the key is refused', async (t) => {
  const made = token({ header: { alg: 'ES384' }, hash: 'sha384' })
  t.throws(() => verifyJwtSvid(made, trust()), { ...INVALID, message: /fit/ })
  t.throws(() => verifyJwtSvid(token({ header: { alg: 'RS256' } }), trust()), INVALID)
})

t.test(
  'JW-06 extra header parameters refuse, above all those that would choose a key',
  async (t) => {
    const attacker = generateKeyPair()
    const jwk = publicJwk(attacker.publicKey)
    const extras = [
      { jwk },
      { jku: 'https://evil.example' },
      { crit: ['x'], x: 1 },
      { x5c: [] },
      { cty: 'x' },
    ]
    for (const header of extras) {
      const made = token({ header, by: attacker.privateKey })
      t.throws(() => verifyJwtSvid(made, trust()), { ...INVALID, message: /header parameter/ })
      t.throws(() => verifyJwtSvid(token({ header }), trust()), INVALID, 'even with our own key')
    }
  },
)

t.test('JW-08 without a kid the keys that fit are tried; an unknown kid tries none', async (t) => {
  t.equal(verifyJwtSvid(token({ header: { kid: undefined } }), trust()).id, id)
  t.throws(() => verifyJwtSvid(token({ header: { kid: 'other' } }), trust()), {
    ...INVALID,
    message: /not in the bundle/,
  })
})

t.test('JW-09 a typ other than JWT and JOSE is another kind of token', async (t) => {
  for (const typ of ['JWT', 'JOSE', undefined])
    t.ok(verifyJwtSvid(token({ header: { typ } }), trust()))
  for (const typ of ['wit+jwt', 'at+jwt', 'wpt+jwt', 'jwt', '', 7]) {
    t.throws(() => verifyJwtSvid(token({ header: { typ } }), trust()), INVALID, String(typ))
  }
})

t.test('JW-10 sub is a SPIFFE ID and chooses the bundle', async (t) => {
  for (const sub of [
    undefined,
    '',
    7,
    'acme',
    'spiffe://acme.example/',
    'spiffe://Acme.example/x',
  ]) {
    t.throws(() => verifyJwtSvid(token({ claims: { sub } }), trust()), INVALID, String(sub))
  }
  t.throws(() => signJwtSvid(request({ id: parseSpiffeId('spiffe://acme.example') })), REFUSED)
})

t.test('JW-11 no token is signed without an audience', async (t) => {
  for (const audience of [[], [''], ['x', ''], Array.from({ length: 17 }, (_, n) => `a${n}`)]) {
    t.throws(() => signJwtSvid(request({ audience })), REFUSED)
  }
})

t.test('JW-12 JW-13 the audience must be ours, as text or in a list', async (t) => {
  for (const aud of [AUDIENCE, [AUDIENCE], ['x', AUDIENCE]]) {
    t.ok(verifyJwtSvid(token({ claims: { aud } }), trust()))
  }
  const others = [
    undefined,
    [],
    'other',
    [AUDIENCE.slice(0, -1)],
    `${AUDIENCE}x`,
    '',
    [7],
    { a: 1 },
  ]
  for (const aud of others) {
    t.throws(() => verifyJwtSvid(token({ claims: { aud } }), trust()), INVALID, JSON.stringify(aud))
  }
})

const at = (seconds: number) => new Date(NOW.getTime() + seconds * 1000)

t.test('JW-15 exp is an integer ahead, at most an hour', async (t) => {
  const made = signJwtSvid(request({ expiresAt: at(100.7) }))
  const payload = Buffer.from(made.split('.')[1] ?? '', 'base64url').toString()
  t.equal((JSON.parse(payload) as { exp: number }).exp, nowSeconds + 100)
  for (const seconds of [0, -1, 3601]) {
    t.throws(() => signJwtSvid(request({ expiresAt: at(seconds) })), REFUSED, String(seconds))
  }
})

t.test(
  'JW-16 a missing, mistyped or past exp is refused, within ten seconds accepted',
  async (t) => {
    for (const exp of [undefined, String(nowSeconds + 300), nowSeconds - 10, null, 1e300]) {
      t.throws(() => verifyJwtSvid(token({ claims: { exp } }), trust()), INVALID, String(exp))
    }
    for (const exp of [nowSeconds - 9, nowSeconds + 0.5]) {
      t.ok(verifyJwtSvid(token({ claims: { exp } }), trust()))
    }
    const huge = `{"sub":"${id}","aud":"${AUDIENCE}","exp":1e400}`
    const made = token({ payload: Buffer.from(huge).toString('base64url') })
    t.throws(() => verifyJwtSvid(made, trust()), INVALID, 'a number beyond any moment')
  },
)

t.test('JW-17 a future nbf is refused', async (t) => {
  t.throws(() => verifyJwtSvid(token({ claims: { nbf: nowSeconds + 600 } }), trust()), INVALID)
  t.throws(() => verifyJwtSvid(token({ claims: { nbf: 'soon' } }), trust()), INVALID)
  t.ok(verifyJwtSvid(token({ claims: { nbf: nowSeconds + 5 } }), trust()))
})

t.test('JW-18 one jti may be shown twice', async (t) => {
  const made = signJwtSvid(request({ jti: 'once' }))
  t.equal(verifyJwtSvid(made, trust()).claims.get('jti'), 'once')
  t.ok(verifyJwtSvid(made, trust()))
})

t.test('a payload with one claim twice is refused', async (t) => {
  const twice = `{"sub":"${id}","aud":"${AUDIENCE}","exp":${nowSeconds + 9},"exp":${nowSeconds + 300}}`
  const made = token({ payload: Buffer.from(twice).toString('base64url') })
  t.throws(() => verifyJwtSvid(made, trust()), INVALID)
})

/** The wrong twin: all JWKs of a bundle as one key set, whatever their use. */
const ignoresUseTwin = async (made: string, keySet: { keys: object[] }): Promise<string> => {
  const stripped = keySet.keys.map((one) => ({ ...one, use: undefined, alg: 'ES256' }))
  const resolve = createLocalJWKSet(JSON.parse(JSON.stringify({ keys: stripped })) as { keys: [] })
  const { payload } = await jwtVerify(made, resolve, { audience: AUDIENCE, currentDate: NOW })
  return payload.sub ?? ''
}

t.test('JW-21 FE-39 only jwt-svid keys of the domain in sub count', async (t) => {
  const root = forgeCa({ subject: 'root' })
  const x509Key = { certificate: root.der, jwk: publicJwk(root.keys.publicKey) }
  const mixed: Bundle = { ...acme, x509Authorities: [x509Key] }
  const byX509Key = token({ header: { kid: undefined }, by: root.keys.privateKey })
  t.throws(() => verifyJwtSvid(byX509Key, trust([mixed])), { ...INVALID, message: /no key/ })
  const document = JSON.parse(
    Buffer.from(writeBundle({ ...mixed, jwtAuthorities: [] })).toString(),
  ) as {
    keys: object[]
  }
  t.equal(await ignoresUseTwin(byX509Key, document), id, 'a twin that ignores use is deceived')

  const other = generateKeyPair()
  const globex = domain('globex.example', [{ kid: 'g', publicKey: other.publicKey }])
  const byGlobex = token({ header: { kid: 'g' }, by: other.privateKey })
  t.throws(() => verifyJwtSvid(byGlobex, trust([acme, globex])), INVALID)
  const pool = [...acme.jwtAuthorities, ...globex.jwtAuthorities].map(({ kid, jwk }) => ({
    kid,
    ...jwk,
  }))
  t.equal(await ignoresUseTwin(byGlobex, { keys: pool }), id, 'and so is one that pools domains')

  t.throws(() => verifyJwtSvid(token(), trust([{ ...mixed, jwtAuthorities: [] }])), INVALID)
  t.throws(() => verifyJwtSvid(token(), trust([])), { ...INVALID, message: /no bundle/ })
  t.ok(verifyJwtSvid(token(), trust([mixed, globex])))
})

t.test('ID-20 no changed character of a token passes', async (t) => {
  const good = signJwtSvid(request())
  let accepted = 0
  for (let at = 0; at < good.length; at += 1) {
    const changed = good.slice(0, at) + (good[at] === 'A' ? 'B' : 'A') + good.slice(at + 1)
    try {
      verifyJwtSvid(changed, trust())
      accepted += 1
    } catch (thrown) {
      t.ok(isServiceError(thrown, 'SVID_INVALID'))
    }
  }
  t.equal(accepted, 0)
})

t.test('only a ServiceError leaves the validator, and never with the token', async (t) => {
  const good = token()
  const part = fc.oneof(
    fc.string(),
    fc.json().map((text) => Buffer.from(text).toString('base64url')),
    fc.constantFrom(...good.split('.')),
  )
  seeded(
    t,
    fc.property(fc.array(part, { maxLength: 4 }), (parts) => {
      const made = parts.join('.')
      try {
        verifyJwtSvid(made, trust())
        return made === good
      } catch (thrown) {
        if (!isServiceError(thrown, 'SVID_INVALID')) return false
        return made.length < 40 || !thrown.message.includes(made)
      }
    }),
    2000,
  )
})
