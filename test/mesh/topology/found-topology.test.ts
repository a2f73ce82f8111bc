import t from 'tap'
import { parseMeshId } from '../../../src/db/ids.ts'
import { deleteMesh } from '../../../src/mesh/delete-mesh.ts'
import { inTransaction } from '../../../src/db/connect.ts'
import { loadTopology } from '../../../src/mesh/topology/find-topology.ts'
import { testDatabase } from '../../support/database.ts'
import { makeMesh, testKeyring } from '../../support/meshes.ts'

const ACME = parseMeshId('acme')

t.test(
  '3 a new mesh of one cluster has a network and a control plane without being asked',
  async (t) => {
    const { db } = await testDatabase(t)
    await makeMesh(db, testKeyring())
    const topology = await loadTopology(db, ACME)
    t.match(topology.clusters.get('default'), {
      role: 'primary',
      state: 'active',
      locality: {},
      networks: ['default'],
      controlPlanes: ['default'],
    })
    t.match(topology.networks.get('default'), { sharedName: undefined, isDirectlyReachable: true })
    t.match(topology.controlPlanes.get('default'), { type: 'primary', cluster: 'default' })
    t.same(topology.gateways, [])
  },
)

t.test(
  'a mesh is deleted with its topology, and another of equal names keeps its own',
  async (t) => {
    const { db } = await testDatabase(t)
    const keyring = testKeyring()
    await makeMesh(db, keyring)
    await makeMesh(db, keyring, { meshId: 'globex' })
    await inTransaction(db, (trx) =>
      deleteMesh(trx, ACME, {
        context: { actor: 'test', now: new Date() },
        dependants: [],
        force: false,
        dryRun: false,
      }),
    )
    t.equal((await loadTopology(db, ACME)).clusters.size, 0)
    const kept = await loadTopology(db, parseMeshId('globex'))
    t.same([...kept.clusters.keys(), ...kept.controlPlanes.keys()], ['default', 'default'])
  },
)
