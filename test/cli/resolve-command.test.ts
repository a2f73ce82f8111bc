import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { addRelationship } from '../policy/policy-app.ts'
import { acmeInTwoNetworks } from '../policy/resolve/resolve-app.ts'
import { dataFolder, ran } from '../support/small-server.ts'

const acmeAndCli = async (t: Test) => {
  const app = await acmeInTwoNetworks(t)
  const folder = dataFolder(t)
  const tokenFile = join(folder, 'api.token')
  writeFileSync(tokenFile, app.token, { mode: 0o600 })
  const env = {
    ENTENTE_ADDR: `http://127.0.0.1:${app.port}`,
    ENTENTE_TOKEN_FILE: tokenFile,
    ENTENTE_DATA_DIR: folder,
    ENTENTE_MESH: 'acme',
  }
  return { ...app, entente: (...argv: readonly string[]) => ran(argv, env) }
}

t.test('ways are printed by tier, each with its reason, as a person reads them', async (t) => {
  const { entente } = await acmeAndCli(t)
  const { out, err, code } = await entente('resolve', 'shop/cart', '--from-cluster', 'east')
  t.equal(code, 0, err)
  t.equal(
    out,
    `shop/cart from cluster east in network vpc-a
1. in region eu, like the consumer
  10.0.0.5:8080  http  weight 1  in cluster east
2. in another region, or in none that is known
  203.0.113.1:15443  http  weight 1  gateway gw-b of vpc-b, SNI outbound_.80_._.cart.shop.svc.cluster.local
served by spiffe://acme.example/ns/shop/sa/cart
`,
  )
})

t.test('what cannot be reached is said, and where nothing can, why', async (t) => {
  const { entente } = await acmeAndCli(t)
  const part = await entente('resolve', 'shop/cart', '--from-network', 'vpc-b')
  t.match(part.out, /^not reached: 1 endpoint \(network vpc-a has no gateway\)$/m)
  const none = await entente('resolve', 'shop/cart', '--from-network', 'vpc-b', '--port', 'grpc')
  t.match(none.out, /^no route to shop\/cart from network vpc-b\n {2}✗ no cluster reports/)
})

t.test('who may not see a service is told why, and what would change it', async (t) => {
  const { entente } = await acmeAndCli(t)
  const { out } = await entente('resolve', 'market/quotes', '--from-network', 'vpc-a')
  t.match(
    out,
    /^market\/quotes is not for this mesh\n {2}✗ market\/quotes is not a service of acme/,
  )
  t.match(out, /to allow it:\n {2}entente service add market\/quotes/)
})

t.test('of a peer there are gateways, and a half that only the peer decides', async (t) => {
  const { entente, placed } = await acmeAndCli(t)
  await addRelationship(placed.db, placed.meshId, { name: 'globex' })
  const serving = ['--port', 'http:8080', '--identity', '/ns/market/sa/quotes']
  const offer = ['--of', 'globex', '--gateway', 'gw.globex.example:15443']
  const added = await entente('service', 'add', 'market/quotes', ...serving, ...offer)
  t.equal(added.code, 0, added.err)
  t.equal((await entente('rule', 'import', 'market/quotes', '--from', 'globex')).code, 0)
  const from = ['--of', 'globex', '--from-cluster', 'east']
  const { out } = await entente('resolve', 'market/quotes', ...from)
  t.equal(
    out,
    `market/quotes of globex from cluster east in network vpc-a, if globex allows its half
1. in another region, or in none that is known
  gw.globex.example:15443  http  weight 1  the peer's gateway, SNI outbound_.8080_._.quotes.market.svc.cluster.local
as quotes.market.svc.globex.mesh.internal
served by spiffe://globex.example/ns/market/sa/quotes
`,
  )
})

t.test('a command line that means nothing is refused', async (t) => {
  const { entente } = await acmeAndCli(t)
  const zone = await entente('resolve', 'shop/cart', '--zone', 'eu-1')
  t.match(zone, { code: 2, err: /--zone needs --region/ })
  const which = await entente('resolve', 'shop/cart')
  t.match(which, {
    code: 1,
    err: /name the network of who asks; the mesh has default, vpc-a[^]*next:\n +say where .*--from-network/,
  })
  const json = await entente('--output', 'json', 'resolve', 'shop/cart', '--from-network', 'vpc-a')
  t.match(JSON.parse(json.out), { decision: 'allow', route: { noRoute: null } })
})
