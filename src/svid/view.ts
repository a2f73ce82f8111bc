import { toPem } from '../pki/certificate.ts'
import { type BundleView, type JwtAnswerView, type X509AnswerView } from './api.ts'
import { type IssuedJwt } from './issue-jwt.ts'
import { type IssuedX509 } from './issue-x509.ts'

/** An X509-SVID with its bundles as the wire has it. */
export function viewX509(issued: IssuedX509): X509AnswerView {
  const { entry, svid, chain, renewAt, own, federated } = issued
  return {
    spiffeId: entry.spiffeId,
    hint: entry.hint ?? null,
    serial: svid.serial,
    certificateChain: chain.map((der, index) => (index === 0 ? toPem(der) : keptPem(der))).join(''),
    notBefore: svid.notBefore.toISOString(),
    expiresAt: svid.notAfter.toISOString(),
    renewAt: renewAt.toISOString(),
    bundleRefreshSeconds: issued.bundleRefreshSeconds,
    bundle: viewBundle(own.served),
    federatedBundles: federated.bundles.map(viewBundle),
    missingBundles: [...federated.missing],
  }
}

/** A JWT-SVID as the wire has it. */
export function viewJwt({ entry, token, kid, issuedAt, expiresAt }: IssuedJwt): JwtAnswerView {
  return {
    spiffeId: entry.spiffeId,
    hint: entry.hint ?? null,
    token,
    keyId: kid,
    issuedAt: issuedAt.toISOString(),
    expiresAt: expiresAt.toISOString(),
  }
}

interface Document {
  readonly trustDomain: string
  readonly sequence: bigint | undefined
  readonly document: Uint8Array
}

function viewBundle({ trustDomain, sequence, document }: Document): BundleView {
  return {
    trustDomain,
    sequence: sequence?.toString() ?? null,
    document: keptText(document),
  }
}

const pems = new WeakMap<Uint8Array, string>()

/** PEM of an intermediate, written once: it is the same in thousands of answers. */
function keptPem(der: Uint8Array): string {
  const known = pems.get(der) ?? toPem(der)
  pems.set(der, known)
  return known
}

const texts = new WeakMap<Uint8Array, string>()

/** Text of a bundle, decoded once for the same reason. */
function keptText(document: Uint8Array): string {
  const known = texts.get(document) ?? Buffer.from(document).toString('utf8')
  texts.set(document, known)
  return known
}
