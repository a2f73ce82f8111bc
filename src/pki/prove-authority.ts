import { calculateJwkThumbprint, importJWK, jwtVerify } from 'jose'
import { ServiceError } from '../errors.ts'
import { bundleEndpointId } from '../spiffe/spiffe-id.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import { signJwtSvid } from './jwt-svid.ts'
import { keyId, type KeyPair, publicJwk } from './key-pair.ts'
import { isSignedInPeculiar, readWithPeculiar } from './x509.ts'

const BASIC_CONSTRAINTS = '2.5.29.19'
const KEY_USAGE = '2.5.29.15'

/**
 * Holds a new CA certificate against what a second implementation, @peculiar/x509, reads in it: its names, its
 * critical constraints, and the issuer's signature. A signing certificate lives for days to years, so a fault that
 * only its own writer cannot see must not reach peers (X5-05, X5-10).
 *
 * Throws CERTIFICATE_INVALID; `issuer` is the certificate itself for a root.
 */
export async function proveCaCertificate(der: Uint8Array, issuer: Uint8Array): Promise<void> {
  const seen = readWithPeculiar(der)
  const named = seen.issuer === readWithPeculiar(issuer).subject
  const bounded = [BASIC_CONSTRAINTS, KEY_USAGE].every((id) => seen.extensions.get(id)?.critical)
  if (named && bounded && (await isSignedInPeculiar(der, issuer))) return
  throw new ServiceError(
    'CERTIFICATE_INVALID',
    'a new CA certificate is read differently by a second implementation; it is not used',
  )
}

/**
 * Signs a token with a new JWT key and has jose verify it under the key and `kid` that the bundle will show
 * (JW-07, RFC 7638). Throws whatever jose finds wrong, and CERTIFICATE_INVALID for another `kid`.
 */
export async function proveJwtKey(keys: KeyPair, trustDomain: TrustDomain): Promise<void> {
  const jwk = publicJwk(keys.publicKey)
  const kid = keyId(keys.publicKey)
  if ((await calculateJwkThumbprint({ ...jwk })) !== kid) {
    throw new ServiceError(
      'CERTIFICATE_INVALID',
      'the key id of a new JWT key is no thumbprint of it',
    )
  }
  const id = bundleEndpointId(trustDomain)
  const issuedAt = new Date(0)
  const expiresAt = new Date(60_000)
  const key = { kid, privateKey: keys.privateKey }
  const token = signJwtSvid({ id, audience: [id], issuedAt, expiresAt, key })
  const options = { subject: id, audience: id, currentDate: issuedAt }
  await jwtVerify(token, await importJWK({ ...jwk }, 'ES256'), options)
}
