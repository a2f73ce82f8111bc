import { deepEqual } from 'node:assert/strict'
import t from 'tap'
import { bumpChange, bumpObjects } from '../../../src/db/changes.ts'
import { inTransaction } from '../../../src/db/connect.ts'
import { type MeshId } from '../../../src/db/ids.ts'
import { deleteMesh } from '../../../src/mesh/delete-mesh.ts'
import { changedKeys, MAX_CHANGED } from '../../../src/policy/snapshot/changed-keys.ts'
import { loadSnapshot } from '../../../src/policy/snapshot/load-snapshot.ts'
import { pruneChanges } from '../../../src/policy/snapshot/prune-changes.ts'
import { type Snapshot } from '../../../src/policy/snapshot/snapshot.ts'
import { Snapshots } from '../../../src/policy/snapshot/snapshots.ts'
import { addMesh, addRelationship, type PolicyApp, policyApp, setState } from '../policy-app.ts'

const quiet = { warn: () => undefined }

/** What a snapshot holds, whatever was loaded when. */
function contentsOf({ services, offers, rules, ...rest }: Snapshot) {
  return {
    ...rest,
    services: new Map(services),
    offers: new Map([...offers].map(([peer, all]) => [peer, new Map(all)])),
    rules: new Map(rules.byId),
  }
}

/** The current snapshot, proven to be what loading everything gives. */
async function currentOf({ db, snapshots }: PolicyApp, meshId: MeshId): Promise<Snapshot> {
  const current = await snapshots.current(meshId)
  const whole = await inTransaction(db, (trx) => loadSnapshot(trx, meshId))
  deepEqual(contentsOf(current), contentsOf(whole))
  return current
}

async function acme(t: Parameters<typeof policyApp>[0]) {
  const app = await policyApp(t)
  const meshId = await addMesh(app.db, 'acme', app.clock.db)
  await addRelationship(app.db, meshId, { name: 'globex' })
  await addRelationship(app.db, meshId, { name: 'initech' })
  await inTransaction(app.db, (trx) => bumpChange(trx, meshId, 'relationship'))
  const post = async (path: string, body: object): Promise<{ id: string }> => {
    const answer = await app.call('POST', `/meshes/acme/${path}`, { body })
    if (answer.status >= 300) throw new Error(JSON.stringify(answer.body))
    return answer.body
  }
  return { app, meshId, post }
}

const service = (name: string) => ({
  namespace: 'shop',
  name,
  ports: [{ name: 'http', port: 80 }],
  identities: [`spiffe://acme.example/${name}`],
})
const offer = {
  namespace: 'market',
  name: 'quotes',
  ports: [{ name: 'http', port: 80 }],
  identities: ['spiffe://globex.example/q'],
}
const rule = (...relationships: string[]) => ({
  direction: 'export',
  effect: 'allow',
  subject: { namespace: 'shop', name: '*' },
  audience: { kind: 'peers', relationships },
})

t.test(
  'after each change the snapshot is what loading everything gives, and shares the rest',
  async (t) => {
    const { app, meshId, post } = await acme(t)
    const first = await currentOf(app, meshId)
    const { id } = await post('rules', rule('globex', 'initech'))
    const second = await currentOf(app, meshId)
    t.equal(second.services, first.services, 'services are not loaded for a rule')
    t.equal(second.relationships, first.relationships)
    await post('services', service('cart'))
    const third = await currentOf(app, meshId)
    t.equal(third.rules, second.rules, 'rules are not loaded for a service')
    t.equal(third.services.size, 1)
    await post('relationships/globex/offers', offer)
    t.equal((await currentOf(app, meshId)).offers.get('globex')?.size, 1)
    await setState(app.db, meshId, 'globex', 'suspended')
    const fifth = await currentOf(app, meshId)
    t.equal(fifth.relationships.get('globex')?.state, 'suspended')
    t.equal(fifth.services, third.services, 'services are not loaded for a relationship')
    t.equal(fifth.rules, third.rules)
    await app.call('DELETE', `/meshes/acme/rules/${id}`, { ifMatch: '"v1"' })
    await app.call('DELETE', '/meshes/acme/services/shop/cart', { ifMatch: '"v1"' })
    const last = await currentOf(app, meshId)
    t.same([last.rules.byId.has(id), last.services.size], [false, 0])
  },
)

t.test('several changes between two questions are loaded together', async (t) => {
  const { app, meshId, post } = await acme(t)
  const first = await currentOf(app, meshId)
  await post('services', service('cart'))
  await post('services', service('till'))
  const { id } = await post('rules', rule('globex'))
  await app.call('DELETE', `/meshes/acme/rules/${id}`, { ifMatch: '"v1"' })
  await post('relationships/globex/offers', offer)
  const next = await currentOf(app, meshId)
  t.equal(next.services.size, 2)
  t.equal(next.relationships, first.relationships)
})

