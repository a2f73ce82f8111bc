import { createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto'
import { addSeconds, wholeSeconds } from '../src/clock.ts'
import { createCsr, readCsr } from '../src/pki/csr.ts'
import { prepareX509Svid, signX509Svid } from '../src/pki/x509-svid.ts'
import { parseSpiffeId } from '../src/spiffe/spiffe-id.ts'
import { type Bench, rateFigure, ratePerCpuSecond, takeTurns } from './harness.ts'
import { makeIssuer } from './issuer.ts'

/**
 * The library call of an X509-SVID: CSR read and its proof of possession verified, octets built, linted, signed and
 * read back. The floor is the cryptography alone: import of the key, one verification, one signature.
 */
export const x509Library: Bench = async function* x509Library(scale) {
  const rates = await takeTurns(scale, libraryTurns(scale.seconds))
  yield rateFigure(
    { bench: 'x509-svid library', unit: 'SVIDs per CPU second', goal: 'ratio >= 0.65' },
    rates,
  )
}

/** Floor and subject of the library call, one turn each; the end-to-end bench compares itself with the subject. */
export function libraryTurns(seconds: number): { floor: () => number; subject: () => number } {
  const issuer = makeIssuer('acme.example', new Date()).intermediate
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const csr = createCsr(keys)
  const spki = keys.publicKey.export({ type: 'spki', format: 'der' })
  const proven = Buffer.alloc(100, 1)
  const proof = sign('sha256', proven, keys.privateKey)
  const octets = Buffer.alloc(500, 2)
  const id = parseSpiffeId('spiffe://acme.example/ns/shop/sa/cart')
  const raw = (): void => {
    const key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
    if (!verify('sha256', proven, key, proof)) throw new Error('the proof must hold')
    sign('sha256', octets, issuer.privateKey)
  }
  const whole = (): void => {
    const { spki: publicKey } = readCsr(csr)
    const now = wholeSeconds(new Date())
    const notBefore = addSeconds(now, -30)
    const notAfter = addSeconds(now, 3600)
    signX509Svid(
      prepareX509Svid({ id, publicKey, dnsNames: [], notBefore, notAfter, issuer }),
      issuer,
    )
  }
  return {
    floor: () => ratePerCpuSecond(seconds, raw),
    subject: () => ratePerCpuSecond(seconds, whole),
  }
}
