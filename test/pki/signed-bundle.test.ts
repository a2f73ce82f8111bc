import { generateKeyPairSync } from 'node:crypto'
import t from 'tap'
import { addSeconds } from '../../src/clock.ts'
import { createIntermediate, createRoot } from '../../src/pki/ca-certificate.ts'
import { generateKeyPair, publicJwk, spkiOf } from '../../src/pki/key-pair.ts'
import {
  looksSigned,
  MAX_SIGNED_BUNDLE_SECONDS,
  readSignedBundle,
  type SignedBundle,
  writeSignedBundle,
} from '../../src/pki/signed-bundle.ts'
import { prepareX509Svid, signX509Svid } from '../../src/pki/x509-svid.ts'
import { bundleEndpointId, workloadEndpointId } from '../../src/spiffe/spiffe-id.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'

const NOW = new Date('2026-05-01T12:00:00Z')
const GLOBEX = parseTrustDomain('globex.example')
const ACME = parseTrustDomain('acme.example')

const bundle: SignedBundle = {
  subject: GLOBEX,
  audience: ACME,
  sequence: 2n ** 64n - 1n,
  document: new TextEncoder().encode('{"keys":[]}'),
  issuedAt: NOW,
  expiresAt: addSeconds(NOW, 3600),
}
const recovery = generateKeyPair()
const signer = { how: 'recovery-key', privateKey: recovery.privateKey } as const
const proof = {
  recoveryKeys: [publicJwk(recovery.publicKey)],
  endpoint: undefined,
  now: addSeconds(NOW, 60),
}
const refused = { code: 'SIGNED_BUNDLE_REFUSED' }

/** The endpoint SVID of globex with its anchors. */
function endpoint(id = bundleEndpointId(GLOBEX)) {
  const rootKeys = generateKeyPair()
  const caKeys = generateKeyPair()
  const leafKeys = generateKeyPair()
  const life = { notBefore: addSeconds(NOW, -60), notAfter: addSeconds(NOW, 86_400) }
  const root = createRoot({ trustDomain: GLOBEX, keys: rootKeys, ...life })
  const certificate = createIntermediate({
    trustDomain: GLOBEX,
    publicKey: caKeys.publicKey,
    issuer: { certificate: root, privateKey: rootKeys.privateKey },
    ...life,
  })
  const issuer = { certificate, privateKey: caKeys.privateKey }
  const prepared = prepareX509Svid({
    id,
    publicKey: spkiOf(leafKeys.publicKey),
    dnsNames: [],
    notBefore: life.notBefore,
    notAfter: addSeconds(NOW, 3600),
    issuer,
    purpose: 'endpoint',
  })
  const leaf = signX509Svid(prepared, issuer).certificate
  return {
    signer: {
      how: 'svid',
      chain: [leaf, certificate],
      privateKey: leafKeys.privateKey,
    } as const,
    trust: { id: bundleEndpointId(GLOBEX), anchorsOf: () => [root], now: proof.now },
  }
}

t.test('a bundle signed by a recovery key is read with everything in it', (t) => {
  const token = writeSignedBundle(bundle, signer)
  t.ok(looksSigned(`${token}\n`))
  t.notOk(looksSigned('{"keys":[]}'))
  const read = readSignedBundle(`${token}\n`, proof)
  t.equal(read.provenBy, 'recovery-key')
  t.same(read.bundle, { ...bundle, document: Buffer.from(bundle.document) })
  t.end()
})

t.test('a bundle signed by the endpoint SVID needs the pinned ID under the stored bundle', (t) => {
  const globex = endpoint()
  const token = writeSignedBundle(bundle, globex.signer)
  t.equal(readSignedBundle(token, { ...proof, endpoint: globex.trust }).provenBy, 'svid')
  t.throws(() => readSignedBundle(token, proof), refused, 'nothing to prove it by')
  t.throws(() => readSignedBundle(token, { ...proof, endpoint: endpoint().trust }), refused)
  const other = endpoint(workloadEndpointId(GLOBEX))
  const byOther = writeSignedBundle(bundle, other.signer)
  t.throws(() => readSignedBundle(byOther, { ...proof, endpoint: other.trust }), /wanted/)
  const late = { ...globex.trust, now: addSeconds(NOW, 4000) }
  t.throws(() => readSignedBundle(token, { ...proof, endpoint: late }), refused, 'SVID ended')
  t.end()
})

