import { noSuchMesh } from '../access/no-such-mesh.ts'
import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import { quoted, ServiceError } from '../errors.ts'
import { parseTrustDomain, type TrustDomain } from '../spiffe/trust-domain.ts'
import { type BundleEndpoint, bundleEndpointOf } from './bundle-host.ts'
import type { Cluster, Mesh, MeshTrustDomain } from './mesh.ts'
import * as store from './store.ts'

/** The mesh with this id, if there is one. */
export async function findMesh(db: Db, meshId: MeshId): Promise<Mesh | undefined> {
  return store.findMesh(db, meshId)
}

/** The mesh with this id; throws NOT_FOUND. */
export async function loadMesh(db: Db, meshId: MeshId): Promise<Mesh> {
  const mesh = await store.findMesh(db, meshId)
  if (mesh === undefined) throw noSuchMesh(meshId)
  return mesh
}

/** All meshes by id. */
export async function allMeshes(db: Db): Promise<Mesh[]> {
  return store.listMeshes(db, {})
}

/** The trust domains of a mesh, the first made first. */
export async function trustDomainsOf(db: Db, meshId: MeshId): Promise<MeshTrustDomain[]> {
  return store.listTrustDomains(db, meshId)
}

/** Every trust domain of the service, the first made first. */
export async function allTrustDomains(db: Db): Promise<MeshTrustDomain[]> {
  return store.listTrustDomains(db)
}

/** A trust domain of a mesh; throws NOT_FOUND. */
export async function loadTrustDomain(
  db: Db,
  meshId: MeshId,
  name: TrustDomain,
): Promise<MeshTrustDomain> {
  const domains = await store.listTrustDomains(db, meshId)
  const found = domains.find((domain) => domain.name === name)
  if (found === undefined) throw noSuchDomain(meshId, name)
  return found
}

/** A trust domain of a mesh, locked until the transaction ends; throws NOT_FOUND. */
export async function lockTrustDomain(
  trx: Db,
  meshId: MeshId,
  name: TrustDomain,
): Promise<MeshTrustDomain> {
  const found = await store.lockTrustDomain(trx, meshId, name)
  if (found === undefined) throw noSuchDomain(meshId, name)
  return found
}

/** The primary trust domain of a mesh; throws NOT_FOUND when there is no such mesh. */
export async function primaryTrustDomain(db: Db, meshId: MeshId): Promise<MeshTrustDomain> {
  const domains = await store.listTrustDomains(db, meshId)
  const primary = domains.find((domain) => domain.isPrimary)
  if (primary === undefined) throw noSuchMesh(meshId)
  return primary
}

/** The trust domain that a request means: the one named, or the mesh's primary one. Throws NOT_FOUND. */
export async function chooseTrustDomain(
  db: Db,
  meshId: MeshId,
  named: string | undefined,
): Promise<MeshTrustDomain> {
  if (named === undefined) return primaryTrustDomain(db, meshId)
  return loadTrustDomain(db, meshId, parseTrustDomain(named))
}

/** The clusters of a mesh by name. */
export async function clustersOf(db: Db, meshId: MeshId): Promise<Cluster[]> {
  return store.listClusters(db, meshId)
}

/** The names of a mesh's clusters that are disabled. */
export async function disabledClusters(db: Db, meshId: MeshId): Promise<ReadonlySet<string>> {
  const clusters = await clustersOf(db, meshId)
  return new Set(clusters.flatMap(({ name, state }) => (state === 'disabled' ? [name] : [])))
}

/** The clusters of every mesh, by mesh. */
export async function allClusters(db: Db): Promise<ReadonlyMap<MeshId, readonly Cluster[]>> {
  return store.listAllClusters(db)
}

/** Where the bundle of a trust domain is published; `publicUrl` is the base of our URLs. */
export async function bundleEndpointOfDomain(
  db: Db,
  domain: MeshTrustDomain,
  publicUrl: string,
): Promise<BundleEndpoint> {
  const primary = domain.isPrimary ? domain : await primaryTrustDomain(db, domain.meshId)
  return bundleEndpointOf(domain, primary, publicUrl)
}

function noSuchDomain(meshId: MeshId, name: string): ServiceError {
  return new ServiceError(
    'NOT_FOUND',
    `mesh ${quoted(meshId)} has no trust domain ${quoted(name)}`,
    { next: `entente mesh show ${meshId}` },
  )
}
