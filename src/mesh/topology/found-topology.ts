import type { ChangeContext } from '../../audit/record.ts'
import type { MeshId } from '../../db/ids.ts'
import type { Db } from '../../db/schema.ts'
import { insertLinks } from './cluster-store.ts'
import { insertControlPlane } from './control-plane-store.ts'
import { insertNetwork } from './network-store.ts'

/** The name of the network, and of the control plane, that every new mesh has. */
export const FIRST_OF_ALL = 'default'

/**
 * Gives the first cluster of a new mesh its network and its control plane, so that a mesh of one cluster needs no
 * further input; migration 0018 did the same for the meshes before.
 */
export async function foundTopology(
  trx: Db,
  meshId: MeshId,
  { cluster, context }: { readonly cluster: string; readonly context: ChangeContext },
): Promise<void> {
  const fresh = { version: 1n, createdAt: context.now }
  await insertNetwork(trx, meshId, {
    name: FIRST_OF_ALL,
    sharedName: undefined,
    isDirectlyReachable: true,
    ...fresh,
  })
  await insertControlPlane(trx, meshId, {
    name: FIRST_OF_ALL,
    type: 'primary',
    cluster,
    address: undefined,
    locality: {},
    state: 'active',
    heartbeatSeconds: undefined,
    seenAt: undefined,
    ...fresh,
  })
  await insertLinks(trx, meshId, {
    name: cluster,
    networks: [FIRST_OF_ALL],
    controlPlanes: [FIRST_OF_ALL],
  })
}
