import { execFileSync } from 'node:child_process'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { ServiceError } from '../../src/errors.ts'
import { signBytes } from '../../src/pki/algorithms.ts'
import { splitPem } from '../../src/pki/certificate.ts'
import { createCsr, readCsr } from '../../src/pki/csr.ts'
import { explicit, octetBits, sequence, unsigned } from '../../src/pki/der-write.ts'
import { generateKeyPair, spkiOf } from '../../src/pki/key-pair.ts'
import { seeded } from '../support/seeded.ts'

const REJECTED = { code: 'CSR_REJECTED' }
const keys = generateKeyPair()
const good = Buffer.from(createCsr(keys))

/** A request with any parts, right or wrong. */
const csr = (parts: {
  spki: Uint8Array
  signer: KeyObject
  identifier?: string
  hash?: 'sha256' | 'sha1'
  version?: number
  more?: Buffer[]
}): Buffer => {
  const { spki, signer, identifier = '300a06082a8648ce3d040302', version = 0, more = [] } = parts
  const kind = signer.asymmetricKeyType === 'rsa' ? 'RSA' : 'EC'
  const info = sequence(unsigned(Buffer.from([version])), sequence(), spki, explicit(0), ...more)
  const scheme = { kind, hash: (parts.hash ?? 'sha256') as 'sha256' } as const
  const signature = signBytes(info, { scheme, key: signer, encoding: 'der' })
  return sequence(info, Buffer.from(identifier, 'hex'), octetBits(signature))
}
const ec = (curve: string) => generateKeyPairSync('ec', { namedCurve: curve })
const rsa = (bits: number) => generateKeyPairSync('rsa', { modulusLength: bits })

t.test('a CSR gives its key and nothing else', async (t) => {
  t.same(Object.keys(readCsr(good)).toSorted(), ['publicKey', 'spki'])
  for (const algorithm of ['ES256', 'ES384', 'RS256'] as const) {
    const pair = generateKeyPair(algorithm)
    t.same(readCsr(createCsr(pair)).spki, Buffer.from(spkiOf(pair.publicKey)), algorithm)
  }
})