t.test('names that go or change take rules and offers along', async (t) => {
  const { app, meshId, post } = await acme(t)
  await post('rules', rule('globex', 'initech'))
  await post('relationships/globex/offers', offer)
  await currentOf(app, meshId)
  const bump = () => inTransaction(app.db, (trx) => bumpChange(trx, meshId, 'relationship'))
  await app.db
    .updateTable('relationship')
    .set({ name: 'hooli' })
    .where('name', '=', 'globex')
    .execute()
  await bump()
  const renamed = await currentOf(app, meshId)
  t.same([...renamed.offers.keys()], ['hooli'])
  await app.db.deleteFrom('relationship').where('name', '=', 'hooli').execute()
  await addRelationship(app.db, meshId, { name: 'hooli' })
  await bump()
  const another = await currentOf(app, meshId)
  t.equal(another.offers.size, 0, 'another relationship of that name has none of it')
})

t.test('a mesh deleted and made again has nothing of the one before it', async (t) => {
  const { app, meshId, post } = await acme(t)
  await post('services', service('cart'))
  await post('rules', rule('globex'))
  await currentOf(app, meshId)
  const context = { actor: 'tester', now: app.clock.now() }
  const options = { context, dependants: [], force: true, dryRun: false }
  await inTransaction(app.db, (trx) => deleteMesh(trx, meshId, options))
  await addMesh(app.db, 'acme', app.clock.db)
  const again = await currentOf(app, meshId)
  t.same([again.services.size, again.relationships.size], [0, 0])
})

t.test('a log that does not tell everything leads to loading everything', async (t) => {
  const { app, meshId, post } = await acme(t)
  await currentOf(app, meshId)
  await post('services', service('cart'))
  await app.db.deleteFrom('policy_change').execute()
  await post('services', service('till'))
  t.equal((await currentOf(app, meshId)).services.size, 2, 'a gap')
  await app.db.updateTable('service').set({ labels: '{"tier":"front"}' }).execute()
  await inTransaction(app.db, (trx) => bumpChange(trx, meshId, 'rule'))
  const after = await currentOf(app, meshId)
  t.same(after.services.get('shop/cart')?.labels, { tier: 'front' }, 'all')
})

function named(revision: bigint, kind: string, key: string) {
  return { revision, kind, key }
}

t.test('what a log tells is judged before anything is loaded', async (t) => {
  const range = { after: 3n, upTo: 5n }
  t.same(
    changedKeys(
      [named(4n, 'rule', 'a'), named(5n, 'rule', 'a'), named(5n, 'offer', 'p/n/s')],
      range,
    ),
    {
      services: [],
      offers: [{ relationship: 'p', namespace: 'n', name: 's' }],
      rules: ['a'],
    },
  )
  t.equal(changedKeys([named(5n, 'rule', 'a')], range), undefined, 'one revision is missing')
  t.equal(changedKeys([named(4n, 'rule', 'a'), named(5n, 'all', '')], range), undefined)
  t.equal(changedKeys([named(4n, 'rule', 'a'), named(5n, 'planet', 'x')], range), undefined)
  const many = Array.from({ length: MAX_CHANGED + 1 }, (_, i) => named(4n, 'service', `n/s${i}`))
  t.equal(changedKeys([...many, named(5n, 'rule', 'a')], range), undefined)
  const twice = [4n, 5n].flatMap((revision) =>
    Array.from({ length: 300 }, (_, i) => named(revision, 'service', `n/s${i}`)),
  )
  const read = twice.slice(0, MAX_CHANGED + 1)
  t.equal(changedKeys(read, range), undefined, 'the last revision may name more than was read')
})

t.test('what one replica changes the other sees, each from the snapshot that it has', async (t) => {
  const { app, meshId, post } = await acme(t)
  const other = new Snapshots({ db: app.db, log: quiet })
  for (const name of ['cart', 'till', 'shelf']) {
    await post('services', service(name))
    const [one, two] = [await currentOf(app, meshId), await other.current(meshId)]
    deepEqual(contentsOf(two), contentsOf(one))
  }
  t.equal(other.held(meshId)?.services.size, 3)
})

t.test('the log is forgotten after an hour, by the clock of the database', async (t) => {
  const { app, meshId } = await acme(t)
  await inTransaction(app.db, (trx) => bumpObjects(trx, meshId, [{ kind: 'rule', key: 'a' }]))
  const at = (hours: number) => new Date(app.clock.now().getTime() + hours * 3_600_000)
  await app.db
    .updateTable('policy_change')
    .set({ at: at(-1.1) })
    .execute()
  await inTransaction(app.db, (trx) => bumpObjects(trx, meshId, [{ kind: 'rule', key: 'b' }]))
  await app.db
    .updateTable('policy_change')
    .set({ at: at(-0.9) })
    .where('key', '=', 'b')
    .execute()
  t.ok((await pruneChanges(app.db, app.clock.db)) > 0)
  const left = await app.db.selectFrom('policy_change').select('key').execute()
  t.same(left, [{ key: 'b' }])
})
