import { createHmac, createPrivateKey, generateKeyPairSync, sign } from 'node:crypto'
import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import { splitPem } from '../../src/pki/pem.ts'
import {
  parseX5cJws,
  signerKeySha256,
  signX5cJws,
  verifyX5cJws,
  type X5cSigner,
} from '../../src/pki/x5c-jws.ts'
import { parseSpiffeId } from '../../src/spiffe/spiffe-id.ts'
import { type CertificateWish, FakeAuthority } from '../support/fake-peer.ts'

const TYP = 'test+jws'
const id = parseSpiffeId('spiffe://globex.example/entente/bundle-endpoint')
const limits = { typ: TYP, maxCharacters: 64 * 1024 }

const signerOf = async (
  authority: FakeAuthority,
  wish: CertificateWish = { uris: [id] },
): Promise<X5cSigner> => {
  const { cert, key } = await authority.issue(wish)
  return { chain: splitPem(cert), privateKey: createPrivateKey(key) }
}

const trust = (...roots: readonly FakeAuthority[]) => ({
  id,
  anchorsOf: () => roots.map(({ der }) => der),
  now: systemClock.now(),
})

const headerOf = (token: string) =>
  JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()) as Record<
    string,
    unknown
  >

const withHeader = (token: string, change: object): string => {
  const header = Buffer.from(JSON.stringify({ ...headerOf(token), ...change })).toString(
    'base64url',
  )
  return [header, ...token.split('.').slice(1)].join('.')
}

t.test('what an SVID signed is read, and proven under the bundle of its domain', async (t) => {
  const root = await FakeAuthority.root('globex.example')
  const signer = await signerOf(await root.intermediate('globex.example'))
  const token = signX5cJws({ typ: TYP, claims: { a: 1, b: ['c'] } }, signer)
  const jws = parseX5cJws(token, limits)
  t.same(Object.keys(headerOf(token)), ['alg', 'typ', 'x5c'])
  t.same(
    [...jws.claims],
    [
      ['a', 1n],
      ['b', ['c']],
    ],
  )
  t.equal(verifyX5cJws(jws, trust(root)).id, id)
  t.equal(signerKeySha256(jws).length, 32)
})

t.test('another root, another ID, an ended certificate and a CA prove nothing', async (t) => {
  const root = await FakeAuthority.root('globex.example')
  const other = await FakeAuthority.root('globex.example')
  const token = async (authority: FakeAuthority, wish?: CertificateWish) =>
    parseX5cJws(signX5cJws({ typ: TYP, claims: {} }, await signerOf(authority, wish)), limits)
  const refused = { code: 'SVID_INVALID' }
  const jwsOther = await token(other)
  const jwsId = await token(root, { uris: ['spiffe://globex.example/web'] })
  const jwsEnded = await token(root, { uris: [id], notAfter: new Date(Date.UTC(2026, 0)) })
  const jwsTwo = await token(root, { uris: [id, 'spiffe://globex.example/web'] })
  const jwsRight = await token(root)
  t.throws(() => verifyX5cJws(jwsOther, trust(root)), refused, 'twin of the right one')
  t.throws(() => verifyX5cJws(jwsId, trust(root)), { message: /signed by .*wanted/ })
  t.throws(() => verifyX5cJws(jwsEnded, trust(root)), refused)
  t.throws(() => verifyX5cJws(jwsTwo, trust(root)), refused, 'two URI SANs')
  t.throws(() => verifyX5cJws(jwsRight, trust()), refused, 'no anchors trust nobody')
  t.ok(verifyX5cJws(jwsRight, trust(root)))
  const { cert, key } = { cert: root.pem, key: await root.asLeaf().then((leaf) => leaf.key) }
  const asCa = { chain: splitPem(cert), privateKey: createPrivateKey(key) }
  const byCa = parseX5cJws(signX5cJws({ typ: TYP, claims: {} }, asCa), limits)
  t.throws(() => verifyX5cJws(byCa, trust(root)), refused, 'a CA authenticates nobody')
})

