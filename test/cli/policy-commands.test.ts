import t from 'tap'
import { addMesh, addRelationship, policyApp, setState } from '../policy/policy-app.ts'
import { dataFolder, ran, type Ran } from '../support/small-server.ts'

type Entente = (...argv: readonly string[]) => Promise<Ran>

async function acmeAndCli(t: Parameters<typeof policyApp>[0]) {
  const app = await policyApp(t)
  const meshId = await addMesh(app.db, 'acme', app.clock.db)
  await addRelationship(app.db, meshId, { name: 'globex' })
  await addRelationship(app.db, meshId, { name: 'initech', state: 'pending' })
  const env = {
    ENTENTE_ADDR: await app.listen(),
    ENTENTE_DATA_DIR: dataFolder(t),
    ENTENTE_MESH: 'acme',
  }
  const entente: Entente = (...argv) => ran(argv, env)
  return { ...app, meshId, entente }
}

const ADD_CART = [
  'service',
  'add',
  'shop/cart',
  '--port',
  'http:8080',
  '--identity',
  '/ns/shop/sa/cart',
]

t.test('services are added, listed, changed, shown and deleted', async (t) => {
  const { entente } = await acmeAndCli(t)
  const added = await entente(...ADD_CART, '--port', 'grpc:9000/grpc')
  t.equal(added.code, 0, added.err)
  t.match(added.out, /next:\n {2}entente rule export shop\/cart --to RELATIONSHIP/)
  t.match(added.out, /^ports +http:8080, grpc:9000\/grpc$/m)
  const { out } = await entente('service', 'list')
  t.match(
    out,
    /shop\/cart +http:8080, grpc:9000\/grpc +spiffe:\/\/acme\.example\/ns\/shop\/sa\/cart/,
  )
  t.equal((await entente('service', 'change', 'shop/cart', '--identity', '/web')).code, 0)
  t.match(
    (await entente('--output', 'json', 'service', 'show', 'shop/cart')).out,
    '"spiffe://acme.example/web"',
  )
  const again = await entente(...ADD_CART)
  t.equal(again.code, 1)
  t.match(again.err, /already/)
  const dry = await entente('service', 'delete', 'shop/cart', '--dry-run')
  t.equal(dry.out, 'shop/cart would be deleted; rules that name it stay\n')
  t.match((await entente('service', 'delete', 'shop/cart')).out, 'shop/cart is deleted')
  t.match((await entente('service', 'list')).out, /no services\n\nnext:\n  entente service add/)
})

