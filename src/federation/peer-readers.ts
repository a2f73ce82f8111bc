import { isServiceError } from '../errors.ts'
import { createReader, readerUrl, removeReader } from '../bundle/readers.ts'
import { bundleEndpointOfDomain, primaryTrustDomain } from '../mesh/find-mesh.ts'
import { type PeerReaders } from './create-relationship.ts'

/** What the URLs of readers are made with. */
export interface PeerReadersOptions {
  /** Base of every URL we print. */
  readonly publicUrl: string
  /** The service's secret for reader references. */
  readonly secret: Uint8Array
}

/** One reader of our primary domain's bundle per relationship, named like it. */
export function peerReadersOf({ publicUrl, secret }: PeerReadersOptions): PeerReaders {
  return {
    create: async (trx, meshId, { relationshipId, label, context }) => {
      const { name: trustDomain } = await primaryTrustDomain(trx, meshId)
      const reader = await createReader(trx, meshId, {
        trustDomain,
        label,
        relationshipId,
        context,
      })
      return reader.id
    },
    urlOf: async (db, meshId, id) => {
      const domain = await primaryTrustDomain(db, meshId)
      const { url } = await bundleEndpointOfDomain(db, domain, publicUrl)
      return readerUrl(url, secret, { trustDomain: domain.name, id })
    },
    remove: async (trx, meshId, { readerId, context }) => {
      const { name: trustDomain } = await primaryTrustDomain(trx, meshId)
      try {
        await removeReader(trx, meshId, { trustDomain, id: readerId, context })
      } catch (error) {
        if (!isServiceError(error, 'NOT_FOUND')) throw error
      }
    },
  }
}