t.test('a changed header, payload or signature is refused', async (t) => {
  const root = await FakeAuthority.root('globex.example')
  const signer = await signerOf(root)
  const token = signX5cJws({ typ: TYP, claims: { a: 1 } }, signer)
  const [header = '', , signature = ''] = token.split('.')
  const other = Buffer.from('{"a":2}').toString('base64url')
  t.throws(
    () => verifyX5cJws(parseX5cJws(`${header}.${other}.${signature}`, limits), trust(root)),
    {
      message: /its certificate did not make/,
    },
  )
  const stranger = await signerOf(root)
  const swapped = withHeader(token, {
    x5c: stranger.chain.map((der) => Buffer.from(der).toString('base64')),
  })
  t.throws(() => verifyX5cJws(parseX5cJws(swapped, limits), trust(root)), {
    message: /its certificate did not make/,
  })
})

t.test('alg none, HS256 under the public key and algs of other keys are refused', async (t) => {
  const root = await FakeAuthority.root('globex.example')
  const signer = await signerOf(root)
  const token = signX5cJws({ typ: TYP, claims: { a: 1 } }, signer)
  for (const alg of ['none', 'None', 'HS256', 'EdDSA', 'RS1', '', 7, null]) {
    t.throws(() => parseX5cJws(withHeader(token, { alg }), limits), { message: /alg not known/ })
  }
  const hs = withHeader(token, { alg: 'HS256' }).split('.').slice(0, 2).join('.')
  const mac = createHmac('sha256', signer.chain[0] ?? '')
    .update(hs)
    .digest('base64url')
  t.throws(() => parseX5cJws(`${hs}.${mac}`, limits), { message: /alg not known/ })
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const input = withHeader(token, { alg: 'RS256' }).split('.').slice(0, 2).join('.')
  const byRsa = `${input}.${sign('sha256', Buffer.from(input), rsa).toString('base64url')}`
  t.throws(() => verifyX5cJws(parseX5cJws(byRsa, limits), trust(root)), { message: /does not fit/ })
  const es384 = parseX5cJws(withHeader(token, { alg: 'ES384' }), limits)
  t.throws(() => verifyX5cJws(es384, trust(root)), { message: /does not fit/ })
})

t.test('only the shape that we write is read', async (t) => {
  const root = await FakeAuthority.root('globex.example')
  const token = signX5cJws({ typ: TYP, claims: { a: 1 } }, await signerOf(root))
  const refused = { code: 'SVID_INVALID' }
  for (const member of ['crit', 'jwk', 'jku', 'kid', 'b64', 'cty', 'zip', 'x5u']) {
    t.throws(() => parseX5cJws(withHeader(token, { [member]: ['x'] }), limits), {
      message: new RegExp(`header parameter "${member}"`),
    })
  }
  for (const typ of ['JWT', 'other+jws', undefined]) {
    t.throws(() => parseX5cJws(withHeader(token, { typ }), limits), { message: /another typ/ })
  }
  for (const x5c of [[], 'x', [1], ['%%'], Array.from({ length: 11 }, () => 'AAAA'), undefined]) {
    t.throws(() => parseX5cJws(withHeader(token, { x5c }), limits), refused)
  }
  for (const text of ['', 'a.b', `${token}.x`, token.replaceAll('.', ' '), `${token}=`, '..']) {
    t.throws(() => parseX5cJws(text, limits), refused)
  }
  const doubled = Buffer.from('{"a":1,"a":2}').toString('base64url')
  const [header = '', , signature = ''] = token.split('.')
  t.throws(() => parseX5cJws(`${header}.${doubled}.${signature}`, limits), refused)
  t.throws(() => parseX5cJws(token, { ...limits, maxCharacters: 100 }), { message: /at most 100/ })
})
