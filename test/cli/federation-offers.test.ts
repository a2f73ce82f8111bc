import t from 'tap'
import { offerRoutes } from '../../src/catalog/offer-routes.ts'
import { createLogger } from '../../src/http/log.ts'
import { bindingRoutes } from '../../src/policy/binding/binding-routes.ts'
import { ruleRoutes } from '../../src/policy/change/rule-routes.ts'
import { Snapshots } from '../../src/policy/snapshot/snapshots.ts'
import { federationApp } from '../federation/federation-app.ts'
import { FakePeer } from '../support/fake-peer.ts'
import { dataFolder, ran } from '../support/small-server.ts'

async function federated(t: Parameters<typeof federationApp>[0]) {
  const log = createLogger({ level: 'error' }, { write: () => undefined })
  const app = await federationApp(t, {
    mount: (v1, { database, clock }) => {
      const { db } = database
      const options = { db, now: clock.db, snapshots: new Snapshots({ db, log }) }
      v1.register(offerRoutes, options)
      v1.register(ruleRoutes, options)
      v1.register(bindingRoutes, options)
    },
  })
  await app.addPeer(await FakePeer.open(t, 'globex.example'))
  await app.poll()
  const env = {
    ENTENTE_ADDR: await app.listen(),
    ENTENTE_DATA_DIR: dataFolder(t),
    ENTENTE_MESH: 'acme',
  }
  const entente = (...argv: readonly string[]) => ran(argv, env)
  const offer = (name: string) =>
    entente('service', 'add', '--of', 'globex', name, '--port', 'http:80', '--identity', '/s')
  return { entente, offer }
}

t.test('federation show counts what a peer offers and has the command for the rest', async (t) => {
  const { entente, offer } = await federated(t)
  const show = async () => (await entente('federation', 'show', 'globex')).out
  t.notMatch(await show(), 'offers')
  for (const name of ['market/orders', 'market/quotes', 'news/feed']) await offer(name)
  await entente('rule', 'import', 'news/feed', '--from', 'globex')
  const out = await show()
  t.match(out, /^offers +globex offers 3, you import 1$/m)
  t.match(
    out,
    /next:\n {2}entente rule import market\/orders --from globex\n {2}entente rule import market\/quotes --from globex\n$/,
  )
  t.equal((await entente('rule', 'import', 'market/orders', '--from', 'globex')).code, 0)
  t.match(await show(), /globex offers 3, you import 2/)
  const { out: json } = await entente('--output', 'json', 'federation', 'show', 'globex')
  t.notOk('offers' in JSON.parse(json), 'other outputs are the relationship as it is')
})

t.test(
  'of many offers the first are spelled out, and the list is named for the others',
  async (t) => {
    const { entente, offer } = await federated(t)
    for (const name of ['a', 'b', 'c', 'd', 'e']) await offer(`market/${name}`)
    const { out } = await entente('federation', 'show', 'globex')
    t.match(out, /globex offers 5, you import 0/)
    t.match(out, /--from globex\n {2}entente service list --of globex {3}# and 2 more\n$/)
  },
)

t.test('federation show counts what lost its name, and has the command for it', async (t) => {
  const { entente, offer } = await federated(t)
  const named = ['--from', 'globex', '--name']
  await entente('rule', 'import', 'market/b', '--as', 'market/a', ...named, 'b-as-a')
  await offer('market/b')
  await entente('rule', 'import', 'market/*', ...named, 'market')
  await offer('market/a')
  // Both go by it since the same moment, so the smaller name counts.
  const { out } = await entente('federation', 'show', 'globex')
  t.match(out, /globex offers 2, you import 1, 1 in conflict/)
  t.match(out, /next:\n {2}entente rule show b-as-a {3}# gives the name twice\n$/)
})
