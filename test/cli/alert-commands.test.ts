import t, { type Test } from 'tap'
import { alertRoutes } from '../../src/federation/alert/alert-routes.ts'
import { evaluateAlerts } from '../../src/federation/alert/evaluate-alerts.ts'
import { webhookRoutes } from '../../src/federation/alert/webhook-routes.ts'
import { behave, FakeAuthority, FakePeer } from '../support/fake-peer.ts'
import { federationApp } from '../federation/federation-app.ts'
import { testKeyring } from '../support/meshes.ts'
import { dataFolder, ran } from '../support/small-server.ts'

const quiet = { info: () => undefined, warn: () => undefined }

async function alertingCli(t: Test) {
  const root = await FakeAuthority.root('web.example')
  const receiver = await FakePeer.open(t, 'receiver.example')
  receiver.present(await root.issue({ dnsNames: ['localhost'] }))
  receiver.behaviour = behave.answer(204)
  const app = await federationApp(t, {
    webRoots: [root],
    mount: (v1, { database: { db }, clock, outbound }) => {
      const options = { db, now: clock.db, keyring: testKeyring(), outbound, kick: () => undefined }
      v1.register(alertRoutes, { db })
      v1.register(webhookRoutes, options)
    },
  })
  const { db } = app.database
  await db.deleteFrom('alert').execute()
  await db.deleteFrom('webhook').execute()
  await db.deleteFrom('lease').execute()
  const env = { ENTENTE_ADDR: await app.listen(), ENTENTE_DATA_DIR: dataFolder(t) }
  const entente = (...argv: readonly string[]) => ran(argv, env)
  const evaluate = () => evaluateAlerts({ db, now: app.clock.db, owner: 'replica-1', log: quiet })
  return { app, receiver, entente, evaluate }
}

t.test('alerts are listed, of the service or of a mesh, open or all', async (t) => {
  const { app, entente, evaluate } = await alertingCli(t)
  t.match((await entente('alert', 'list')).out, /^no alerts/)
  const peer = await FakePeer.open(t, 'globex.example')
  await app.addPeer(peer)
  peer.behaviour = behave.answer(500)
  await app.poll()
  await evaluate()
  const { out } = await entente('alert', 'list')
  t.match(out, /^SEVERITY +CODE +MESH +OBJECT +SINCE +MESSAGE\n/)
  t.match(out, /info +peer\.failing +acme +globex\/globex\.example +\S+ +the last poll failed: /)
  t.notMatch((await entente('--mesh', 'acme', 'alert', 'list')).out, 'MESH')
  t.match((await entente('alert', 'list', '--min-severity', 'warning')).out, /^no alerts/)
  t.match((await entente('alert', 'list', '--code', 'peer.stale', '--all')).out, /^no alerts/)
  t.match((await entente('alert', 'list', '--all')).out, /UNTIL/)
  t.equal((await entente('alert', 'list', '--min-severity', 'much')).code, 2)
})

t.test('a webhook is added, tested, listed, and its deliveries sent again', async (t) => {
  const { app, receiver, entente } = await alertingCli(t)
  t.match(
    (await entente('webhook', 'list')).out,
    /no webhooks\n\nnext:\n  entente webhook add NAME/,
  )
  const add = ['webhook', 'add', 'ops', '--url', receiver.at('/hook')]
  const added = await entente(...add, '--min-severity', 'critical', '--code', 'peer.stale')
  t.equal(added.code, 0, added.err)
  t.match(added.out, /secret +whsec_[^]*next:\n +entente webhook test ops\n/)
  t.match((await entente('webhook', 'list')).out, /ops +https:.*\/hook +critical +peer\.stale/)
  t.match((await entente('--mesh', 'acme', 'webhook', 'list')).out, /no webhooks/)
  t.match((await entente('webhook', 'test', 'ops')).out, /delivered +yes/)
  receiver.behaviour = behave.answer(500)
  t.match(await entente('webhook', 'test', 'ops'), { code: 1, err: /answered 500, wanted 2xx/ })
  t.match((await entente('webhook', 'deliveries', 'ops')).out, /^no deliveries/)
  const { db } = app.database
  const { id: webhookId } = await db.selectFrom('webhook').select('id').executeTakeFirstOrThrow()
  const id = crypto.randomUUID()
  const now = app.clock.now()
  await db
    .insertInto('webhook_delivery')
    .values({
      id,
      webhook_id: webhookId,
      event: 'alert.opened',
      body: '{}',
      state: 'dead',
      attempts: 10,
      next_at: now,
      last_attempt_at: now,
      last_status: 500,
      last_error: 'answered 500',
      created_at: now,
      ended_at: now,
    })
    .execute()
  const dead = await entente('webhook', 'deliveries', 'ops', '--state', 'dead')
  t.match(dead.out, new RegExp(`${id} +alert\\.opened +dead +10 +- +answered 500`))
  t.match((await entente('webhook', 'retry', 'ops', id)).out, /state +pending\nattempts +0/)
  t.equal((await entente('webhook', 'retry', 'ops', crypto.randomUUID())).code, 1)
  t.match((await entente('webhook', 'delete', 'ops', '--dry-run')).out, /would be deleted/)
  t.match((await entente('webhook', 'delete', 'ops')).out, /webhook ops is deleted/)
  t.equal((await entente('webhook', 'delete', 'ops')).code, 1)
})
