import { X509Certificate } from 'node:crypto'
import t from 'tap'
import { listLiving } from '../../../src/authority/store.ts'
import { inTransaction } from '../../../src/db/connect.ts'
import { parseMeshId } from '../../../src/db/ids.ts'
import { createCluster } from '../../../src/mesh/topology/clusters.ts'
import { loadKeptTopology, loadTopology } from '../../../src/mesh/topology/find-topology.ts'
import { type MoveCluster } from '../../../src/mesh/topology/move-cluster.ts'
import { createCsr } from '../../../src/pki/csr.ts'
import { generateKeyPair } from '../../../src/pki/key-pair.ts'
import { splitPem } from '../../../src/pki/pem.ts'
import { createEntry } from '../../../src/registry/change-entries.ts'
import { createJoinToken } from '../../../src/registry/join-tokens.ts'
import { parseTrustDomain } from '../../../src/spiffe/trust-domain.ts'
import { issueX509 } from '../../../src/svid/issue-x509.ts'
import { ACME, GLOBEX, twoMeshes } from '../../support/two-meshes.ts'
import { csrOf } from '../../svid/issuing-service.ts'

const intermediateOf = (chain: string): string => {
  const [leaf, intermediate] = splitPem(chain).map((der) => new X509Certificate(der))
  t.equal(leaf?.checkIssued(intermediate ?? leaf), true)
  return Buffer.from(intermediate?.raw ?? []).toString('base64')
}

t.test('4 what is tied to a cluster is signed by the intermediate of that cluster', async (t) => {
  const { join, db } = await twoMeshes(t)
  const web = await join('/web')
  const other = await join('/not-tied')
  const living = await listLiving(db, ACME, parseTrustDomain('acme.example'))
  const certificate = (cluster: string) =>
    Buffer.from(
      living.find((one) => one.cluster === cluster && one.state === 'active')?.certificate ?? [],
    ).toString('base64')
  t.equal(intermediateOf(web.chain), certificate('east'))
  t.equal(intermediateOf(other.chain), certificate('default'))
})

t.test(
  '54 a dry run of a move prints every identity, old and new, and changes nothing',
  async (t) => {
    const { move, db } = await twoMeshes(t)
    const { moved } = await move({}, true)
    t.match(
      moved.map(({ kind, name, becomes }) => [kind, name, becomes]),
      [
        ['cluster', /^east \(networks default; control planes east\)/, /^east /],
        ['control plane', 'east', 'east'],
        ['gateway', 'gw', 'gw of network default'],
        ['network', 'default', undefined],
        ['entry', 'spiffe://acme.example/reporter/east', 'spiffe://globex.example/reporter/east'],
        ['entry', 'spiffe://acme.example/web', 'spiffe://globex.example/web'],
        ['intermediate', /^acme\.example /, /^globex\.example /],
      ],
    )
    t.equal(moved.length, 7, 'the intermediate is told of once')
    t.ok((await loadTopology(db, ACME)).clusters.has('east'))
    t.equal((await loadTopology(db, GLOBEX)).clusters.size, 1)
  },
)

t.test(
  '54 after a move the old identity renews no more, and a join token of the new mesh yields the new one',
  async (t) => {
    const service = await twoMeshes(t)
    const { move, db, join, token, call, clock, deps } = service
    const web = await join('/web')
    const unused = await token('/web')
    const renew = async () => {
      const body = { csr: csrOf(web.keys) }
      return call('POST', '/svids/x509', { body, as: { keys: web.keys, chain: web.chain } })
    }
    t.equal((await renew()).status, 200)
    const { cluster } = await move()
    await service.reload()
    t.match(cluster, {
      name: 'east',
      locality: { region: 'eu', zone: 'eu-1' },
      networks: ['default'],
    })
    const refused = await renew()
    t.match(refused, { status: 403, body: { code: 'EVIDENCE_REFUSED' } }, refused.text)
    const keys = generateKeyPair()
    const spent = await call('POST', '/svids/x509', { body: { csr: csrOf(keys), token: unused } })
    t.match(spent, { status: 403, body: { code: 'EVIDENCE_REFUSED' } }, spent.text)
    const fresh = await inTransaction(db, (trx) =>
      createJoinToken(trx, GLOBEX, {
        wanted: { spiffeId: '/web', address: 'localhost:443' },
        context: { actor: 'test', now: clock.now() },
      }),
    )
    t.equal(fresh.madeEntry, false, 'its entry went along')
    const evidence = { token: fresh.token, source: '192.0.2.1' }
    const issued = await issueX509(deps, { csr: createCsr(keys), evidence })
    const leaf = new X509Certificate(issued.svid.certificate)
    t.match(leaf.subjectAltName, /URI:spiffe:\/\/globex\.example\/web/)
    t.match(leaf.subjectAltName, /DNS:web\.example/)
  },
)

