import t from 'tap'
import { X509Certificate } from 'node:crypto'
import { createIntermediate, createRoot } from '../../src/pki/ca-certificate.ts'
import { isIssuedBy, readCertificate } from '../../src/pki/certificate.ts'
import { EXTENSION } from '../../src/pki/extensions.ts'
import { generateKeyPair } from '../../src/pki/key-pair.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'
import { testAuthority } from '../support/authority.ts'
import { isSignedInPeculiar, readWithPeculiar } from '../../src/pki/x509.ts'

const { root, intermediate, issuer, rootKeys, trustDomain } = testAuthority('acme.example')
const both = [
  ['root', root],
  ['intermediate', intermediate],
] as const
const times = {
  notBefore: new Date('2027-01-15T08:00:00Z'),
  notAfter: new Date('2027-01-16T08:00:00Z'),
}

t.test(
  'ID-19 X5-13 X5-14 X5-15 a CA carries the ID of its trust domain, without a path',
  async (t) => {
    for (const [what, der] of both) {
      t.same(readCertificate(der).uriSans, ['spiffe://acme.example'], what)
      t.equal(new X509Certificate(der).subjectAltName, 'URI:spiffe://acme.example', what)
    }
  },
)

t.test(
  'X5-05 X5-10 X5-11 a CA has a critical key usage of keyCertSign and cRLSign alone',
  async (t) => {
    for (const [what, der] of both) {
      const { extensions } = readWithPeculiar(der)
      t.same(extensions.get(EXTENSION.keyUsage), { critical: true, value: '03020106' }, what)
    }
    const view = readWithPeculiar(root).extensions.get(EXTENSION.basicConstraints)
    t.same(view, { critical: true, value: '30030101ff' })
  },
)

t.test('X5-12 a root has no path length, an intermediate 0', async (t) => {
  t.equal(readCertificate(root).basicConstraints?.pathLength, undefined)
  t.equal(readCertificate(intermediate).basicConstraints?.pathLength, 0)
})

t.test('X5-18 a CA has no extended key usage', async (t) => {
  for (const [what, der] of both) t.equal(readCertificate(der).extendedKeyUsage, undefined, what)
})

t.test('X5-30 a root is self-signed', async (t) => {
  const certificate = readCertificate(root)
  t.ok(certificate.issuer.equals(certificate.subject))
  t.ok(isIssuedBy(certificate, certificate))
  t.ok(new X509Certificate(root).checkIssued(new X509Certificate(root)))
  t.ok(await isSignedInPeculiar(root, root))
})

t.test('subjects and key identifiers tell every CA apart and link them', async (t) => {
  const again = createRoot({ trustDomain, keys: rootKeys, ...times })
  const [one, other, child] = [root, again, intermediate].map(readCertificate)
  t.notOk(one?.subject.equals(other?.subject ?? Buffer.of()), 'the same key, another subject')
  t.equal(child?.authorityKeyId, one?.subjectKeyId)
  t.not(child?.subjectKeyId, one?.subjectKeyId)
  t.ok(await isSignedInPeculiar(intermediate, root))
  t.notOk(await isSignedInPeculiar(root, intermediate))
})

t.test(
  'an intermediate cannot outlive its issuer, nor stand where no path length is left',
  async (t) => {
    const { publicKey } = generateKeyPair()
    const underRoot = { certificate: root, privateKey: rootKeys.privateKey }
    const late = { ...times, notAfter: new Date('2029-01-01T00:00:00Z') }
    t.throws(() => createIntermediate({ trustDomain, publicKey, issuer: underRoot, ...late }), {
      code: 'SVID_REFUSED',
      message: /outlive/,
    })
    t.throws(() => createIntermediate({ trustDomain, publicKey, issuer, ...times }), {
      code: 'SVID_REFUSED',
      message: /path length 0/,
    })
  },
)

t.test('a private key that is not that of the issuer signs nothing', async (t) => {
  const { publicKey, privateKey } = generateKeyPair()
  const wrong = { certificate: root, privateKey }
  t.throws(() => createIntermediate({ trustDomain, publicKey, issuer: wrong, ...times }), {
    code: 'SVID_REFUSED',
    message: /private key/,
  })
})

t.test('P-384 and RSA authorities work too, and so does a life beyond 2050', async (t) => {
  for (const algorithm of ['ES384', 'RS256'] as const) {
    const made = testAuthority('rsa.example', { algorithm })
    t.ok(await isSignedInPeculiar(made.intermediate, made.root), algorithm)
    t.ok(isIssuedBy(readCertificate(made.intermediate), readCertificate(made.root)), algorithm)
  }
  const notAfter = new Date('2055-06-01T00:00:00Z')
  const old = createRoot({ trustDomain, keys: rootKeys, notBefore: times.notBefore, notAfter })
  t.same(readCertificate(old).notAfter, notAfter)
  t.same(readWithPeculiar(old).notAfter, notAfter)
})

t.test('a trust domain of 255 characters fits its CA', async (t) => {
  const long = parseTrustDomain('a'.repeat(255))
  const der = createRoot({ trustDomain: long, keys: rootKeys, ...times })
  t.same(readCertificate(der).uriSans, [`spiffe://${long}`])
  t.ok(new X509Certificate(der).verify(rootKeys.publicKey))
})
