import type { Test } from 'tap'
import {
  clusterFounder,
  endIntermediates,
  intermediatesOfCluster,
  moveIntermediates,
} from '../../src/authority/cluster-authority.ts'
import { endEndpointsOfPlace, endpointsOfPlace } from '../../src/catalog/place-endpoints.ts'
import { inTransaction } from '../../src/db/connect.ts'
import { parseMeshId } from '../../src/db/ids.ts'
import { createCluster } from '../../src/mesh/topology/clusters.ts'
import { createGateway } from '../../src/mesh/topology/gateways.ts'
import type { TopologyHooks } from '../../src/mesh/topology/hooks.ts'
import { moveCluster, type MoveCluster } from '../../src/mesh/topology/move-cluster.ts'
import { createEntry } from '../../src/registry/change-entries.ts'
import {
  endEntriesOfCluster,
  entriesOfCluster,
  moveEntries,
} from '../../src/registry/cluster-entries.ts'
import { type IssuingOptions, issuingService } from '../svid/issuing-service.ts'
import { makeMesh } from './meshes.ts'

export const ACME = parseMeshId('acme')
export const GLOBEX = parseMeshId('globex')

/** Meshes acme and globex; acme has cluster east with a gateway and two identities tied to it. */
export async function twoMeshes(t: Test, options: IssuingOptions = {}) {
  const service = await issuingService(t, options)
  const { keyring, clock } = service
  const { db } = service.database
  await makeMesh(db, keyring, { meshId: 'globex', now: clock.now() })
  await service.reload()
  const hooks: TopologyHooks = {
    founders: [clusterFounder(keyring)],
    dependants: [intermediatesOfCluster, entriesOfCluster, endpointsOfPlace],
    enders: [endEntriesOfCluster, endEndpointsOfPlace, endIntermediates],
    movers: [moveEntries, moveIntermediates],
    pauses: [],
  }
  const context = { actor: 'test', now: clock.now() }
  await inTransaction(db, async (trx) => {
    const locality = { region: 'eu', zone: 'eu-1' }
    const draft = { name: 'east', role: 'primary', locality } as const
    await createCluster(trx, ACME, { draft, deps: { context, hooks } })
    const gateway = {
      name: 'gw',
      network: 'default',
      cluster: 'east',
      address: 'gw.example',
      port: 443,
    }
    await createGateway(trx, ACME, { draft: gateway, context })
    for (const spiffeId of ['/web', '/reporter/east']) {
      const entry = { spiffeId, cluster: 'east', dnsNames: ['web.example'], x509TtlSeconds: 600 }
      await createEntry(trx, ACME, { draft: entry, context })
    }
  })
  await service.reload()
  const move = (over: Partial<MoveCluster> = {}, dryRun = false) =>
    inTransaction(
      db,
      (trx) =>
        moveCluster(trx, ACME, {
          name: 'east',
          toMesh: GLOBEX,
          context: { ...context, now: clock.now() },
          hooks,
          requireVersion: () => undefined,
          ...over,
        }),
      { dryRun },
    )
  return { ...service, db, hooks, context, move }
}