t.test(
  'an export says who sees it now, who does not and why, and what each peer types',
  async (t) => {
    const { entente } = await acmeAndCli(t)
    await entente(...ADD_CART)
    const { out, code } = await entente(
      'rule',
      'export',
      'shop/cart',
      '--to',
      'globex',
      '--to',
      'initech',
    )
    t.equal(code, 0)
    t.match(out, /^rule [0-9a-f-]{36}: export allow shop\/cart to globex, initech$/m)
    t.match(out, /^visible to globex now: shop\/cart$/m)
    t.match(
      out,
      /^not active: initech is pending, waiting for a first verified bundle of initech\.example$/m,
    )
    t.match(out, /^ {2}# at globex: entente rule import shop\/cart --from acme$/m)
  },
)

t.test(
  'explain prints a chain that a person reads, and the change it names is enough',
  async (t) => {
    const { entente } = await acmeAndCli(t)
    await entente(...ADD_CART)
    const question = ['explain', 'spiffe://globex.example/web', '--may-call', 'shop/cart']
    const denied = await entente(...question)
    t.equal(denied.code, 0)
    t.match(denied.out, /^spiffe:\/\/globex\.example\/web may not call shop\/cart$/m)
    t.match(
      denied.out,
      /^ {2}✓ relationship +relationship globex is active; consent: ours given, theirs assumed, one-way$/m,
    )
    t.match(
      denied.out,
      /^ {2}✓ bundle +bundle of globex\.example, sequence 1, received .* X\.509 authority/m,
    )
    t.match(
      denied.out,
      /^ {2}✗ export rule +no export rule allows shop\/cart to globex for caller \/web$/m,
    )
    t.match(denied.out, /^ {2}\? import rule +unknown \(decided by globex\)$/m)
    const [, command = ''] = /to allow it:\n {2}entente (.*)/.exec(denied.out) ?? []
    t.equal(command, 'rule export shop/cart --to globex --callers /web')
    const inAcme = await entente(...question, '--in', 'acme')
    t.match(inAcme.out, `entente ${command} --mesh acme`)
    t.equal((await entente(...question, '--in', 'nowhere')).code, 1)
    t.equal((await entente(...command.split(' '))).code, 0)
    const allowed = await entente(...question)
    t.match(
      allowed.out,
      /^spiffe:\/\/globex\.example\/web may call shop\/cart, if globex allows its half$/m,
    )
    t.notMatch(allowed.out, 'to allow it')
  },
)

t.test(
  'what a peer offers is entered by hand, imported, and explained under its name here',
  async (t) => {
    const { entente, call } = await acmeAndCli(t)
    const shown = { direction: 'export', effect: 'allow', subject: { identity: '/web' } }
    await call('POST', '/meshes/acme/rules', { body: { ...shown, audience: { kind: 'all' } } })
    const quotes = ['market/quotes', '--port', 'http:80', '--identity', '/ns/market/sa/quotes']
    t.equal((await entente('service', 'add', '--of', 'globex', ...quotes)).code, 0)
    t.match(
      (await entente('service', 'list', '--of', 'globex')).out,
      /market\/quotes +http:80 +not-imported +quotes\.market\.svc\.globex/,
    )
    const imported = await entente('rule', 'import', 'market/*', '--from', 'globex')
    t.match(imported.out, /^visible to us from globex now: market\/quotes$/m)
    t.match(
      (await entente('service', 'list', '--of', 'globex')).out,
      /market\/quotes +http:80 +imported/,
    )
    const { out } = await entente(
      'explain',
      'spiffe://acme.example/web',
      '--may-call',
      'market/quotes',
      '--of',
      'globex',
    )
    t.match(out, /^ {4}as quotes\.market\.svc\.globex\.mesh\.internal$/m)
    t.match(out, /identities +served by spiffe:\/\/globex\.example\/ns\/market\/sa\/quotes;/)
    const ended = await entente('service', 'delete', '--of', 'globex', 'market/quotes')
    t.match(ended, { code: 0, out: /^market\/quotes of globex is deleted/ })
  },
)

t.test('an export for one cluster is told and listed with the cluster', async (t) => {
  const { entente } = await acmeAndCli(t)
  await entente(...ADD_CART)
  const rule = ['rule', 'export', 'shop/cart', '--to', 'globex', '--cluster', 'default']
  const dry = await entente(...rule, '--dry-run')
  t.match(dry.out, /^ {2}\+ globex: shop\/cart becomes visible \(.*cluster default\)$/m, dry.err)
  t.equal((await entente(...rule)).code, 0)
  const listed = await entente('rule', 'list', '--effective', '--to', 'globex')
  t.match(listed.out, /^shop\/cart +shop\/cart +offered +\S+ +\* +default +rule /m)
  const whole = await entente('rule', 'export', 'shop/cart', '--to', 'globex', '--dry-run')
  t.match(whole.out, /^ {2}\+ globex: shop\/cart becomes allowed \(cluster \* but default\)$/m)
})

t.test('a deny, its list, its end', async (t) => {
  const { entente, meshId, db } = await acmeAndCli(t)
  await entente(...ADD_CART)
  await entente('rule', 'export', 'shop/cart', '--to', 'globex')
  const deny = ['rule', 'export', 'shop/*', '--to', 'all', '--deny', '--note', 'frozen']
  const dry = await entente(...deny, '--dry-run')
  t.match(dry.out, /^would add: export deny shop\/\* to all$/m)
  const made = await entente(...deny)
  t.match(
    made.out,
    /^hidden from globex: shop\/cart, since rule [0-9a-f-]+ \(export deny shop\/\* to all\) denies it/m,
  )
  const listed = await entente('rule', 'list')
  t.match(listed.out, /export deny shop\/\* to all +- +frozen/)
  const see = await entente('explain', '--may-see', 'shop/cart', '--to', 'globex')
  const [, id = ''] = /entente rule delete ([0-9a-f-]+)/.exec(see.out) ?? []
  t.match((await entente('rule', 'show', id)).out, 'frozen')
  t.equal((await entente('rule', 'delete', id)).code, 0)
  t.match(
    (await entente('explain', '--may-see', 'shop/cart', '--to', 'globex')).out,
    /^globex may see shop\/cart/m,
  )
  await setState(db, meshId, 'globex', 'suspended')
  t.match(
    (await entente('explain', '--may-see', 'shop/cart', '--to', 'globex')).out,
    'entente federation show globex',
  )
})

t.test('a wrong command line is refused before anything is asked', async (t) => {
  const { entente } = await acmeAndCli(t)
  for (const argv of [
    ['service', 'add', 'cart', '--port', 'http:80', '--identity', '/web'],
    ['service', 'add', 'shop/cart', '--port', '80', '--identity', '/web'],
    ['service', 'add', 'shop/cart', '--identity', '/web'],
    ['service', 'change', 'shop/cart'],
    ['rule', 'export', 'shop/cart'],
    ['rule', 'export', 'shop/cart', '--to', 'all', '--to', 'globex'],
    ['rule', 'export', 'shop/cart', '--to', 'globex', '--priority', 'high'],
    ['explain'],
    ['explain', 'spiffe://acme.example/web', '--may-see', 'shop/cart'],
    ['explain', '--may-call', 'shop/cart'],
  ]) {
    const { code, out } = await entente(...argv)
    t.equal(code, 2, argv.join(' '))
    t.equal(out, '')
  }
  const unknown = await entente('rule', 'export', 'shop/cart', '--to', 'nobody')
  t.equal(unknown.code, 1)
  t.match(unknown.err, /there is no relationship "nobody"/)
})

t.test(
  'a rule says by options which services, ports, callers and identities it means',
  async (t) => {
    const { entente } = await acmeAndCli(t)
    await entente(...ADD_CART, '--label', 'tier=front')
    const options = ['--selector', 'tier in (front,x),!old', '--port', 'http', '--as', 'market/*']
    const named = [...options, '--name', 'carts', '--callers', 'web', '--owner', 'shop']
    const refused = await entente('rule', 'export', 'shop/*', '--to', 'globex', ...named)
    t.match(refused.err, /beyond its owner scope shop/, 'the name lies in another namespace')
    const rule = ['export', 'shop/*', '--to', 'globex', ...named.slice(0, -2)]
    const dry = await entente('rule', ...rule, '--dry-run')
    t.match(
      dry.out,
      /^ {2}\+ globex: shop\/cart becomes visible as market\/cart \(\/ns\/web\/\*, port http\)$/m,
    )
    t.equal((await entente('rule', ...rule)).code, 0)
    t.match(
      (await entente('rule', 'list', '--effective', '--to', 'globex')).out,
      /^shop\/cart +market\/cart +offered +http +\/ns\/web\/\* .*rule carts \(export /m,
    )
    const shown = await entente('rule', 'export', '--identity', '/ns/web/*', '--to', 'globex')
    t.notMatch(shown.out, /visible/, 'identities are allowed and denied')
    t.match(shown.out, /^ {2}\+ globex: identity \/ns\/web\/\* becomes allowed$/m)
    const both = await entente(
      'rule',
      'export',
      'shop/cart',
      '--identity',
      '/web',
      '--to',
      'globex',
    )
    t.equal(both.code, 2)
    const end = await entente('rule', 'delete', 'carts', '--dry-run')
    t.match(
      end.out,
      /^would delete rule carts: .*\n {2}- globex: shop\/cart becomes hidden as market\/cart$/m,
    )
    const dated = await entente(
      'rule',
      ...rule.slice(0, -2),
      '--name',
      'b',
      '--expires',
      '2098-01-31',
    )
    t.equal(dated.code, 0, dated.err)
    const odd = await entente('rule', ...rule, '--expires', 'soon')
    t.match(odd, { code: 2, err: /wanted a date such as .* or a time such as/ })
    const nowhere = await entente('rule', 'export', 'shop/cart', '--to', 'nobody')
    t.match(nowhere.err, /no relationship "nobody" .*\n {2}body \/audience\/relationships\/0\n/)
    const why = await entente('explain', '--may-see', 'shop/cart', '--to', 'globex')
    t.match(why.out, /✓ export rule +rule carts \(export allow /, 'by its name, no id')
    const toGlobex = ['rule', 'list', '--effective', '--to', 'globex']
    t.match(
      (await entente(...toGlobex)).out,
      /\n\nidentities that may call globex: \/ns\/web\/\*\n$/,
    )
    t.match(JSON.parse((await entente('--output', 'json', ...toGlobex)).out), {
      items: [{ name: 'cart' }],
      identities: { shown: [{ path: '/ns/web/*', clusters: null }], refused: [] },
    })
    const deaf = ['--deny', '--identity', '/ns/x/*', '--from', 'globex', '--cluster', 'default']
    await entente('rule', 'import', ...deaf)
    t.match(
      (await entente('rule', 'list', '--effective', '--from', 'globex')).out,
      /\n\nidentities of globex that count for nothing: \/ns\/x\/\* \(cluster default\)\n$/,
    )
    const none = (await entente('rule', 'list', '--effective', '--to', 'initech')).out
    t.match(none, /^nothing is shown to initech\n\nnext:\n {2}entente explain --may-see .*initech/)
    t.notMatch(none, /rule export/, 'a rule may not be what is missing')
    t.match(
      (await entente('rule', 'list', '--effective')).err,
      /next:\n.*--effective --to globex\n.*--effective --from globex\n/,
    )
  },
)
