import { createHash, createSecretKey, randomBytes } from 'node:crypto'
import { authorityFounder } from '../../src/authority/found.ts'
import { type Db, inTransaction } from '../../src/db/connect.ts'
import { parseMeshId } from '../../src/db/ids.ts'
import { Keyring } from '../../src/db/keyring.ts'
import { type CreatedMesh, createMesh, type NewMesh } from '../../src/mesh/create-mesh.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'

/** A keyring with a KEK of its own. */
export function testKeyring(): Keyring {
  const id = randomBytes(8).toString('hex')
  return new Keyring({ id, key: createSecretKey(randomBytes(32)) })
}

export interface TestMesh extends Partial<Omit<NewMesh, 'meshId' | 'trustDomain'>> {
  readonly meshId?: string
  readonly trustDomain?: string
  readonly now?: Date
}

/** Makes a mesh as the API does: authorities, published bundle, cluster. */
export async function makeMesh(
  db: Db,
  keyring: Keyring,
  { meshId = 'acme', trustDomain, now = new Date(), ...rest }: TestMesh = {},
): Promise<CreatedMesh> {
  const wanted: NewMesh = {
    ...rest,
    meshId: parseMeshId(meshId),
    trustDomain: parseTrustDomain(trustDomain ?? `${meshId}.example`),
  }
  const deps = {
    publicUrl: 'https://localhost:8443',
    defaultSettings: {},
    hasWebCertificate: true,
    founders: [authorityFounder(keyring)],
  }
  return inTransaction(db, (trx) =>
    createMesh(trx, deps, { wanted, context: { actor: 'test', now } }),
  )
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