t.test(
  'our CSR is one for OpenSSL, and a CSR of OpenSSL is one for us, its names ignored',
  async (t) => {
    const out = execFileSync('openssl', ['req', '-inform', 'DER', '-noout', '-verify', '-text'], {
      input: good,
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    t.match(out.toString(), /Requested Extensions|Attributes|Certificate Request/)
    const folder = t.testdir({})
    const names = ['-subj', '/CN=admin/O=somebody else', '-addext', 'keyUsage=keyCertSign']
    const san = ['-addext', 'subjectAltName=URI:spiffe://acme.example/admin,DNS:root.example']
    const made = execFileSync(
      'openssl',
      [
        'req',
        '-new',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-nodes',
        ...names,
        ...san,
        '-keyout',
        `${folder}/key.pem`,
      ],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    )
    const [der] = splitPem(made.toString(), 'CERTIFICATE REQUEST')
    t.same(Object.keys(readCsr(der ?? good)).toSorted(), ['publicKey', 'spki'])
  },
)

t.test('an RSA-PSS signature of the key in it is a proof too', async (t) => {
  const folder = t.testdir({})
  const made = execFileSync(
    'openssl',
    [
      'req',
      '-new',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-subj',
      '/CN=x',
      '-sigopt',
      'rsa_padding_mode:pss',
      '-sigopt',
      'rsa_pss_saltlen:32',
      '-sha256',
      '-keyout',
      `${folder}/key.pem`,
    ],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  )
  const [der] = splitPem(made.toString(), 'CERTIFICATE REQUEST')
  t.equal(readCsr(der ?? good).publicKey.asymmetricKeyType, 'rsa')
})

t.test('what is not DER, or no request, is refused', async (t) => {
  const inputs: Record<string, Uint8Array> = {
    nothing: Buffer.of(),
    text: Buffer.from('hello'),
    'PEM instead of DER': Buffer.from('-----BEGIN CERTIFICATE REQUEST-----'),
    'a byte too many': Buffer.concat([good, Buffer.of(0)]),
    'a byte too few': good.subarray(0, -1),
    'an empty sequence': sequence(),
    'more than 16 KiB': Buffer.alloc(16 * 1024 + 1),
  }
  for (const [what, der] of Object.entries(inputs)) t.throws(() => readCsr(der), REJECTED, what)
  const spki = spkiOf(keys.publicKey)
  const signer = keys.privateKey
  t.throws(() => readCsr(csr({ spki, signer, version: 1 })), REJECTED, 'an unknown version')
  t.throws(() => readCsr(csr({ spki, signer, more: [sequence()] })), REJECTED, 'extra parts')
})

t.test('a signature by another key, or over other octets, is refused', async (t) => {
  const other = generateKeyPair()
  t.throws(() => readCsr(csr({ spki: spkiOf(keys.publicKey), signer: other.privateKey })), {
    ...REJECTED,
    message: /wrong signature/,
  })
  const flipped = Buffer.from(good)
  flipped[flipped.length - 1]! ^= 1
  t.throws(() => readCsr(flipped), REJECTED)
})

t.test('weak and unusual keys are refused', async (t) => {
  const weak: Record<string, { publicKey: KeyObject; privateKey: KeyObject }> = {
    'P-521': ec('P-521'),
    secp256k1: ec('secp256k1'),
    'P-224': ec('P-224'),
    'RSA 1024': rsa(1024),
  }
  for (const [what, { publicKey, privateKey }] of Object.entries(weak)) {
    const isRsa = publicKey.asymmetricKeyType === 'rsa'
    const identifier = isRsa ? '300d06092a864886f70d01010b0500' : '300a06082a8648ce3d040302'
    const der = csr({ spki: spkiOf(publicKey), signer: privateKey, identifier })
    t.throws(() => readCsr(der), REJECTED, what)
  }
  const ed = generateKeyPairSync('ed25519')
  const identifier = '300506032b6570'
  t.throws(
    () => readCsr(csr({ spki: spkiOf(ed.publicKey), signer: keys.privateKey, identifier })),
    REJECTED,
    'Ed25519',
  )
})

t.test('a SHA-1 signature, or an algorithm of another family, is no proof', async (t) => {
  const pair = rsa(2048)
  const spki = spkiOf(pair.publicKey)
  const sha1 = '300d06092a864886f70d0101050500'
  const signer = pair.privateKey
  t.throws(() => readCsr(csr({ spki, signer, identifier: sha1, hash: 'sha1' })), {
    ...REJECTED,
    message: /SHA-256/,
  })
  const ecdsa = '300a06082a8648ce3d040302'
  t.throws(() => readCsr(csr({ spki, signer, identifier: ecdsa })), REJECTED)
})

t.test('a point off its curve and a compressed point are refused', async (t) => {
  const off = Buffer.from(spkiOf(keys.publicKey))
  off[off.length - 1]! ^= 1
  t.throws(() => readCsr(csr({ spki: off, signer: keys.privateKey })), REJECTED)
  const whole = Buffer.from(spkiOf(keys.publicKey))
  const compressed = Buffer.concat([
    Buffer.from('3039301306072a8648ce3d020106082a8648ce3d030107032200', 'hex'),
    Buffer.of(2 + ((whole.at(-1) ?? 0) & 1)),
    whole.subarray(27, 59),
  ])
  t.throws(() => readCsr(csr({ spki: compressed, signer: keys.privateKey })), {
    ...REJECTED,
    message: /uncompressed/,
  })
})

t.test('the refusal never quotes the CSR', async (t) => {
  const body = good.toString('base64').slice(20, 60)
  try {
    readCsr(Buffer.concat([good, Buffer.of(0)]))
    t.fail('must throw')
  } catch (thrown) {
    t.notMatch(String(thrown), body)
  }
})

const holds = (bytes: Uint8Array): boolean => {
  try {
    readCsr(bytes)
    return true
  } catch (thrown) {
    return thrown instanceof ServiceError && thrown.code === 'CSR_REJECTED'
  }
}

t.test('only a ServiceError leaves the reader, whatever the bytes', async (t) => {
  seeded(t, fc.property(fc.uint8Array({ maxLength: 128 }), holds), 2000)
  const flips = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 4 })
  seeded(
    t,
    fc.property(flips, (changes) => {
      const bytes = Buffer.from(good)
      for (const [at, value] of changes) bytes[at] = value
      return holds(bytes)
    }),
    2000,
  )
})
