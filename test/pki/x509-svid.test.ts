import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readCertificate, toPem } from '../../src/pki/certificate.ts'
import { EXTENSION } from '../../src/pki/extensions.ts'
import { generateKeyPair, spkiOf } from '../../src/pki/key-pair.ts'
import { findLintFault, X509_SVID_LINTS } from '../../src/pki/svid-lint.ts'
import {
  BACKDATE_SECONDS,
  prepareX509Svid,
  signX509Svid,
  type X509SvidRequest,
} from '../../src/pki/x509-svid.ts'
import { parseSpiffeId } from '../../src/spiffe/spiffe-id.ts'
import { testAuthority } from '../support/authority.ts'
import { forge, keyUsage } from '../support/forge.ts'
import { isSignedInPeculiar, readWithPeculiar } from '../../src/pki/x509.ts'

const NOW = new Date('2027-01-15T08:00:00Z')
const acme = testAuthority('acme.example')
const workload = generateKeyPair()
const id = parseSpiffeId('spiffe://acme.example/ns/shop/sa/cart')

const request = (changes: Partial<X509SvidRequest> = {}): X509SvidRequest => ({
  id,
  publicKey: spkiOf(workload.publicKey),
  dnsNames: [],
  notBefore: new Date(NOW.getTime() - BACKDATE_SECONDS * 1000),
  notAfter: new Date(NOW.getTime() + 3_600_000),
  issuer: acme.issuer,
  ...changes,
})
const issue = (changes: Partial<X509SvidRequest> = {}) => {
  const wanted = request(changes)
  return signX509Svid(prepareX509Svid(wanted), wanted.issuer)
}
const REFUSED = { code: 'SVID_REFUSED' }

t.test('X5-01 one URI SAN equal to the ID, and the DNS names beside it', async (t) => {
  const { certificate } = issue({ dnsNames: ['cart.shop.svc', 'cart.example'] })
  const facts = readCertificate(certificate)
  t.same(facts.uriSans, [id])
  t.same(facts.dnsSans, ['cart.shop.svc', 'cart.example'])
  t.equal(
    new X509Certificate(certificate).subjectAltName,
    `URI:${id}, DNS:cart.shop.svc, DNS:cart.example`,
  )
})

t.test('X5-01 a DNS name that is none refuses the whole certificate', async (t) => {
  const odd = ['', '*.example', 'Cart.example', 'a..b', 'under_score', '10.0.0.1', 'x.'.repeat(130)]
  const odder = ['-a.example', 'cart.example.', 'spiffe://acme.example/x', 'a\0b', 'ü.example']
  for (const name of [...odd, ...odder]) {
    t.throws(() => prepareX509Svid(request({ dnsNames: [name] })), REFUSED, JSON.stringify(name))
  }
  t.throws(() => prepareX509Svid(request({ dnsNames: ['a.example', 'a.example'] })), REFUSED)
  const many = Array.from({ length: 21 }, (_, index) => `n${index}.example`)
  t.throws(() => prepareX509Svid(request({ dnsNames: many })), REFUSED, 'too many')
})

t.test('X5-02 a leaf for an ID without a path is refused', async (t) => {
  t.throws(() => prepareX509Svid(request({ id: parseSpiffeId('spiffe://acme.example') })), {
    ...REFUSED,
    message: /X5-02/,
  })
})

t.test('ID-22 X5-15 an ID of another trust domain is refused', async (t) => {
  const foreign = parseSpiffeId('spiffe://globex.example/ns/shop/sa/cart')
  t.throws(() => prepareX509Svid(request({ id: foreign })), { ...REFUSED, message: /ID-22/ })
})

t.test('a path of ours goes to our endpoints only, and to nothing else', async (t) => {
  const ours = parseSpiffeId('spiffe://acme.example/entente/bundle-endpoint')
  t.throws(() => prepareX509Svid(request({ id: ours })), REFUSED)
  t.throws(() => prepareX509Svid(request({ purpose: 'endpoint' })), REFUSED)
  const { certificate } = issue({ id: ours, purpose: 'endpoint', dnsNames: ['acme.localhost'] })
  t.same(readCertificate(certificate).uriSans, [ours])
  t.ok(readCertificate(certificate).extendedKeyUsage?.includes('1.3.6.1.5.5.7.3.2'), 'X5-09')
})

t.test('X5-03 an empty subject makes the SAN critical', async (t) => {
  const { certificate } = issue()
  const view = readWithPeculiar(certificate)
  t.equal(view.subject, '')
  t.equal(view.extensions.get(EXTENSION.subjectAltName)?.critical, true)
})

t.test('X5-04 basic constraints are the empty sequence', async (t) => {
  const { certificate } = issue()
  const view = readWithPeculiar(certificate).extensions.get(EXTENSION.basicConstraints)
  t.equal(view?.value, '3000')
  t.equal(new X509Certificate(certificate).ca, false)
})

