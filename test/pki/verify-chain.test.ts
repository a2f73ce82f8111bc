import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { X509Certificate } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { isServiceError, ServiceError } from '../../src/errors.ts'
import { extension } from '../../src/pki/ca-certificate.ts'
import { readCertificate, toPem } from '../../src/pki/certificate.ts'
import { contextTag } from '../../src/pki/der.ts'
import { explicit, octetString, oid, sequence, tlv, TRUE } from '../../src/pki/der-write.ts'
import { EXTENSION, GENERAL_NAME } from '../../src/pki/extensions.ts'
import { generateKeyPair, spkiOf } from '../../src/pki/key-pair.ts'
import { MAX_SIGNATURE_CHECKS, verifyX509Svid } from '../../src/pki/verify-chain.ts'
import { prepareX509Svid, signX509Svid } from '../../src/pki/x509-svid.ts'
import { parseSpiffeId } from '../../src/spiffe/spiffe-id.ts'
import { type TrustDomain } from '../../src/spiffe/trust-domain.ts'
import { testAuthority } from '../support/authority.ts'
import {
  basicConstraints,
  constraints,
  type Forged,
  forgeCa,
  forgeLeaf,
  forge,
  HOUR,
  keyUsage,
  NOW,
  sans,
} from '../support/forge.ts'
import { seeded } from '../support/seeded.ts'

const INVALID = { code: 'SVID_INVALID' }
const trust = (anchors: Record<string, readonly Uint8Array[]>, now = NOW) => {
  const byName = new Map(Object.entries(anchors))
  return { anchorsOf: (td: TrustDomain) => byName.get(td), now }
}
const root = forgeCa({ subject: 'root', uri: 'spiffe://acme.example' })
const middle = forgeCa({ subject: 'middle', issuer: root, pathLength: 0 })
const acme = trust({ 'acme.example': [root.der] })
const verify = (chain: readonly Forged[], by = acme) =>
  verifyX509Svid(
    chain.map(({ der }) => der),
    by,
  )

t.test('X5-20 a chain through an intermediate holds, and the answer tells all of it', async (t) => {
  const leaf = forgeLeaf({ issuer: middle, dnsNames: ['web.example'] })
  const found = verify([leaf, middle])
  t.equal(found.id, 'spiffe://acme.example/web')
  t.equal(found.trustDomain, 'acme.example')
  t.same(
    found.path.map(({ der }) => der),
    [leaf.der, middle.der, root.der],
  )
  t.equal(found.issuerKeyId, readCertificate(middle.der).subjectKeyId)
  t.same(found.validUntil, new Date(NOW.getTime() + HOUR))
})

t.test('what we issue ourselves holds', async (t) => {
  const authority = testAuthority('acme.example')
  const { publicKey } = generateKeyPair()
  const prepared = prepareX509Svid({
    id: parseSpiffeId('spiffe://acme.example/web'),
    publicKey: spkiOf(publicKey),
    dnsNames: [],
    notBefore: NOW,
    notAfter: new Date(NOW.getTime() + HOUR),
    issuer: authority.issuer,
  })
  const { certificate } = signX509Svid(prepared, authority.issuer)
  const by = trust({ 'acme.example': [authority.root] })
  t.equal(verifyX509Svid([certificate, authority.intermediate], by).id, 'spiffe://acme.example/web')
})

t.test(
  'order is free, and spare certificates and the root itself may stand in the chain',
  async (t) => {
    const other = forgeCa({ subject: 'other' })
    const deep = forgeCa({ subject: 'deep', issuer: root, pathLength: 1 })
    const deeper = forgeCa({ subject: 'deeper', issuer: deep, pathLength: 0 })
    const leaf = forgeLeaf({ issuer: deeper })
    t.equal(verify([leaf, root, other, deep, deeper]).path.length, 4)
  },
)

t.test('X5-30 an intermediate that is published is an anchor of its own', async (t) => {
  const leaf = forgeLeaf({ issuer: middle })
  const partial = trust({ 'acme.example': [middle.der] })
  t.same(verify([leaf], partial).anchor.der, middle.der)
})

