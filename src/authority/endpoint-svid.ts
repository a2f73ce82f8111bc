import type { KeyObject } from 'node:crypto'
import { addSeconds, wholeSeconds } from '../clock.ts'
import type { Keyring } from '../db/keyring.ts'
import type { Db } from '../db/schema.ts'
import type { X509Issuer } from '../pki/ca-certificate.ts'
import { exportPrivateKey, generateKeyPair, spkiOf } from '../pki/key-pair.ts'
import { toPem } from '../pki/pem.ts'
import { BACKDATE_SECONDS, prepareX509Svid, signX509Svid } from '../pki/x509-svid.ts'
import type { SpiffeId } from '../spiffe/spiffe-id.ts'
import type { StoredAuthority } from './authority.ts'
import { type EndpointIssuer, noEndpointIssuer } from './endpoint-issuer.ts'
import { openPrivateKey } from './make-authority.ts'
import { findSealedKey } from './store.ts'

/** The SVID that one of our own listeners presents; its key never leaves the process that made it. */
export interface EndpointSvid {
  readonly id: SpiffeId
  readonly certificate: Uint8Array
  readonly intermediate: Uint8Array
  readonly root: Uint8Array
  readonly privateKey: KeyObject
  readonly notAfter: Date
  /** Half its life: then another one is made. */
  readonly renewAt: Date
}

/** The issuer of endpoint SVIDs of a trust domain with its key opened. */
export interface OpenedEndpointIssuer {
  readonly rootCertificate: Uint8Array
  readonly intermediate: StoredAuthority
  readonly issuer: X509Issuer
  readonly usableUntil: Date
}

/** Opens the key of an issuer of endpoint SVIDs; throws ISSUER_UNAVAILABLE when it was erased meanwhile. */
export async function openEndpointIssuer(
  db: Db,
  { root, intermediate, usableUntil }: EndpointIssuer<StoredAuthority>,
  keyring: Keyring,
): Promise<OpenedEndpointIssuer> {
  if (intermediate.certificate === undefined || root.certificate === undefined) {
    throw noEndpointIssuer(root.trustDomain)
  }
  const sealed = await findSealedKey(db, intermediate.meshId, intermediate.id)
  const privateKey = openPrivateKey(keyring, intermediate, sealed)
  return {
    rootCertificate: root.certificate,
    intermediate,
    issuer: { certificate: intermediate.certificate, privateKey },
    usableUntil,
  }
}

/** What an endpoint SVID is to say. */
export interface EndpointSvidRequest {
  readonly id: SpiffeId
  readonly dnsNames: readonly string[]
  readonly seconds: number
  readonly now: Date
}

/**
 * Makes an SVID for one of our listeners with a fresh key; it ends no later than its issuer may be used (FE-16).
 *
 * Endpoint SVIDs are renewed for ever and so never extend the life of a root that retired.
 */
export function issueEndpointSvid(
  from: OpenedEndpointIssuer,
  { id, dnsNames, seconds, now }: EndpointSvidRequest,
): EndpointSvid {
  const { publicKey, privateKey } = generateKeyPair()
  const notBefore = addSeconds(wholeSeconds(now), -BACKDATE_SECONDS)
  const wanted = addSeconds(wholeSeconds(now), seconds)
  const notAfter = wanted < from.usableUntil ? wanted : wholeSeconds(from.usableUntil)
  const prepared = prepareX509Svid({
    id,
    publicKey: spkiOf(publicKey),
    dnsNames,
    notBefore,
    notAfter,
    issuer: from.issuer,
    purpose: 'endpoint',
  })
  const { certificate } = signX509Svid(prepared, from.issuer)
  return {
    id,
    certificate,
    intermediate: from.issuer.certificate,
    root: from.rootCertificate,
    privateKey,
    notAfter,
    renewAt: new Date((now.getTime() + notAfter.getTime()) / 2),
  }
}

/** The private key in PEM, for a TLS context in this process and nothing else. */
export function keyPemOf(svid: EndpointSvid): string {
  return toPem(exportPrivateKey(svid.privateKey), 'PRIVATE KEY')
}
