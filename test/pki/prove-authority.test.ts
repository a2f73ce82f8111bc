import t from 'tap'
import { createIntermediate, createRoot } from '../../src/pki/ca-certificate.ts'
import { generateKeyPair } from '../../src/pki/key-pair.ts'
import { proveCaCertificate, proveJwtKey } from '../../src/pki/prove-authority.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'

const trustDomain = parseTrustDomain('acme.example')
const life = {
  notBefore: new Date('2027-01-01T00:00:00Z'),
  notAfter: new Date('2028-01-01T00:00:00Z'),
}

t.test('a second implementation reads our CA certificates as we mean them', async (t) => {
  const keys = generateKeyPair()
  const root = createRoot({ trustDomain, keys, ...life })
  const intermediate = createIntermediate({
    trustDomain,
    publicKey: generateKeyPair().publicKey,
    issuer: { certificate: root, privateKey: keys.privateKey },
    ...life,
  })
  await t.resolves(proveCaCertificate(root, root))
  await t.resolves(proveCaCertificate(intermediate, root))
})

t.test('a CA certificate that its issuer did not sign is not used', async (t) => {
  const root = createRoot({ trustDomain, keys: generateKeyPair(), ...life })
  const other = createRoot({ trustDomain, keys: generateKeyPair(), ...life })
  await t.rejects(proveCaCertificate(root, other), { code: 'CERTIFICATE_INVALID' })
  const broken = Uint8Array.from(root)
  const last = broken.length - 1
  broken[last] = (broken[last] ?? 0) ^ 1
  await t.rejects(proveCaCertificate(broken, broken), { code: 'CERTIFICATE_INVALID' })
})

t.test('jose verifies a token of a new JWT key, and not one of another key', async (t) => {
  await t.resolves(proveJwtKey(generateKeyPair(), trustDomain))
  const mixed = {
    privateKey: generateKeyPair().privateKey,
    publicKey: generateKeyPair().publicKey,
  }
  await t.rejects(proveJwtKey(mixed, trustDomain), {
    code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED',
  })
})
