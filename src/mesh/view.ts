import type { Db } from '../db/schema.ts'
import type { TrustDomainView, MeshView } from './api.ts'
import { bundleEndpointOf, hostOf } from './bundle-host.ts'
import { checkHost, type Resolve } from './host-check.ts'
import type { Cluster, Mesh, MeshTrustDomain } from './mesh.ts'
import { listTrustDomains } from './store.ts'
import { type Availability, availabilityOf } from './topology/availability.ts'
import { loadTopology } from './topology/find-topology.ts'

/** A mesh as the API shows it, without looking at the network. */
export async function viewMesh(
  db: Db,
  mesh: Mesh,
  { publicUrl, now }: { readonly publicUrl: string; readonly now: Date },
): Promise<MeshView> {
  const domains = await listTrustDomains(db, mesh.meshId)
  const topology = await loadTopology(db, mesh.meshId)
  return {
    meshId: mesh.meshId,
    displayName: mesh.displayName,
    dnsSuffix: mesh.dnsSuffix,
    environment: mesh.environment ?? null,
    settings: mesh.settings,
    availabilityTarget: mesh.availabilityTarget ?? null,
    availability: viewAvailability(mesh, availabilityOf(topology, now)),
    trustDomains: viewTrustDomains(domains, publicUrl),
    clusters: [...topology.clusters.values()].map(viewCluster),
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

function viewAvailability(
  { availabilityTarget: target }: Mesh,
  { tier, reason, raise }: Availability,
): MeshView['availability'] {
  const met = target === undefined || tier >= target
  return { tier, reason, raise: [...raise], target: target ?? null, met }
}

function viewCluster({ name, role, state, issuing }: Cluster): MeshView['clusters'][number] {
  return { name, role, state, issuing }
}
