import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { calculateJwkThumbprint } from 'jose'
import t from 'tap'
import { splitPem, toPem } from '../../src/pki/certificate.ts'
import {
  exportPrivateKey,
  generateKeyPair,
  importPrivateKey,
  importPublicJwk,
  importPublicKey,
  keyId,
  keyTypeOf,
  publicJwk,
  spkiOf,
} from '../../src/pki/key-pair.ts'

const INVALID = { code: 'KEY_INVALID' }

t.test('a key goes out as PKCS#8 and comes back the same', async (t) => {
  for (const algorithm of ['ES256', 'ES384', 'RS256'] as const) {
    const { privateKey, publicKey } = generateKeyPair(algorithm)
    const again = importPrivateKey(exportPrivateKey(privateKey))
    t.same(exportPrivateKey(again), exportPrivateKey(privateKey), algorithm)
    t.ok(importPublicKey(spkiOf(publicKey)).equals(publicKey), algorithm)
    t.ok(importPublicJwk(publicJwk(publicKey)).equals(publicKey), algorithm)
  }
})

t.test('a refused private key is not quoted', async (t) => {
  const { privateKey } = generateKeyPairSync('ed25519')
  const der = privateKey.export({ type: 'pkcs8', format: 'der' })
  t.throws(() => importPrivateKey(der), INVALID)
  t.throws(() => importPrivateKey(Buffer.from('secret')), {
    ...INVALID,
    message: /^private key is not PKCS#8 of an allowed kind$/,
  })
})

t.test('the key id is the RFC 7638 thumbprint that jose computes', async (t) => {
  for (const algorithm of ['ES256', 'ES384', 'RS256'] as const) {
    const { publicKey } = generateKeyPair(algorithm)
    const jwk = publicJwk(publicKey)
    t.equal(keyId(publicKey), await calculateJwkThumbprint({ ...jwk }), algorithm)
  }
})

t.test('a JWK names public members only', async (t) => {
  const { privateKey, publicKey } = generateKeyPair('RS256')
  t.same(Object.keys(publicJwk(publicKey)), ['kty', 'n', 'e'])
  t.same(Object.keys(publicJwk(privateKey)), ['kty', 'n', 'e'], 'even of a private key')
})

t.test('a JWK off its curve is refused', async (t) => {
  const jwk = publicJwk(generateKeyPair().publicKey)
  const x = Buffer.from(jwk.x ?? '', 'base64url')
  x[0]! ^= 1
  t.throws(() => importPublicJwk({ ...jwk, x: x.toString('base64url') }), INVALID)
})

t.test('key kinds are told from the octets', async (t) => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 3072 })
  t.same(keyTypeOf(spkiOf(rsa.publicKey)), { kind: 'RSA', bits: 3072 })
  const p521 = generateKeyPairSync('ec', { namedCurve: 'P-521' })
  t.same(keyTypeOf(spkiOf(p521.publicKey)), { kind: 'EC', curve: 'P-521' })
  const small = generateKeyPairSync('rsa', { modulusLength: 1024 })
  t.throws(() => keyTypeOf(spkiOf(small.publicKey)), { ...INVALID, message: /1024/ })
})

t.test('PEM goes out and comes back, and OpenSSL reads it', async (t) => {
  const { privateKey } = generateKeyPair()
  const der = exportPrivateKey(privateKey)
  const pem = toPem(der, 'PRIVATE KEY')
  t.equal(pem, privateKey.export({ type: 'pkcs8', format: 'pem' }))
  t.same(splitPem(`noise\n${pem}\n${pem}`, 'PRIVATE KEY'), [Buffer.from(der), Buffer.from(der)])
  t.match(
    execFileSync('openssl', ['pkey', '-noout', '-text'], { input: pem }).toString(),
    /256 bit/,
  )
})

t.test('PEM that holds none, or no base64, is refused', async (t) => {
  t.throws(() => splitPem(''), { code: 'CERTIFICATE_INVALID' })
  t.throws(() => splitPem('-----BEGIN CERTIFICATE-----\nAA=A\n-----END CERTIFICATE-----'), {
    code: 'CERTIFICATE_INVALID',
  })
  t.throws(() => splitPem('x'.repeat(1024 * 1024 + 1)), { code: 'CERTIFICATE_INVALID' })
})
