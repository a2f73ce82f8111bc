import t from 'tap'
import { databaseNow } from '../../../src/db/time.ts'
import { parseMeshId } from '../../../src/db/ids.ts'
import { availabilityOf } from '../../../src/mesh/topology/availability.ts'
import { loadTopology } from '../../../src/mesh/topology/find-topology.ts'
import { makeMixedMesh } from '../../support/mixed-mesh.ts'
import { makeMesh } from '../../support/meshes.ts'
import { topologyApp } from '../../support/topology-app.ts'

const ACME = parseMeshId('acme')

t.test(
  '2 the mixed example: three clusters, two control planes, two networks, all use both',
  async (t) => {
    const { ok, db } = await topologyApp(t)
    await makeMixedMesh(ok)
    const { clusters, networks, controlPlanes, gateways } = await loadTopology(db, ACME)
    t.same([...clusters.keys()], ['cluster-1', 'cluster-2', 'cluster-3'])
    t.same([...networks.keys()], ['net-a', 'net-b'])
    t.same([...controlPlanes.keys()], ['cp-1', 'cp-2'])
    t.same(
      [...clusters.values()].map((one) => [one.role, one.networks, one.controlPlanes]),
      [
        ['primary', ['net-a'], ['cp-1', 'cp-2']],
        ['remote', ['net-a'], ['cp-1', 'cp-2']],
        ['primary', ['net-b'], ['cp-2', 'cp-1']],
      ],
    )
    t.match(gateways, [
      { name: 'gw-a', network: 'net-a', locality: { region: 'eu-west' } },
      { name: 'gw-b', network: 'net-b', locality: { region: 'us-east' } },
    ])
    const availability = availabilityOf(await loadTopology(db, ACME), await databaseNow(db))
    t.match(availability, { tier: 1 })
    t.match(availability.raise, ['a second control plane in region eu-west'])
  },
)

t.test(
  '1 clusters, networks, control planes and meshes are independent: odd mixes are accepted',
  async (t) => {
    const { ok, callAny, db, keyring } = await topologyApp(t)
    await makeMesh(db, keyring, { meshId: 'globex' })
    const inGlobex = async (method: string, path: string, body: unknown) => {
      const answer = await callAny(method, `/v1/meshes/globex/${path}`, { body })
      t.ok(answer.status < 300, answer.text)
    }
    t.comment('20 one mesh over several networks, one cluster in all of them')
    for (const name of ['vpc-1', 'vpc-2']) await ok('POST', 'networks', { name })
    await ok('PATCH', 'clusters/default', { networks: ['default', 'vpc-1', 'vpc-2'] })
    t.comment('20 a network that spans meshes, under another name in each')
    await ok('PUT', 'networks/vpc-1/shared-name', { sharedName: 'corp' })
    await inGlobex('PUT', 'networks/default/shared-name', { sharedName: 'corp' })
    t.comment(
      '25 several control planes in one cluster, and one cluster that uses only those of others',
    )
    await ok('POST', 'control-planes', { name: 'canary', type: 'primary', cluster: 'default' })
    await ok('POST', 'clusters', { name: 'edge', role: 'primary', controlPlanes: ['canary'] })
    t.comment('23 24 external and managed control planes, and a cluster that uses nothing else')
    await ok('POST', 'control-planes', {
      name: 'outside',
      type: 'external',
      address: '[2001:db8::1]:15012',
    })
    await ok('POST', 'control-planes', {
      name: 'cloud',
      type: 'managed',
      address: 'istiod.cloud.example',
    })
    await ok('POST', 'clusters', {
      name: 'shop',
      role: 'remote',
      controlPlanes: ['cloud', 'outside'],
    })
    t.comment('1 one cluster with several meshes: the same name and place in both')
    await inGlobex('POST', 'clusters', { name: 'shop', role: 'remote', controlPlanes: ['default'] })
    t.comment(
      '13 a network without gateway, one with several, a gateway that no cluster of ours runs',
    )
    for (const name of ['gw-1', 'gw-2']) {
      await ok('POST', 'gateways', { name, network: 'vpc-1', address: 'gw.example', port: 15443 })
    }
    const { networks } = await loadTopology(db, ACME)
    const other = await loadTopology(db, parseMeshId('globex'))
    t.equal(networks.get('vpc-1')?.sharedName, other.networks.get('default')?.sharedName)
  },
)

t.test('one mesh has a shared network once', async (t) => {
  const { ok, call } = await topologyApp(t)
  await ok('POST', 'networks', { name: 'vpc' })
  await ok('PUT', 'networks/vpc/shared-name', { sharedName: 'corp' })
  const again = await call('PUT', 'networks/default/shared-name', { sharedName: 'corp' })
  t.match(again.body.detail, /rule shared-once/)
  await ok('PUT', 'networks/vpc/shared-name', { sharedName: null })
  await ok('PUT', 'networks/default/shared-name', { sharedName: 'corp' })
})