t.test('X5-05 X5-06 X5-07 a critical key usage of digitalSignature alone', async (t) => {
  const { extensions } = readWithPeculiar(issue().certificate)
  t.same(extensions.get(EXTENSION.keyUsage), { critical: true, value: '03020780' })
})

t.test('X5-08 X5-09 extended key usage of both, not critical', async (t) => {
  const { extensions } = readWithPeculiar(issue().certificate)
  t.same(extensions.get(EXTENSION.extendedKeyUsage), {
    critical: false,
    value: '301406082b0601050507030106082b06010505070302',
  })
})

t.test('ID-12 ID-13 an ID of 2048 bytes fits a certificate', async (t) => {
  const longest = parseSpiffeId(`spiffe://acme.example/${'x'.repeat(2048 - 22)}`)
  t.equal(longest.length, 2048)
  t.same(readCertificate(issue({ id: longest }).certificate).uriSans, [longest])
})

t.test('the end is never after that of the issuer, and a life is at most a day', async (t) => {
  const issuerEnd = readCertificate(acme.intermediate).notAfter
  const late = { notBefore: new Date(issuerEnd.getTime() - 3_600_000) }
  t.throws(
    () => prepareX509Svid(request({ ...late, notAfter: new Date(issuerEnd.getTime() + 1000) })),
    { ...REFUSED, message: /issuer/ },
  )
  t.same(issue({ ...late, notAfter: issuerEnd }).notAfter, issuerEnd)
  const dayAndMore = new Date(NOW.getTime() + 86_401_000)
  t.throws(() => prepareX509Svid(request({ notAfter: dayAndMore })), REFUSED)
  t.throws(() => prepareX509Svid(request({ notAfter: request().notBefore })), REFUSED, 'no life')
})

t.test('from 2050 on times are GeneralizedTime', async (t) => {
  const now = new Date('2050-03-01T00:00:00Z')
  const later = testAuthority('late.example', { now })
  const { certificate } = issue({
    id: parseSpiffeId('spiffe://late.example/x'),
    issuer: later.issuer,
    notBefore: now,
    notAfter: new Date('2050-03-01T01:00:00Z'),
  })
  t.same(readWithPeculiar(certificate).notBefore, now)
  t.ok(Buffer.from(certificate).includes('20500301010000Z'))
})

t.test('serial numbers carry 128 random bits and are positive', async (t) => {
  const serials = Array.from({ length: 200 }, () => issue().serial)
  t.equal(new Set(serials).size, 200)
  for (const serial of serials) t.match(serial, /^01[0-9a-f]{32}$/)
})

t.test('X5-18 X5-20 OpenSSL verifies what we issue, and reads in it what we say', async (t) => {
  const folder = t.testdir({})
  const { certificate, serial } = issue({ dnsNames: ['cart.example'] })
  const path = (name: string, der: Uint8Array): string => {
    writeFileSync(join(folder, name), toPem(der))
    return join(folder, name)
  }
  const [root, middle, leaf] = [
    path('root.pem', acme.root),
    path('middle.pem', acme.intermediate),
    path('leaf.pem', certificate),
  ]
  const at = String(NOW.getTime() / 1000)
  const trust = ['-x509_strict', '-attime', at, '-CAfile', root, '-untrusted', middle]
  for (const purpose of ['sslserver', 'sslclient']) {
    const out = execFileSync('openssl', ['verify', ...trust, '-purpose', purpose, leaf])
    t.match(out.toString(), 'leaf.pem: OK', purpose)
  }
  const text = execFileSync('openssl', ['x509', '-in', leaf, '-noout', '-text']).toString()
  t.match(text, /Subject: *\n/)
  t.match(
    text,
    /Subject Alternative Name: critical\s+URI:spiffe:\/\/acme\.example\/ns\/shop\/sa\/cart, DNS:cart\.example/,
  )
  t.match(text, /Key Usage: critical\s+Digital Signature\n/)
  t.match(text, /TLS Web Server Authentication, TLS Web Client Authentication/)
  t.match(text, /Basic Constraints: critical\s+CA:FALSE/)
  t.match(text, /Not After : Jan 15 09:00:00 2027 GMT/)
  t.match(text.replaceAll(/[\s:]/g, ''), serial)
  for (const [file, der] of [
    ['root.pem', acme.root],
    ['middle.pem', acme.intermediate],
  ] as const) {
    const printed = execFileSync('openssl', ['x509', '-in', path(file, der), '-noout', '-text'])
    t.match(printed.toString(), /Key Usage: critical\s+Certificate Sign, CRL Sign/)
    t.match(printed.toString(), /URI:spiffe:\/\/acme\.example\n/)
  }
})