t.test('X5-20 times of every certificate count', async (t) => {
  const past = {
    notBefore: new Date(NOW.getTime() - 2 * HOUR),
    notAfter: new Date(NOW.getTime() - 1000),
  }
  const future = { notBefore: new Date(NOW.getTime() + 1000) }
  const cases: [string, readonly Forged[], RegExp, Forged?][] = [
    ['an ended leaf', [forgeLeaf({ issuer: middle, ...past }), middle], /certificate ended/],
    [
      'a leaf not yet valid',
      [forgeLeaf({ issuer: middle, ...future }), middle],
      /not valid before/,
    ],
  ]
  const endedMiddle = forgeCa({ subject: 'middle', issuer: root, ...past })
  cases.push([
    'an ended intermediate',
    [forgeLeaf({ issuer: endedMiddle }), endedMiddle],
    /intermediate certificate ended/,
  ])
  for (const [what, chain, message] of cases) {
    t.throws(() => verify(chain), { ...INVALID, message }, what)
  }
  const endedRoot = forgeCa({ subject: 'root', ...past })
  t.throws(
    () => verify([forgeLeaf({ issuer: endedRoot })], trust({ 'acme.example': [endedRoot.der] })),
    { ...INVALID, message: /authority in the bundle ended/ },
    'an ended root',
  )
})

t.test('X5-20 wrong signatures and foreign signers are refused', async (t) => {
  const stranger = forgeCa({ subject: 'root' })
  const leaf = forgeLeaf({ issuer: middle, breakSignature: true })
  t.throws(() => verify([leaf, middle]), { ...INVALID, message: /not signed under any/ })
  t.throws(() => verify([forgeLeaf({ issuer: stranger })]), INVALID, 'same name, another key')
  t.throws(() => verify([forgeLeaf({ issuer: stranger }), stranger]), INVALID, 'brought along')
  t.throws(() => verify([forgeLeaf({ issuer: middle })]), INVALID, 'intermediate left out')
  const nameless = forgeLeaf({ issuer: stranger, omitKeyIds: true })
  t.throws(() => verify([nameless]), INVALID, 'no key identifiers to tell them apart')
})

t.test('a chain signed under SHA-1 is refused although its shape is right', async (t) => {
  const leaf = forgeLeaf({ issuer: root, claimAlgorithm: '300906072a8648ce3d0401' })
  t.throws(() => verify([leaf]), { ...INVALID, message: /SHA-256/ })
})

t.test('X5-12 path length is obeyed', async (t) => {
  const short = forgeCa({ subject: 'short', pathLength: 0 })
  const below = forgeCa({ subject: 'below', issuer: short })
  const leaf = forgeLeaf({ issuer: below })
  t.throws(() => verify([leaf, below], trust({ 'acme.example': [short.der] })), {
    ...INVALID,
    message: /path length 0, found 1/,
  })
  t.ok(verify([forgeLeaf({ issuer: short })], trust({ 'acme.example': [short.der] })))
})

t.test('X5-20 a CA must be one: basic constraints, keyCertSign, version 3', async (t) => {
  const noCa = forge({ subject: 'x', issuer: root, extensions: [keyUsage(0x06, 1)] })
  t.throws(() => verify([forgeLeaf({ issuer: noCa }), noCa]), { ...INVALID, message: /is no CA/ })
  const noSign = forgeCa({ subject: 'x', issuer: root, keyUsage: keyUsage(0x80, 7) })
  t.throws(() => verify([forgeLeaf({ issuer: noSign }), noSign]), {
    ...INVALID,
    message: /keyCertSign/,
  })
  const old = forge({ subject: 'old', extensions: [], omitKeyIds: true, version: 1 })
  t.throws(() => verify([forgeLeaf({ issuer: old })], trust({ 'acme.example': [old.der] })), {
    ...INVALID,
    message: /is no CA/,
  })
  const leaf = forgeLeaf({ issuer: root })
  const pretender = forgeLeaf({ issuer: leaf, uris: ['spiffe://acme.example/admin'] })
  t.throws(() => verify([pretender, leaf]), INVALID, 'a workload signs nobody')
})

