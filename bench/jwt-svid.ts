import { sign } from 'node:crypto'
import { addSeconds, wholeSeconds } from '../src/clock.ts'
import { generateKeyPair, keyId } from '../src/pki/key-pair.ts'
import { signJwtSvid } from '../src/pki/jwt-svid.ts'
import { parseSpiffeId } from '../src/spiffe/spiffe-id.ts'
import { type Bench, rateFigure, ratePerCpuSecond, takeTurns } from './harness.ts'

/** A JWT-SVID, checked and signed; the floor is one raw ES256 signature over as many bytes. */
export const jwtSvid: Bench = async function* jwtSvid(scale) {
  const { privateKey, publicKey } = generateKeyPair()
  const key = { kid: keyId(publicKey), privateKey }
  const id = parseSpiffeId('spiffe://acme.example/ns/shop/sa/cart')
  const audience = ['spiffe://globex.example/ns/shop/sa/cart']
  const make = (): string => {
    const issuedAt = wholeSeconds(new Date())
    return signJwtSvid({ id, audience, issuedAt, expiresAt: addSeconds(issuedAt, 300), key })
  }
  const signedBytes = Buffer.alloc(make().lastIndexOf('.'), 1)
  const rates = await takeTurns(scale, {
    floor: () =>
      ratePerCpuSecond(scale.seconds, () =>
        sign('sha256', signedBytes, { key: privateKey, dsaEncoding: 'ieee-p1363' }),
      ),
    subject: () => ratePerCpuSecond(scale.seconds, make),
  })
  yield rateFigure(
    { bench: 'jwt-svid', unit: 'tokens per CPU second', goal: 'ratio >= 0.8' },
    rates,
  )
}