t.test('@peculiar/x509 verifies the signature and sees the same times and serial', async (t) => {
  const { certificate, serial, notAfter } = issue()
  t.ok(await isSignedInPeculiar(certificate, acme.intermediate))
  const view = readWithPeculiar(certificate)
  t.equal(view.serial, serial)
  t.same(view.notAfter, notAfter)
})

t.test('every allowed kind of key gets its certificate under every kind of issuer', async (t) => {
  for (const algorithm of ['ES256', 'ES384', 'RS256'] as const) {
    const authority = testAuthority('acme.example', { algorithm })
    for (const leafAlgorithm of ['ES256', 'ES384', 'RS256'] as const) {
      const publicKey = spkiOf(generateKeyPair(leafAlgorithm).publicKey)
      const { certificate } = issue({ publicKey, issuer: authority.issuer })
      t.ok(
        await isSignedInPeculiar(certificate, authority.intermediate),
        `${leafAlgorithm} under ${algorithm}`,
      )
    }
  }
})

t.test('what was prepared for one issuer is not signed by another', async (t) => {
  const prepared = prepareX509Svid(request())
  t.throws(() => signX509Svid(prepared, testAuthority('acme.example').issuer), REFUSED)
})

t.test('what was not prepared here cannot be signed', async (t) => {
  const counterfeit = { sign: undefined, tbs: Buffer.from('') }
  // @ts-expect-error -- the type alone already refuses it
  t.throws(() => signX509Svid(counterfeit, acme.issuer), TypeError)
})

t.test('a leaf is no issuer', async (t) => {
  const { certificate } = issue()
  const issuer = { certificate, privateKey: workload.privateKey }
  t.throws(() => prepareX509Svid(request({ issuer })), { ...REFUSED, message: /no CA/ })
})

t.test('each lint rule refuses a certificate that breaks it alone', async (t) => {
  const { certificate } = issue({ dnsNames: ['cart.example'] })
  const facts = readCertificate(certificate)
  const issuer = readCertificate(acme.intermediate)
  const wanted = {
    ...request({ dnsNames: ['cart.example'] }),
    subjectKeyId: facts.subjectKeyId ?? '',
    purpose: 'workload' as const,
  }
  const good = { facts, wanted, issuer, issuerKeyId: issuer.subjectKeyId ?? '' }
  t.equal(findLintFault(good), undefined)
  const broken: readonly [string, typeof good][] = [
    ['equal to the SPIFFE ID', { ...good, facts: { ...facts, uriSans: [id, id] } }],
    ['DNS names of the entry', { ...good, facts: { ...facts, dnsSans: [] } }],
    ['DNS names of the entry', { ...good, facts: { ...facts, otherSans: 1 } }],
    ['empty subject', { ...good, facts: { ...facts, hasSubject: true } }],
    ['empty subject', { ...good, facts: { ...facts, critical: new Set([EXTENSION.keyUsage]) } }],
    ['cA false', { ...good, facts: { ...facts, basicConstraints: { isCa: true } } }],
    ['cA false', { ...good, facts: { ...facts, basicConstraints: undefined } }],
    ['digitalSignature', { ...good, facts: { ...facts, keyUsage: 0x8400 } }],
    ['digitalSignature', { ...good, facts: { ...facts, keyUsage: undefined } }],
    ['serverAuth', { ...good, facts: { ...facts, extendedKeyUsage: ['1.3.6.1.5.5.7.3.1'] } }],
    ['serverAuth', { ...good, facts: { ...facts, extendedKeyUsage: undefined } }],
    ['critical extension', { ...good, facts: { ...facts, unknownCritical: ['1.2.3'] } }],
    ['serial number', { ...good, facts: { ...facts, serial: '01' } }],
    ['name, key and algorithm', { ...good, facts: { ...facts, authorityKeyId: 'aa' } }],
    ['key of the request', { ...good, facts: { ...facts, spki: Buffer.from('aa') } }],
    ['times asked for', { ...good, facts: { ...facts, notAfter: new Date(0) } }],
  ]
  for (const [rule, subject] of broken) t.match(findLintFault(subject), rule)
  t.ok(X509_SVID_LINTS.length >= 15)
})

t.test('X5-07 what the CSR asks for never reaches the certificate', async (t) => {
  // The forged certificate stands for whatever names and usages a requester dreams of: only its key is used.
  const dream = forge({ keys: workload, subject: 'admin', extensions: [keyUsage(0x06, 1)] })
  const { certificate } = issue({ publicKey: readCertificate(dream.der).spki })
  t.equal(readCertificate(certificate).keyUsage, 0x8000)
  t.equal(readCertificate(certificate).hasSubject, false)
})