t.test('X5-10 X5-11 peers may leave out cRLSign and add digitalSignature', async (t) => {
  for (const bits of [0x04, 0x06, 0x86]) {
    const ca = forgeCa({ subject: 'x', keyUsage: keyUsage(bits, 1) })
    t.ok(verify([forgeLeaf({ issuer: ca })], trust({ 'acme.example': [ca.der] })))
  }
})

t.test('X5-20 an unknown critical extension refuses, wherever it stands', async (t) => {
  const odd = extension('1.3.6.1.4.1.99999.1', octetString(Buffer.of(1)), 'critical')
  const oddMiddle = forgeCa({ subject: 'x', issuer: root, more: [odd] })
  const oddRoot = forgeCa({ subject: 'x', more: [odd] })
  t.throws(() => verify([forgeLeaf({ issuer: root, more: [odd] })]), {
    ...INVALID,
    message: /99999/,
  })
  t.throws(() => verify([forgeLeaf({ issuer: oddMiddle }), oddMiddle]), INVALID)
  t.throws(() => verify([forgeLeaf({ issuer: oddRoot })], trust({ 'acme.example': [oddRoot.der] })))
  const harmless = extension('1.3.6.1.4.1.99999.1', octetString(Buffer.of(1)))
  t.ok(verify([forgeLeaf({ issuer: root, more: [harmless] })]))
  const policies = extension(
    EXTENSION.certificatePolicies,
    sequence(sequence(oid('2.5.29.32.0'))),
    'critical',
  )
  t.ok(verify([forgeLeaf({ issuer: root, more: [policies] })]), 'policies alone refuse nothing')
})

t.test('an extension that stands twice refuses', async (t) => {
  const leaf = forgeLeaf({ issuer: root, more: [sans({ uris: ['spiffe://acme.example/admin'] })] })
  t.throws(() => verify([leaf]), { ...INVALID, message: /stands twice/ })
})

const uriRules = (permitted: readonly string[], excluded?: readonly string[]): Buffer =>
  constraints({
    permitted: permitted.map((name) => [GENERAL_NAME.uri, name] as const),
    ...(excluded === undefined
      ? {}
      : { excluded: excluded.map((name) => [GENERAL_NAME.uri, name] as const) }),
  })

const under = (rules: Buffer, uri: string): (() => unknown) => {
  const ca = forgeCa({ subject: 'x', issuer: root, more: [rules] })
  const td = uri.split('/')[2] ?? ''
  return () => verify([forgeLeaf({ issuer: ca, uris: [uri] }), ca], trust({ [td]: [root.der] }))
}

t.test('X5-19 URI name constraints bind every name below', async (t) => {
  t.ok(under(uriRules(['acme.example']), 'spiffe://acme.example/web')())
  t.throws(under(uriRules(['acme.example']), 'spiffe://other.example/web'), {
    ...INVALID,
    message: /not permitted/,
  })
  t.throws(under(uriRules(['acme.example']), 'spiffe://a.acme.example/web'), INVALID, 'exact host')
  t.ok(under(uriRules(['.acme.example']), 'spiffe://a.acme.example/web')())
  t.throws(under(uriRules(['.acme.example']), 'spiffe://acme.example/web'), INVALID, 'below only')
  t.throws(under(uriRules(['x'], ['acme.example']), 'spiffe://acme.example/web'), INVALID)
  t.throws(under(uriRules(['10.0.0.1']), 'spiffe://10.0.0.1/web'), INVALID, 'an IP address')
})

