// The only door to @peculiar/x509, an independent reader; it needs reflect-metadata to be loaded before it.
import 'reflect-metadata'
import { X509Certificate } from '@peculiar/x509'

/** What another implementation sees in a certificate. */
export interface IndependentView {
  readonly subject: string
  readonly issuer: string
  readonly serial: string
  readonly notBefore: Date
  readonly notAfter: Date
  /** By object identifier: whether it is critical, and the hex of its value. */
  readonly extensions: ReadonlyMap<string, { readonly critical: boolean; readonly value: string }>
}

/** Reads a certificate with @peculiar/x509. */
export function readWithPeculiar(der: Uint8Array): IndependentView {
  const certificate = new X509Certificate(Uint8Array.from(der))
  return {
    subject: certificate.subject,
    issuer: certificate.issuer,
    serial: certificate.serialNumber,
    notBefore: certificate.notBefore,
    notAfter: certificate.notAfter,
    extensions: new Map(
      certificate.extensions.map(({ type, critical, value }) => {
        return [type, { critical, value: Buffer.from(value).toString('hex') }]
      }),
    ),
  }
}

/** Whether @peculiar/x509 (through WebCrypto) finds the certificate signed by the issuer's key. */
export async function isSignedInPeculiar(der: Uint8Array, issuer: Uint8Array): Promise<boolean> {
  const certificate = new X509Certificate(Uint8Array.from(der))
  const { publicKey } = new X509Certificate(Uint8Array.from(issuer))
  return certificate.verify({ publicKey, signatureOnly: true })
}
