import { type KeyObject, createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { type Keyring, loadOrCreateSecret } from '../db/keyring.ts'
import type { Db } from '../db/schema.ts'

/** The key pair that signs the links of the audit log. */
export interface AuditKey {
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

/** The audit key of this service (Ed25519): made at first start, sealed under the KEK, the same for all replicas. */
export async function loadAuditKey(db: Db, keyring: Keyring): Promise<AuditKey> {
  const der = await loadOrCreateSecret(db, keyring, { name: 'audit-key', make: newKey })
  const privateKey = createPrivateKey({ key: Buffer.from(der), format: 'der', type: 'pkcs8' })
  return { privateKey, publicKey: createPublicKey(privateKey) }
}

/** The public half as PEM, for whoever checks the log elsewhere. */
export function auditPublicPem(key: AuditKey): string {
  return key.publicKey.export({ format: 'pem', type: 'spki' }).toString()
}

function newKey(): Uint8Array {
  const { privateKey } = generateKeyPairSync('ed25519')
  return privateKey.export({ format: 'der', type: 'pkcs8' })
}
