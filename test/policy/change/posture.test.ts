import t from 'tap'
import { seedPeerPosture } from '../../../src/policy/change/posture.ts'
import { federationApp } from '../../federation/federation-app.ts'
import { makeMesh, testKeyring } from '../../support/meshes.ts'

async function made(t: Parameters<typeof federationApp>[0], ours?: string, theirs?: string) {
  const app = await federationApp(t, { founders: [seedPeerPosture] })
  const { db } = app.database
  const environment = theirs === undefined ? {} : { environment: theirs }
  const globex = { meshId: 'globex', bundleHost: 'globex.localhost', ...environment }
  await makeMesh(db, testKeyring(), { ...globex, now: app.clock.now() })
  await db
    .updateTable('mesh')
    .set({ environment: ours ?? null })
    .where('mesh_id', '=', app.meshId)
    .execute()
  const domains = [{ trustDomain: 'globex.example', source: 'local' }]
  await app.call('POST', '/meshes/acme/relationships', { body: { name: 'globex', domains } })
  const rules = await db
    .selectFrom('rule')
    .select(['direction', 'effect', 'audience', 'note'])
    .where('mesh_id', '=', app.meshId)
    .where('effect', '=', 'deny')
    .orderBy('direction')
    .execute()
  return rules
}

t.test(
  'a peer of this service in another environment begins with rules that keep both apart',
  async (t) => {
    t.match(await made(t, 'production', 'staging'), [
      { direction: 'export', audience: 'peers', note: /another environment/ },
      { direction: 'import', audience: 'peers' },
    ])
  },
)

t.test('meshes of one environment, or without one, begin without such rules', async (t) => {
  t.same(await made(t, 'production', 'production'), [])
  t.same(await made(t, 'production'), [])
  t.same(await made(t, undefined, 'staging'), [])
})