t.test('X5-19 OpenSSL decides about the same constraints as we do', async (t) => {
  const folder = t.testdir({})
  const pem = (name: string, der: Uint8Array): string => {
    writeFileSync(`${folder}/${name}`, toPem(der))
    return `${folder}/${name}`
  }
  const ca = forgeCa({ subject: 'x', issuer: root, more: [uriRules(['acme.example'])] })
  for (const [host, wanted] of [
    ['acme.example', true],
    ['other.example', false],
  ] as const) {
    const leaf = forgeLeaf({ issuer: ca, uris: [`spiffe://${host}/web`] })
    const args = [
      'verify',
      '-attime',
      String(NOW.getTime() / 1000),
      '-CAfile',
      pem('r.pem', root.der),
    ]
    let openssl = true
    try {
      const files = ['-untrusted', pem('c.pem', ca.der), pem('l.pem', leaf.der)]
      execFileSync('openssl', [...args, ...files], { stdio: 'pipe' })
    } catch {
      openssl = false
    }
    let ours = true
    try {
      verify([leaf, ca], trust({ [host]: [root.der] }))
    } catch {
      ours = false
    }
    t.same([openssl, ours], [wanted, wanted], host)
  }
})

t.test('DNS name constraints bind too, and other kinds refuse', async (t) => {
  const dns = constraints({ permitted: [[GENERAL_NAME.dns, 'svc.example']] })
  const ca = forgeCa({ subject: 'x', issuer: root, more: [dns] })
  t.ok(verify([forgeLeaf({ issuer: ca, dnsNames: ['web.svc.example', 'svc.example'] }), ca]))
  t.throws(() => verify([forgeLeaf({ issuer: ca, dnsNames: ['web.example'] }), ca]), INVALID)
  t.throws(() => verify([forgeLeaf({ issuer: ca, dnsNames: ['xsvc.example'] }), ca]), INVALID)
  const email = constraints({ excluded: [[contextTag(1, 'primitive'), 'x@example']] })
  const odd = forgeCa({ subject: 'x', issuer: root, more: [email] })
  t.throws(() => verify([forgeLeaf({ issuer: odd }), odd]), {
    ...INVALID,
    message: /kind not known/,
  })
  const subtree = sequence(
    tlv(GENERAL_NAME.dns, Buffer.from('svc.example')),
    tlv(contextTag(0, 'primitive'), Buffer.of(1)),
  )
  const bounded = extension(EXTENSION.nameConstraints, sequence(explicit(0, subtree)), 'critical')
  const withMinimum = forgeCa({ subject: 'x', issuer: root, more: [bounded] })
  t.throws(() => verify([forgeLeaf({ issuer: withMinimum }), withMinimum]), INVALID)
})

t.test('constraints of a self-signed anchor bind as well', async (t) => {
  const ca = forgeCa({ subject: 'x', more: [uriRules(['other.example'])] })
  t.throws(() => verify([forgeLeaf({ issuer: ca })], trust({ 'acme.example': [ca.der] })), INVALID)
})

/** Counts SPIFFE URIs only: the usual mistake that X5-21 names. */
const filterFirstTwin = (der: Uint8Array): string | undefined => {
  const uris = readCertificate(der).uriSans.filter((uri) => uri.startsWith('spiffe://'))
  return uris.length === 1 ? uris[0] : undefined
}

t.test('X5-21 exactly one URI SAN, whatever the others are', async (t) => {
  const refused = [
    ['spiffe://acme.example/a', 'https://x.example'],
    ['https://x.example', 'spiffe://acme.example/a'],
    ['spiffe://acme.example/a', 'spiffe://acme.example/b'],
    ['spiffe://acme.example/a', 'spiffe://acme.example/a'],
    [],
  ]
  for (const uris of refused) {
    const leaf = forgeLeaf({ issuer: root, uris, dnsNames: ['web.example'] })
    t.throws(() => verify([leaf]), { ...INVALID, message: /URI SANs/ }, uris.join(' '))
  }
  t.ok(verify([forgeLeaf({ issuer: root, dnsNames: ['web.example', 'b.example'] })]))
  const mixed = forgeLeaf({ issuer: root, uris: refused[0] ?? [] })
  t.equal(filterFirstTwin(mixed.der), 'spiffe://acme.example/a', 'a twin that filters is deceived')
})

