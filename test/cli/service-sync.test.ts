import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startTestService } from '../support/service.ts'
import { dataFolder, ran } from '../support/small-server.ts'

const SHOP = join(import.meta.dirname, '../vectors/kubernetes-shop.json')

const service = await startTestService(t)
await service.admin('POST', '/meshes', { meshId: 'acme', trustDomain: 'acme.example' })
const env = {
  ENTENTE_ADDR: `unix:${join(service.folder, 'admin.sock')}`,
  ENTENTE_TOKEN_FILE: join(service.folder, 'admin.token'),
}
const run = (...argv: string[]) => ran(argv, env)
const sync = (...argv: string[]) =>
  run('service', 'sync', '--from', 'k8s', '-f', SHOP, '--cluster', 'default', ...argv)

t.test(
  'the catalogue follows what kubectl printed, and a reporter tells the endpoints',
  async (t) => {
    const folder = dataFolder(t)
    const [tokenFile, svid] = [join(folder, 'token'), join(folder, 'svid')]
    const entry = await run('entry', 'create', '--id', '/reporter', '--cluster', 'default')
    t.equal(entry.code, 0, entry.err)
    await run('join-token', 'create', '--id', '/reporter', '--token-file', tokenFile)
    t.equal((await run('svid', 'fetch', '--token-file', tokenFile, '--out', svid)).code, 0)

    const dry = await sync('--endpoints', '--svid', svid, '--dry-run')
    t.equal(dry.code, 0, dry.err)
    t.match(dry.out, 'shop/cart would be made')
    t.match(dry.out, '2 endpoints would be reported, 1 left out')
    t.match((await run('service', 'list')).out, /no services/)

    const done = await sync('--endpoints', '--svid', svid)
    t.equal(done.code, 0, done.err)
    t.match(done.out, 'shop/cart made')
    t.match(done.out, '1 made, 0 changed, 0 deleted, 0 as before')
    t.match(done.out, '2 endpoints reported (report 1), 1 left out')
    t.match(done.err, 'endpoint of shop/cart at 10.0.0.8 left out: it names no pod')
    t.match(done.err, 'passed over shop/db: it is headless')
    t.match(done.err, 'left as it is shop/quiet: no pod is behind it now')
    const shown = await run('service', 'show', 'shop/cart')
    t.match(shown.out, /identities +.*spiffe:\/\/acme\.example\/ns\/shop\/sa\/cart/)
    const endpoints = await run('service', 'endpoints', 'shop/cart')
    t.match(
      endpoints.out,
      /default +default +pod-1 +10\.0\.0\.5:8080 +http-web +eu-west\/eu-west-1a +yes/,
    )

    const again = await sync('--only-endpoints', '--svid', svid)
    t.match(again.out, '2 endpoints reported (report 2)')
    t.notMatch(again.out, 'made')
    const report = await sync('--only-endpoints', '--svid', svid, '--output', 'json')
    t.match(JSON.parse(report.out), { leftOut: [{ service: 'shop/cart', address: '10.0.0.8' }] })
    const json = await sync('--output', 'json')
    t.match(JSON.parse(json.out), {
      catalogue: { unchangedCount: 1 },
      passedOver: [{}, {}, {}, {}],
    })
    t.match((await run('service', 'change', 'shop/cart', '--label', 'a=b')).err, /kept up to date/)
  },
)

t.test('a reporter of another cluster is told so, and wrong words change nothing', async (t) => {
  const folder = dataFolder(t)
  const odd = join(folder, 'odd.json')
  writeFileSync(odd, readFileSync(SHOP, 'utf8').slice(0, 200))
  const from = ['service', 'sync', '--from', 'k8s', '--cluster', 'default']
  for (const [argv, said] of [
    [[...from, '-f', odd], /is no JSON/],
    [[...from, '-f', join(folder, 'none.json')], /cannot read/],
    [[...from, '-f', SHOP, '--endpoints'], /--endpoints and --svid belong together/],
    [[...from, '-f', SHOP, '--svid', folder], /--endpoints and --svid belong together/],
    [[...from, '-f', SHOP, '--endpoints', '--svid', folder], /no SVID to go on with/],
    [['service', 'sync', '--from', 'nomad', '-f', SHOP, '--cluster', 'default'], /Allowed choices/],
  ] as const) {
    const failed = await run(...argv)
    t.equal(failed.code, 2, argv.join(' '))
    t.match(failed.err, said)
  }
  const nowhere = await run('service', 'sync', '--from', 'k8s', '-f', SHOP, '--cluster', 'nowhere')
  t.match(nowhere, { code: 1, err: /mesh acme has no cluster "nowhere"/ })
})
