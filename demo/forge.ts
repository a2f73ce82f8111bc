import { createHash, type KeyObject } from 'node:crypto'
import path from 'node:path'
import { openDatabase } from '../src/db/connect.ts'
import { Keyring } from '../src/db/keyring.ts'
import { findSignatureAlgorithm, signBytes } from '../src/pki/algorithms.ts'
import { readCertificate, splitPem, toPem } from '../src/pki/certificate.ts'
import { childrenOf, rawOf, readDer } from '../src/pki/der.ts'
import { octetBits, sequence } from '../src/pki/der-write.ts'
import { importPrivateKey } from '../src/pki/key-pair.ts'
import { type SpiffeId } from '../src/spiffe/spiffe-id.ts'
import { type Identity } from './workload.ts'

/**
 * Plays the thief: takes the private key of the intermediate out of a copied data folder, database and KEK.
 *
 * Entente itself never issues the certificate that {@link forge} makes, so the demo has to steal the key.
 */
export async function stealIntermediateKey(dataDir: string): Promise<KeyObject> {
  const log = { warn: () => undefined }
  const database = await openDatabase({ engine: 'pglite', folder: dataDir, log })
  try {
    const row = await database.db
      .selectFrom('authority')
      .selectAll()
      .where('kind', '=', 'x509_intermediate')
      .where('state', '=', 'active')
      .executeTakeFirstOrThrow()
    if (row.sealed_key === null) throw new Error('the intermediate has no key')
    const keyring = await Keyring.load(path.join(dataDir, 'kek'))
    const key = keyring.open(row.sealed_key, {
      of: 'authority',
      meshId: row.mesh_id,
      trustDomain: row.trust_domain,
      authorityId: row.id,
      kind: row.kind,
      publicKeySha256: createHash('sha256').update(row.public_key).digest(),
    })
    return importPrivateKey(key)
  } finally {
    await database.close()
  }
}

/** What a forged certificate is made of. */
export interface Forgery {
  /** A genuine identity of the thief's own trust domain. */
  readonly genuine: Pick<Identity, 'cert' | 'key'>
  readonly ownId: SpiffeId
  /** The ID to claim; as many characters as `ownId`, so that only these octets change. */
  readonly claimedId: SpiffeId
  readonly issuerKey: KeyObject
}

/** A genuine SVID with another SPIFFE ID in it, signed again by its own issuer's key: perfect but for the ID. */
export function forge({
  genuine,
  ownId,
  claimedId,
  issuerKey,
}: Forgery): Pick<Identity, 'cert' | 'key'> {
  const [leaf, ...chain] = splitPem(genuine.cert)
  if (leaf === undefined || ownId.length !== claimedId.length) throw new Error('nothing to forge')
  const [, identifier] = childrenOf(readDer(leaf))
  const { tbs } = readCertificate(leaf)
  const claimed = Buffer.from(tbs)
  claimed.write(claimedId, claimed.indexOf(ownId), 'latin1')
  if (identifier === undefined) throw new Error('no signature algorithm')
  const scheme = findSignatureAlgorithm(rawOf(identifier))
  if (scheme === undefined) throw new Error('unknown signature algorithm')
  const signature = signBytes(claimed, { scheme, key: issuerKey, encoding: 'der' })
  const forged = sequence(claimed, rawOf(identifier), octetBits(signature))
  return { cert: [forged, ...chain].map((der) => toPem(der)).join(''), key: genuine.key }
}