t.test('X5-17 X5-22 a CA never authenticates anybody', async (t) => {
  const ca = forgeCa({ subject: 'x', issuer: root, uri: 'spiffe://acme.example/web' })
  t.throws(() => verify([ca]), { ...INVALID, message: /is a CA/ })
  const leaf = forgeLeaf({ issuer: root, constraints: basicConstraints({ isCa: true }) })
  t.throws(() => verify([leaf]), INVALID)
  const without = forge({
    issuer: root,
    extensions: [sans({ uris: ['spiffe://acme.example/web'] }), keyUsage(0x80, 7)],
  })
  t.ok(verify([without]), 'missing basic constraints mean no CA')
})

t.test('X5-23 neither keyCertSign nor cRLSign on a leaf', async (t) => {
  for (const [bits, unused] of [
    [0x84, 2],
    [0x82, 1],
    [0x06, 1],
  ] as const) {
    const leaf = forgeLeaf({ issuer: root, keyUsage: keyUsage(bits, unused) })
    t.throws(() => verify([leaf]), INVALID, bits.toString(16))
  }
})

t.test('X5-06 X5-08 what peers may add or leave out on a leaf is accepted', async (t) => {
  t.ok(verify([forgeLeaf({ issuer: root, keyUsage: keyUsage(0xa8, 3) })]), 'SPIRE sets all three')
  t.ok(verify([forgeLeaf({ issuer: root, keyUsage: undefined })]), 'no key usage at all')
  t.throws(() => verify([forgeLeaf({ issuer: root, keyUsage: keyUsage(0x20, 5) })]), INVALID)
})

t.test('X5-24 the URI must be a SPIFFE ID', async (t) => {
  const uris = ['https://acme.example/x', 'spiffe://acme.example/a/../b', 'SPIFFE://acme.example/x']
  for (const uri of [...uris, 'spiffe://acme.example/', 'spiffe://acme.example/x?', '']) {
    t.throws(() => verify([forgeLeaf({ issuer: root, uris: [uri] })]), INVALID, uri)
  }
})

t.test('X5-25 the ID of a trust domain alone is no identity of a workload', async (t) => {
  const leaf = forgeLeaf({ issuer: root, uris: ['spiffe://acme.example'] })
  t.throws(() => verify([leaf]), { ...INVALID, message: /has no path/ })
  const twin = parseSpiffeId(readCertificate(leaf.der).uriSans[0] ?? '')
  t.equal(twin, 'spiffe://acme.example', 'a twin that only parses the ID lets it in')
})

/** One pool of all anchors and an ID check afterwards: the classic break that FE-39 names. */
const pooledTwin = (chain: readonly Uint8Array[], pool: readonly Uint8Array[]): string => {
  const [leaf] = chain
  const certificate = new X509Certificate(leaf ?? Buffer.of())
  const isSigned = pool.some((der) => certificate.verify(new X509Certificate(der).publicKey))
  if (!isSigned) throw new ServiceError('SVID_INVALID', 'not signed')
  return readCertificate(leaf ?? Buffer.of()).uriSans[0] ?? ''
}

t.test('FE-39 X5-26 anchors of one domain vouch for that domain only', async (t) => {
  const names = ['a.example', 'b.example', 'c.example']
  const domains = names.map((name) => ({
    name,
    ca: forgeCa({ subject: name, uri: `spiffe://${name}` }),
  }))
  const all = trust(Object.fromEntries(domains.map(({ name, ca }) => [name, [ca.der]])))
  const pool = domains.map(({ ca }) => ca.der)
  for (const signer of domains) {
    for (const claimed of names) {
      const leaf = forgeLeaf({ issuer: signer.ca, uris: [`spiffe://${claimed}/web`] })
      const what = `${signer.name} signs for ${claimed}`
      if (signer.name === claimed) t.ok(verify([leaf], all), what)
      else t.throws(() => verify([leaf, signer.ca], all), INVALID, what)
      t.equal(pooledTwin([leaf.der], pool), `spiffe://${claimed}/web`, 'pooled anchors let it in')
    }
  }
})