t.test('no byte of a signed bundle can be changed', (t) => {
  const token = writeSignedBundle(bundle, signer)
  const [header = '', payload = '', signature = ''] = token.split('.')
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object
  const change = (member: object) =>
    `${header}.${Buffer.from(JSON.stringify({ ...claims, ...member })).toString('base64url')}.${signature}`
  for (const member of [
    { sub: 'acme.example' },
    { aud: 'evil.example' },
    { seq: '1' },
    { exp: 4_000_000_000 },
    { bundle: '' },
  ]) {
    t.throws(() => readSignedBundle(change(member), proof), refused, JSON.stringify(member))
  }
  for (let index = 0; index < token.length; index += 7) {
    const flipped = token[index] === 'A' ? 'B' : 'A'
    const bad = token.slice(0, index) + flipped + token.slice(index + 1)
    if (bad !== token) t.throws(() => readSignedBundle(bad, proof), refused, `at ${index}`)
  }
  t.end()
})

t.test('alg none, HS256, other types, other keys and foreign members are refused', (t) => {
  const token = writeSignedBundle(bundle, signer)
  const [header = '', payload = '', signature = ''] = token.split('.')
  const members = JSON.parse(Buffer.from(header, 'base64url').toString()) as object
  const withHeader = (over: object, end = signature) =>
    `${Buffer.from(JSON.stringify({ ...members, ...over })).toString('base64url')}.${payload}.${end}`
  t.throws(() => readSignedBundle(withHeader({ alg: 'none' }, ''), proof), refused)
  t.throws(() => readSignedBundle(withHeader({ alg: 'HS256' }), proof), refused)
  t.throws(() => readSignedBundle(withHeader({ typ: 'JWT' }), proof), refused)
  t.throws(() => readSignedBundle(withHeader({ jwk: proof.recoveryKeys[0] }), proof), refused)
  t.throws(() => readSignedBundle(withHeader({ crit: ['exp'] }), proof), refused)
  const thief = { how: 'recovery-key', privateKey: generateKeyPair().privateKey } as const
  t.throws(() => readSignedBundle(writeSignedBundle(bundle, thief), proof), /not pinned/)
  t.throws(() => readSignedBundle('a.b', proof), refused)
  t.throws(() => readSignedBundle('', proof), refused)
  t.throws(() => readSignedBundle(`${'a'.repeat(5_000_000)}.b.c`, proof), refused)
  t.end()
})

t.test('a signed bundle lives at most seven days, and only from its beginning to its end', (t) => {
  const expiresAt = addSeconds(NOW, MAX_SIGNED_BUNDLE_SECONDS)
  const longest = writeSignedBundle({ ...bundle, expiresAt }, signer)
  const at = (seconds: number) => ({ ...proof, now: addSeconds(NOW, seconds) })
  t.doesNotThrow(() => readSignedBundle(longest, at(MAX_SIGNED_BUNDLE_SECONDS - 1)))
  t.throws(() => readSignedBundle(longest, at(MAX_SIGNED_BUNDLE_SECONDS + 60)), /ended at/)
  t.throws(() => readSignedBundle(longest, at(-61)), /compare the clocks/)
  const tooLong = { ...bundle, expiresAt: addSeconds(expiresAt, 1) }
  t.throws(() => writeSignedBundle(tooLong, signer), { code: 'INVALID_REQUEST' })
  t.end()
})

t.test('a recovery key is P-256 and nothing else', (t) => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  t.throws(() => writeSignedBundle(bundle, { how: 'recovery-key', privateKey }), {
    code: 'KEY_INVALID',
  })
  t.end()
})
