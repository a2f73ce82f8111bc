import type { Db } from '../db/schema.ts'
import type { TrustDomainView, MeshView } from './api.ts'
import { bundleEndpointOf, hostOf } from './bundle-host.ts'
import { checkHost, type Resolve } from './host-check.ts'
import type { Cluster, Mesh, MeshTrustDomain } from './mesh.ts'
import { listClusters, listTrustDomains } from './store.ts'

/** A mesh as the API shows it, without looking at the network. */
export async function viewMesh(db: Db, mesh: Mesh, publicUrl: string): Promise<MeshView> {
  const domains = await listTrustDomains(db, mesh.meshId)
  const clusters = await listClusters(db, mesh.meshId)
  return {
    meshId: mesh.meshId,
    displayName: mesh.displayName,
    dnsSuffix: mesh.dnsSuffix,
    environment: mesh.environment ?? null,
    settings: mesh.settings,
    trustDomains: viewTrustDomains(domains, publicUrl),
    clusters: clusters.map(viewCluster),
    version: mesh.version.toString(),
    createdAt: mesh.createdAt.toISOString(),
  }
}

/** The trust domains of one mesh as the API shows them. */
export function viewTrustDomains(
  domains: readonly MeshTrustDomain[],
  publicUrl: string,
): TrustDomainView[] {
  const primary = domains.find((domain) => domain.isPrimary)
  return domains.map((domain) => {
    const endpoint = bundleEndpointOf(domain, primary ?? domain, publicUrl)
    return {
      name: domain.name,
      isPrimary: domain.isPrimary,
      issuer: domain.issuer,
      bundleUrl: endpoint.url,
      bundleHost: endpoint.host,
      profile: endpoint.profile,
      endpointSpiffeId: endpoint.endpointSpiffeId ?? null,
      selfServing: endpoint.selfServing,
    }
  })
}

/** The same view with each bundle host looked up; never inside a transaction. */
export async function withHostChecks(
  view: MeshView,
  publicUrl: string,
  resolve: Resolve,
): Promise<MeshView> {
  const trustDomains = await Promise.all(
    view.trustDomains.map(async (domain) => {
      const found = await checkHost(domain.bundleHost, hostOf(publicUrl), resolve)
      return { ...domain, hostCheck: { ...found, addresses: [...found.addresses] } }
    }),
  )
  return { ...view, trustDomains }
}

function viewCluster(cluster: Cluster): MeshView['clusters'][number] {
  return { ...cluster }
}