t.test('X5-16 the name in an intermediate never chooses the anchors', async (t) => {
  const foreign = forgeCa({ subject: 'x', issuer: root, uri: 'spiffe://globex.example' })
  t.ok(verify([forgeLeaf({ issuer: foreign }), foreign]), 'its signature leads to our root')
  const claims = forgeLeaf({ issuer: foreign, uris: ['spiffe://globex.example/web'] })
  t.throws(() => verify([claims, foreign]), { ...INVALID, message: /globex\.example/ })
})

t.test('X5-26 an unknown domain and an empty bundle trust nobody', async (t) => {
  const leaf = forgeLeaf({ issuer: root })
  t.throws(() => verify([leaf], trust({})), { ...INVALID, message: /no bundle/ })
  t.throws(() => verify([leaf], trust({ 'acme.example': [] })), {
    ...INVALID,
    message: /0 authorities/,
  })
})

t.test('chains that are too long, empty or too large are refused', async (t) => {
  const leaf = forgeLeaf({ issuer: root })
  t.throws(() => verify([]), INVALID)
  t.throws(() => verify(Array.from({ length: 11 }, () => leaf)), {
    ...INVALID,
    message: /at most 10/,
  })
  t.throws(() => verifyX509Svid([Buffer.alloc(16 * 1024 + 1)], acme), INVALID)
})

t.test('a knot of cross-signed CAs costs a bounded number of signature checks', async (t) => {
  const keys = Array.from({ length: 9 }, () => generateKeyPair())
  const name = forge({ subject: 'knot', extensions: [] })
  const knot = keys.map((pair, index) =>
    forgeCa({
      subject: 'knot',
      keys: pair,
      issuer: { ...name, keys: keys[(index + 1) % keys.length] ?? pair },
      omitKeyIds: true,
    }),
  )
  const leaf = forgeLeaf({ issuer: knot[0] ?? root, omitKeyIds: true })
  t.throws(() => verify([leaf, ...knot]), {
    ...INVALID,
    message: new RegExp(`more than ${MAX_SIGNATURE_CHECKS} signature checks`),
  })
})

const holds = (chain: readonly Uint8Array[]): boolean => {
  try {
    verifyX509Svid(chain, acme)
    return true
  } catch (thrown) {
    return isServiceError(thrown, 'SVID_INVALID')
  }
}

t.test('only a ServiceError leaves the validator, whatever the bytes', async (t) => {
  const leaf = forgeLeaf({ issuer: middle })
  seeded(t, fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 3 }), holds), 1000)
  const flips = fc.array(fc.tuple(fc.nat(leaf.der.length - 1), fc.nat(255)), { maxLength: 3 })
  seeded(
    t,
    fc.property(flips, fc.boolean(), (changes, inLeaf) => {
      const [one, two] = [Buffer.from(leaf.der), Buffer.from(middle.der)]
      for (const [at, value] of changes) (inLeaf ? one : two)[at] = value
      return holds([one, two])
    }),
    1500,
  )
})

t.test('ID-20 no flipped byte of a signed certificate passes', async (t) => {
  const leaf = forgeLeaf({ issuer: root })
  const { tbs } = readCertificate(leaf.der)
  const start = leaf.der.indexOf(tbs)
  let accepted = 0
  for (let at = start; at < start + tbs.length; at += 1) {
    const changed = Buffer.from(leaf.der)
    changed[at]! ^= 1
    try {
      verify([{ ...leaf, der: changed }])
      accepted += 1
    } catch {
      // refused, as it must be
    }
  }
  t.equal(accepted, 0)
})

t.test('an explicit FALSE in basic constraints is read as no CA', async (t) => {
  const explicitFalse = extension(
    EXTENSION.basicConstraints,
    sequence(Buffer.of(1, 1, 0)),
    'critical',
  )
  t.ok(verify([forgeLeaf({ issuer: root, constraints: explicitFalse })]))
  const withLength = extension(EXTENSION.basicConstraints, sequence(TRUE), 'critical')
  t.throws(() => verify([forgeLeaf({ issuer: root, constraints: withLength })]), INVALID)
})
