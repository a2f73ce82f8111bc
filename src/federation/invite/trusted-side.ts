import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { loadDistrust } from '../trust/distrust-store.ts'
import { effectiveBundle } from '../trust/effective-bundle.ts'
import { type PeerSide } from './peer-side.ts'

/**
 * A side that somebody sent, without the authorities whose keys this mesh distrusts: they prove no endpoint and no
 * message of a handshake either. The documents stay as they came.
 */
export async function trustedSide(db: Db, meshId: MeshId, side: PeerSide): Promise<PeerSide> {
  const { digests } = await loadDistrust(db, meshId)
  if (digests.size === 0) return side
  const domains = side.domains.map((domain) => ({
    ...domain,
    read: { ...domain.read, bundle: effectiveBundle(domain.read.bundle, digests) },
  }))
  return { ...side, domains }
}
