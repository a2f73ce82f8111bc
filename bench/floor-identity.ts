import { addSeconds, wholeSeconds } from '../src/clock.ts'
import { exportPrivateKey, generateKeyPair, spkiOf } from '../src/pki/key-pair.ts'
import { toPem } from '../src/pki/pem.ts'
import { prepareX509Svid, signX509Svid } from '../src/pki/x509-svid.ts'
import { bundleEndpointId } from '../src/spiffe/spiffe-id.ts'
import { parseTrustDomain } from '../src/spiffe/trust-domain.ts'
import { type ClientIdentity } from './https-load.ts'
import { makeIssuer } from './issuer.ts'

/** A server certificate of the same kind and size as the service's own: P-256 leaf and intermediate, one URI SAN. */
export function floorIdentity(): ClientIdentity {
  const now = wholeSeconds(new Date())
  const { intermediate } = makeIssuer('acme.example', now)
  const keys = generateKeyPair()
  const prepared = prepareX509Svid({
    id: bundleEndpointId(parseTrustDomain('acme.example')),
    publicKey: spkiOf(keys.publicKey),
    dnsNames: ['localhost'],
    notBefore: addSeconds(now, -30),
    notAfter: addSeconds(now, 3600),
    issuer: intermediate,
    purpose: 'endpoint',
  })
  const { certificate } = signX509Svid(prepared, intermediate)
  return {
    cert: toPem(certificate) + toPem(intermediate.certificate),
    key: keyPem(exportPrivateKey(keys.privateKey)),
  }
}

/** PKCS#8 as PEM. */
export function keyPem(der: Uint8Array): string {
  const text = Buffer.from(der).toString('base64')
  return `-----BEGIN PRIVATE KEY-----\n${text}\n-----END PRIVATE KEY-----\n`
}

/** The headers that a server chooses, and the body in Base64, from the bytes of its answer. */
export function answerOf(bytes: Buffer): { headers: Record<string, string>; body: string } {
  const end = bytes.indexOf('\r\n\r\n')
  const lines = bytes.toString('latin1', 0, end).split('\r\n').slice(1)
  const pairs = lines.map((line) => line.split(': ', 2) as [string, string])
  const own = new Set(['content-length', 'date', 'connection', 'keep-alive'])
  return {
    headers: Object.fromEntries(pairs.filter(([name]) => !own.has(name.toLowerCase()))),
    body: bytes.subarray(end + 4).toString('base64'),
  }
}
