import t from 'tap'
import { type Condition } from '../../../src/federation/alert/alert-conditions.ts'
import {
  MESH_FINDINGS_SECONDS,
  meshAlertSource,
} from '../../../src/federation/alert/alert-source.ts'
import { availabilitySource } from '../../../src/federation/alert/availability-source.ts'
import { evaluateAlerts } from '../../../src/federation/alert/evaluate-alerts.ts'
import { listOpen } from '../../../src/federation/alert/alert-store.ts'
import { parseMeshId } from '../../../src/db/ids.ts'
import { testClock } from '../../support/clock.ts'
import { testDatabase } from '../../support/database.ts'
import { makeMesh, testKeyring } from '../../support/meshes.ts'

const ACME = parseMeshId('acme')

const belowTarget = (message: string): Condition => ({
  meshId: ACME,
  relationshipId: undefined,
  code: 'availability.below-target',
  object: 'acme',
  severity: 'info',
  message,
})

t.test(
  'what a source finds opens an alert, and closes it a minute after it has gone',
  async (t) => {
    const { db } = await testDatabase(t)
    const clock = testClock()
    await makeMesh(db, testKeyring(), { now: clock.now() })
    let found: Condition[] = [belowTarget('tier 1, wanted 3')]
    const evaluate = () =>
      evaluateAlerts({
        db,
        now: clock.db,
        owner: 'replica-1',
        log: { info: () => undefined, warn: () => undefined },
        sources: [() => Promise.resolve(found)],
      })
    const open = async () =>
      (await listOpen(db, null)).map(({ code, object }) => `${code} ${object}`)
    await evaluate()
    t.same(await open(), ['availability.below-target acme'])
    found = []
    await evaluate()
    t.equal((await open()).length, 1)
    await clock.advance(61_000)
    await evaluate()
    t.same(await open(), [])
  },
)

t.test('a source that reads mesh by mesh reads each once a minute and repeats it', async (t) => {
  const { db } = await testDatabase(t)
  const clock = testClock()
  let reads = 0
  let subjects = [{ meshId: ACME }]
  const source = meshAlertSource({
    subjects: () => Promise.resolve(subjects),
    conditions: () => {
      reads += 1
      return Promise.resolve([belowTarget(`read ${reads}`)])
    },
  })
  t.match(await source(db, clock.now()), [{ message: 'read 1' }])
  await clock.advance(15_000)
  t.match(await source(db, clock.now()), [{ message: 'read 1' }])
  await clock.advance(MESH_FINDINGS_SECONDS * 1000)
  t.match(await source(db, clock.now()), [{ message: 'read 2' }])
  subjects = []
  t.same(await source(db, clock.now()), [], 'a mesh that has gone is forgotten')
})

t.test(
  'a mesh below the availability that it declared is told of, with what it would take',
  async (t) => {
    const { db } = await testDatabase(t)
    const clock = testClock()
    for (const meshId of ['acme', 'globex']) {
      await makeMesh(db, testKeyring(), { meshId, now: clock.now() })
    }
    t.same(await availabilitySource()(db, clock.now()), [], 'nobody declared anything')
    const declare = (target: number) =>
      db
        .updateTable('mesh')
        .set({ availability_target: target })
        .where('mesh_id', '=', 'acme' as typeof ACME)
        .execute()
    await declare(1)
    const source = availabilitySource()
    t.same(await source(db, clock.now()), [], 'one cluster with its own control plane has it')
    await db
      .updateTable('control_plane')
      .set({ heartbeat_seconds: 10, seen_at: clock.now() })
      .execute()
    await clock.advance(120_000)
    const [found, ...others] = await source(db, clock.now())
    t.same(others, [])
    t.match(found, { meshId: 'acme', code: 'availability.below-target', severity: 'info' })
    t.match(found?.message, /^tier 0, wanted 1: no control plane lives: .*default.* was last heard/)
    t.match(found?.message, /it would take: /)
  },
)
