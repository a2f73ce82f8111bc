import t from 'tap'
import { pruneApplied } from '../../src/mesh/applied.ts'
import { appliedPeerGroups, appliedRelationships } from '../../src/federation/applied-kinds.ts'
import { appliedMeshes } from '../../src/mesh/applied.ts'
import { FakePeer } from '../support/fake-peer.ts'
import { startTestService } from '../support/service.ts'

const service = await startTestService(t)
const admin: typeof service.admin = (...call) => service.admin(...call)
const { db } = service.service.base.database
const KINDS = {
  Mesh: appliedMeshes,
  Relationship: appliedRelationships,
  PeerGroup: appliedPeerGroups,
}
const [D1, D2] = ['1'.repeat(64), '2'.repeat(64)]
const AT = '/meshes/acme/applied'

await admin('POST', '/meshes', { meshId: 'acme', trustDomain: 'acme.example' })
const peer = await FakePeer.open(t, 'globex.example')

async function addGlobex(): Promise<void> {
  const bundle = Buffer.from(peer.document).toString()
  const domains = [{ trustDomain: peer.trustDomain, source: 'static', bundle }]
  await admin('POST', '/meshes/acme/relationships', { name: 'globex', domains })
}

async function removeGlobex(): Promise<void> {
  const at = '/meshes/acme/relationships/globex'
  await admin('POST', `${at}/terminate`, {}, { 'if-match': '*' })
  await admin('DELETE', at, undefined, { 'if-match': '*' })
}

const records = async (): Promise<number> => {
  const rows = await db
    .selectFrom('audit_record')
    .select('action')
    .where('action', 'like', 'applied.%')
    .execute()
  return rows.length
}

t.test(
  'who applied an object is recorded once, audited, listed by owner and forgotten',
  async (t) => {
    await addGlobex()
    const at = `${AT}/Relationship/globex`
    const dry = await admin('PUT', `${at}?dryRun=true`, { owner: 'team', digest: D1 })
    t.equal(dry.status, 200)
    t.same((await admin('GET', AT)).body.items, [])
    const first = await admin('PUT', at, { owner: 'team', digest: D1 })
    t.match(first, { status: 200, body: { kind: 'Relationship', name: 'globex', owner: 'team' } })
    await admin('PUT', at, { owner: 'team', digest: D1 })
    t.equal(await records(), 1, 'the same statement again writes nothing')
    await admin('PUT', at, { owner: 'team', digest: D2 })
    t.equal(await records(), 2)
    t.match((await admin('GET', `${AT}?owner=team`)).body.items, [{ name: 'globex', digest: D2 }])
    t.same((await admin('GET', `${AT}?owner=other`)).body.items, [])
    t.equal((await admin('DELETE', at)).status, 200)
    t.equal((await admin('DELETE', at)).status, 404)
  },
)

t.test('another owner is refused unless it takes the object over', async (t) => {
  const at = `${AT}/Mesh/acme`
  await admin('PUT', at, { owner: 'team', digest: D1 })
  const refused = await admin('PUT', at, { owner: 'other', digest: D1 })
  t.match(refused, { status: 409, body: { code: 'CONFLICT' } })
  t.match(refused.body.detail, 'Mesh acme was applied by owner "team"')
  t.equal((await admin('PUT', at, { owner: 'other', digest: D1, takeOver: true })).status, 200)
})

t.test('what does not exist cannot have been applied', async (t) => {
  for (const [name, said] of [
    ['Relationship/nobody', 'mesh acme has no Relationship \\"nobody\\"'],
    ['Mesh/globex', 'mesh acme has no Mesh \\"globex\\"'],
    ['Nonsense/x', 'there is no kind \\"Nonsense\\", wanted one of Mesh, Network, Cluster'],
    ['constructor/x', 'there is no kind'],
  ] as const) {
    const refused = await admin('PUT', `${AT}/${name}`, { owner: 'team', digest: D1 })
    t.equal(refused.status, 404, name)
    t.match(JSON.stringify(refused.body), said)
  }
})

t.test('an object made again by hand under the same name is nobody’s', async (t) => {
  await admin('PUT', `${AT}/Relationship/globex`, { owner: 'team', digest: D1 })
  await removeGlobex()
  await addGlobex()
  t.same((await admin('GET', `${AT}?owner=team`)).body.items, [], 'so pruning cannot touch it')
  t.equal(await pruneApplied(db, KINDS), 1, 'and the row is pruned')
  t.equal(await pruneApplied(db, KINDS), 0)
  t.match((await admin('GET', AT)).body.items, [{ kind: 'Mesh' }], 'what exists stays')
  const other = { owner: 'other', digest: D1 }
  t.equal((await admin('PUT', `${AT}/Relationship/globex`, other)).status, 200)
})