t.test(
  '54 the cluster, what runs in it and its intermediate are in the new mesh and gone from the old',
  async (t) => {
    const { move, db } = await twoMeshes(t)
    await move()
    const [before, after] = [await loadTopology(db, ACME), await loadTopology(db, GLOBEX)]
    t.same([...before.clusters.keys(), ...before.controlPlanes.keys()], ['default', 'default'])
    t.same(before.gateways, [])
    t.match(after.controlPlanes.get('east'), { type: 'primary', cluster: 'east' })
    t.match(after.gateways, [{ name: 'gw', cluster: 'east', locality: { region: 'eu' } }])
    const kept = await loadKeptTopology(db, GLOBEX)
    t.same(kept.gateways[0]?.locality, {}, 'what its cluster is in was not written into it')
    const old = await listLiving(db, ACME, parseTrustDomain('acme.example'))
    t.same(
      old
        .filter(({ state }) => state === 'retired')
        .map(({ hasKey, cluster }) => [hasKey, cluster]),
      [[false, undefined]],
    )
    const made = await listLiving(db, GLOBEX, parseTrustDomain('globex.example'))
    t.match(
      made.filter(({ cluster }) => cluster === 'east'),
      [{ state: 'active', hasKey: true }],
    )
    const audit = await db
      .selectFrom('audit_record')
      .select(['mesh_id', 'object'])
      .where('action', '=', 'cluster.move')
      .execute()
    t.same(audit.map((one) => one.mesh_id ?? '').toSorted(), [ACME, GLOBEX])
  },
)

t.test('54 a move that either mesh cannot bear is refused, and nothing moves', async (t) => {
  const { move, db, hooks, context } = await twoMeshes(t)
  const refused = async (over: Partial<MoveCluster>, message: RegExp) =>
    t.rejects(move(over), { message })
  await refused({ toMesh: ACME }, /in mesh acme already/)
  await refused({ toMesh: parseMeshId('nowhere') }, /no mesh "nowhere"/)
  await refused({ name: 'nothing' }, /no cluster "nothing"/)
  await refused({ networks: ['vpc'] }, /no network "vpc"/)
  await refused({ controlPlanes: [] }, /rule uses-control-plane/)
  const make = (meshId: typeof ACME, draft: object) =>
    inTransaction(db, (trx) =>
      createCluster(trx, meshId, {
        draft: { name: 'west', role: 'remote', ...draft },
        deps: { context, hooks },
      }),
    )
  await make(ACME, { controlPlanes: ['default', 'east'] })
  await refused({}, /"west" would lose a control plane that runs in cluster east/)
  await make(GLOBEX, { controlPlanes: ['default'] })
  await refused(
    { name: 'west', controlPlanes: ['default'] },
    /mesh globex has a cluster "west" already/,
  )
  await inTransaction(db, (trx) =>
    createEntry(trx, GLOBEX, { draft: { spiffeId: '/web' }, context }),
  )
  await make(ACME, { name: 'south', controlPlanes: ['default'] })
  await inTransaction(db, (trx) =>
    createEntry(trx, ACME, { draft: { spiffeId: '/south', cluster: 'south' }, context }),
  )
  await inTransaction(db, (trx) =>
    createEntry(trx, GLOBEX, { draft: { spiffeId: '/south' }, context }),
  )
  await refused({ name: 'south' }, /globex\.example\/south" has an entry already/)
  t.same([...(await loadTopology(db, GLOBEX)).clusters.keys()], ['default', 'west'])
})
