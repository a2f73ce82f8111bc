import t from 'tap'
import { bumpChange, type Topic, type Watcher } from '../../../src/db/changes.ts'
import { inTransaction } from '../../../src/db/connect.ts'
import { parseMeshId } from '../../../src/db/ids.ts'
import { createRule } from '../../../src/policy/change/change-rules.ts'
import { type RuleDraft } from '../../../src/policy/rule/rule.ts'
import { Snapshots } from '../../../src/policy/snapshot/snapshots.ts'
import { addMesh, type PolicyApp, policyApp } from '../policy-app.ts'

const draft: RuleDraft = {
  direction: 'export',
  effect: 'allow',
  subject: { namespace: '*', name: '*' },
  audience: { kind: 'all' },
}

async function addRule(
  { db, clock }: PolicyApp,
  meshId: Awaited<ReturnType<typeof addMesh>>,
): Promise<void> {
  const context = { actor: 'tester', now: clock.now() }
  await inTransaction(db, (trx) => createRule(trx, meshId, { draft, context }))
}

/** Changes as `db/changes.ts` tells them, told by hand. */
function changesByHand() {
  const watchers: [Topic, Watcher][] = []
  return {
    on: (topic: Topic, watcher: Watcher) => void watchers.push([topic, watcher]),
    tell: (topic: Topic, meshId: Parameters<Watcher>[0]) => {
      for (const [of, watcher] of watchers) if (of === topic) watcher(meshId)
    },
  }
}

t.test(
  'the current snapshot has what the last commit left, and stays the same until the next',
  async (t) => {
    const app = await policyApp(t)
    const meshId = await addMesh(app.db, 'acme', app.clock.db)
    const first = await app.snapshots.current(meshId)
    t.equal(await app.snapshots.current(meshId), first, 'nothing changed, nothing was built')
    await addRule(app, meshId)
    t.equal(app.snapshots.held(meshId), first, 'the one in use is not touched')
    const second = await app.snapshots.current(meshId)
    t.equal(second.rules.byId.size, first.rules.byId.size + 1)
    t.ok(second.revision > first.revision)
  },
)

t.test(
  'every kind of change that decisions depend on raises the revision, an entry does not',
  async (t) => {
    const { db, clock, snapshots } = await policyApp(t)
    const meshId = await addMesh(db, 'acme', clock.db)
    for (const [topic, rises] of [
      ['mesh', true],
      ['relationship', true],
      ['rule', true],
      ['entry', false],
      ['bundle', false],
    ] as const) {
      const before = await snapshots.current(meshId)
      await inTransaction(db, (trx) => bumpChange(trx, meshId, topic))
      const after = await snapshots.current(meshId)
      t.equal(after.revision > before.revision, rises, topic)
    }
  },
)

t.test('a mesh in use is rebuilt when it changed, before somebody asks', async (t) => {
  const app = await policyApp(t)
  const meshId = await addMesh(app.db, 'acme', app.clock.db)
  const changes = changesByHand()
  app.snapshots.follow(changes)
  const before = await app.snapshots.current(meshId)
  await addRule(app, meshId)
  changes.tell('rule', meshId)
  while (app.snapshots.held(meshId) === before)
    await new Promise((resolve) => setTimeout(resolve, 5))
  t.equal(app.snapshots.held(meshId)?.rules.byId.size, 2)
})

t.test('a build that fails leaves the snapshot that there was', async (t) => {
  const app = await policyApp(t)
  const meshId = await addMesh(app.db, 'acme', app.clock.db)
  const warnings: object[] = []
  const log = { warn: (fields: object) => void warnings.push(fields) }
  const outcomes: string[] = []
  const onBuild = (outcome: string): void => void outcomes.push(outcome)
  const snapshots = new Snapshots({ db: app.db, log, onBuild })
  const changes = changesByHand()
  snapshots.follow(changes)
  const before = await snapshots.current(meshId)
  await app.db
    .updateTable('rule')
    .set({ subject: JSON.stringify({ namespace: '??', name: '*' }) })
    .execute()
  await inTransaction(app.db, (trx) => bumpChange(trx, meshId, 'rule'))
  changes.tell('rule', meshId)
  while (warnings.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  t.match(warnings, [{ event: 'policy.snapshot-kept', meshId: 'acme' }])
  t.equal(snapshots.held(meshId), before)
  await t.rejects(
    snapshots.current(meshId),
    { code: 'RULE_INVALID' },
    'who asks for the current one is told',
  )
  t.same(outcomes, ['built', 'failed', 'failed'], 'each build is counted')
  await t.rejects(snapshots.current(parseMeshId('nobody')), { code: 'NOT_FOUND' })
  t.equal(outcomes.length, 3, 'and a mesh that is not there is no failure')
})

t.test(
  'askers at the same moment share one build, and none gets less than what was committed before it asked',
  async (t) => {
    const app = await policyApp(t)
    const meshId = await addMesh(app.db, 'acme', app.clock.db)
    const [a, b, c] = await Promise.all([1, 2, 3].map(() => app.snapshots.current(meshId)))
    t.ok(a === b && b === c)
    const asked: Promise<number>[] = []
    for (let rules = 2; rules <= 6; rules += 1) {
      await addRule(app, meshId)
      asked.push(app.snapshots.current(meshId).then((snapshot) => snapshot.rules.byId.size - rules))
    }
    for (const more of await Promise.all(asked)) t.ok(more >= 0)
  },
)

t.test('a mesh that is gone has no snapshot', async (t) => {
  const app = await policyApp(t)
  const meshId = await addMesh(app.db, 'acme', app.clock.db)
  await app.snapshots.current(meshId)
  await inTransaction(app.db, async (trx) => {
    await bumpChange(trx, meshId, 'mesh')
    await trx.deleteFrom('mesh').where('mesh_id', '=', meshId).execute()
  })
  await t.rejects(app.snapshots.current(meshId), { code: 'NOT_FOUND' })
})
