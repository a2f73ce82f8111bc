import { type Reader } from '../bundle/reader.ts'
import { writeRelayRef } from '../bundle/reader-ref.ts'
import { createReader, type NewReader, readerUrl, removeReader } from '../bundle/readers.ts'
import { type MeshId } from '../db/ids.ts'
import { type Db } from '../db/schema.ts'
import { isServiceError } from '../errors.ts'
import { bundleEndpointOfDomain, primaryTrustDomain, trustDomainsOf } from '../mesh/find-mesh.ts'
import { type OwnWebCertificate } from './alert/forecast-facts.ts'
import { type OwnEndpoint, type PeerReaders } from './create-relationship.ts'

/** What the URLs of readers are made with. */
export interface PeerReadersOptions {
  /** Base of every URL we print. */
  readonly publicUrl: string
  /** The service's secret for reader references. */
  readonly secret: Uint8Array
  readonly webCertificate?: () => OwnWebCertificate | undefined
}

/** One reader of our primary domain's bundle per relationship, named like it. */
export function peerReadersOf(options: PeerReadersOptions): PeerReaders {
  const { publicUrl, secret, webCertificate } = options
  return {
    ...(webCertificate === undefined ? {} : { webCertificate }),
    create: async (trx, meshId, about) => {
      const { name: trustDomain } = await primaryTrustDomain(trx, meshId)
      const { id } = await createNamed(trx, meshId, { ...about, trustDomain })
      return id
    },
    urls: async (db, meshId) => {
      const domain = await primaryTrustDomain(db, meshId)
      const { url } = await bundleEndpointOfDomain(db, domain, publicUrl)
      return (id) => readerUrl(url, secret, { trustDomain: domain.name, id })
    },
    relayUrls: async (db, meshId) => {
      const domain = await primaryTrustDomain(db, meshId)
      const { url } = await bundleEndpointOfDomain(db, domain, publicUrl)
      return (id) => `${url}/peers/${writeRelayRef(secret, { trustDomain: domain.name, id })}`
    },
    ownEndpoints: async (db, meshId) => {
      const domains = await trustDomainsOf(db, meshId)
      const ordered = domains.toSorted(
        (one, other) => Number(other.isPrimary) - Number(one.isPrimary),
      )
      const endpoints: OwnEndpoint[] = []
      for (const domain of ordered) {
        const { url, profile, endpointSpiffeId } = await bundleEndpointOfDomain(
          db,
          domain,
          publicUrl,
        )
        const { name: trustDomain, isPrimary } = domain
        endpoints.push({ trustDomain, isPrimary, url, profile, endpointId: endpointSpiffeId })
      }
      return endpoints
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

/** Named like the relationship; a reader made by hand, or one of a renamed relationship, may have that label. */
async function createNamed(trx: Db, meshId: MeshId, wanted: NewReader): Promise<Reader> {
  try {
    return await createReader(trx, meshId, wanted)
  } catch (error) {
    if (!isServiceError(error, 'ALREADY_EXISTS')) throw error
    const label = `${wanted.label.slice(0, 50)}-${wanted.relationshipId?.slice(0, 8)}`
    return createReader(trx, meshId, { ...wanted, label })
  }
}
