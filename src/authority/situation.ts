import { countReplicasBehind, largestHintSince } from '../bundle/propagation.ts'
import { addSeconds } from '../clock.ts'
import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import { clustersOf, loadMesh } from '../mesh/find-mesh.ts'
import type { Cluster, Mesh } from '../mesh/mesh.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import { isPublishedKind, type Slot, type StoredAuthority } from './authority.ts'
import { holdersBehindUntil, inUseUntil } from './in-use-store.ts'
import type { Readiness, Situation } from './lifecycle.ts'
import { findObserved } from './observed-store.ts'
import { listLiving } from './store.ts'

/** A trust domain's authorities with everything that is known about them. */
export interface FullSituation extends Situation {
  readonly mesh: Mesh
  readonly trustDomain: TrustDomain
  readonly authorities: readonly StoredAuthority[]
}

/** Reads the situation of a trust domain; throws NOT_FOUND when its mesh is gone. */
export async function readSituation(
  db: Db,
  meshId: MeshId,
  { trustDomain, now }: { readonly trustDomain: TrustDomain; readonly now: Date },
): Promise<FullSituation> {
  const mesh = await loadMesh(db, meshId)
  const authorities = await listLiving(db, meshId, trustDomain)
  const readiness = new Map<string, Readiness>()
  for (const authority of authorities) {
    if (!isPublishedKind(authority.kind)) continue
    readiness.set(authority.id, await readReadiness(db, authority, { mesh, now }))
  }
  return {
    mesh,
    trustDomain,
    slots: slotsOf(await clustersOf(db, meshId)),
    authorities,
    settings: mesh.settings,
    readinessOf: ({ id }) => readiness.get(id) ?? readyOf(mesh),
    othersSign: (await findObserved(db, meshId, trustDomain)) !== undefined,
    now,
  }
}

/** The slots of a managed trust domain: one root, one JWT key, an intermediate for each cluster that we sign for. */
export function slotsOf(clusters: readonly Cluster[]): Slot[] {
  const managed = clusters.filter(
    ({ state, issuing }) => state !== 'disabled' && issuing === 'managed',
  )
  return [
    { kind: 'x509_root', cluster: undefined },
    { kind: 'jwt', cluster: undefined },
    ...managed.map(({ name }): Slot => ({ kind: 'x509_intermediate', cluster: name })),
  ]
}

/** Nobody is behind and nothing is in use: the readiness under which every act that time allows is due. */
export function readyOf(mesh: Pick<Mesh, 'settings'>): Readiness {
  return {
    largestHintSeconds: mesh.settings.hintSeconds,
    replicasBehind: 0,
    holdersBehindUntil: undefined,
    inUseUntil: undefined,
  }
}

async function readReadiness(
  db: Db,
  authority: StoredAuthority,
  { mesh, now }: { readonly mesh: Mesh; readonly now: Date },
): Promise<Readiness> {
  const { meshId, trustDomain, publishedSequence: sequence } = authority
  const ready = readyOf(mesh)
  if (authority.state !== 'prepared' || sequence === undefined) {
    return { ...ready, inUseUntil: await inUseUntil(db, authority, now) }
  }
  const bundle = { trustDomain, sequence, now }
  const hint = await largestHintSince(db, meshId, { trustDomain, since: addSeconds(now, -86_400) })
  return {
    largestHintSeconds: Math.max(hint ?? 0, mesh.settings.hintSeconds),
    replicasBehind: await countReplicasBehind(db, meshId, bundle),
    holdersBehindUntil: await holdersBehindUntil(db, meshId, bundle),
    inUseUntil: undefined,
  }
}
