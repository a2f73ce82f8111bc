import { type Db, inTransaction } from '../../src/db/connect.ts'
import { type MeshId } from '../../src/db/ids.ts'
import { insertGiven } from '../../src/federation/peer-bundle/insert-given.ts'
import { readDocument } from '../../src/federation/poll/accept-bundle.ts'
import { createRoot } from '../../src/pki/ca-certificate.ts'
import { generateKeyPair, publicJwk } from '../../src/pki/key-pair.ts'
import { writeBundle } from '../../src/spiffe/bundle.ts'
import { type TrustDomain } from '../../src/spiffe/trust-domain.ts'

const keys = generateKeyPair()

/** Stores a bundle of a peer's domain as the one in use: one X.509 authority that is valid for decades. */
export async function addBundle(
  db: Db,
  meshId: MeshId,
  {
    relationshipId,
    trustDomain,
    now,
  }: {
    readonly relationshipId: string
    readonly trustDomain: TrustDomain
    readonly now: Date
  },
): Promise<void> {
  const life = { notBefore: new Date('2000-01-01'), notAfter: new Date('2099-01-01') }
  const certificate = createRoot({ trustDomain, keys, ...life })
  const document = writeBundle({
    trustDomain,
    sequence: 1n,
    refreshHintSeconds: 300,
    x509Authorities: [{ certificate, jwk: publicJwk(keys.publicKey) }],
    jwtAuthorities: [],
  })
  await inTransaction(db, (trx) =>
    insertGiven(trx, meshId, {
      key: { relationshipId, trustDomain },
      read: readDocument(trustDomain, document),
      context: { actor: 'tester', now },
    }),
  )
}
