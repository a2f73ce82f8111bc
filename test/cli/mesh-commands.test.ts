import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseBundle } from '../../src/spiffe/bundle.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'
import { dataFolder, ran, type Ran } from '../support/small-server.ts'
import { startTestService } from '../support/service.ts'

t.test('the commands', async (t) => {
  const service = await startTestService(t)
  const env = { ENTENTE_DATA_DIR: service.folder }
  const entente = (...argv: readonly string[]): Promise<Ran> => ran(argv, env)

  t.match((await entente('mesh', 'list')).out, /no mesh yet\n\nnext:\n  entente mesh create acme/)
  const created = await entente('mesh', 'create', 'acme', '--trust-domain', 'acme.example')
  t.equal(created.code, 0, created.err)
  t.match(created.out, /bundle url +https:\/\/localhost:[0-9]+\/bundles\/acme\.example/)
  t.match(created.out, /profile +https_spiffe/)
  t.match(created.out, /endpoint id +spiffe:\/\/acme\.example\/entente\/bundle-endpoint/)
  t.match(created.out, /next:\n {2}entente federation invite --mesh acme --for PEER-TRUST-DOMAIN/)

  t.test('mesh show, set and delete', async (t) => {
    t.match((await entente('mesh', 'show')).out, /host +localhost resolves to this service/)
    const set = await entente('mesh', 'set', '--set', 'hintSeconds=60', '--environment', 'test')
    t.equal(set.code, 0, set.err)
    t.match(set.out, /hintSeconds=60/)
    const refused = await entente(
      'mesh',
      'set',
      '--set',
      'maxX509SvidSeconds=86400',
      '--set',
      'intermediateSeconds=3600',
    )
    t.equal(refused.code, 1)
    t.match(
      refused.err,
      /intermediateSeconds is 3600, wanted at least twice maxX509SvidSeconds, 172800/,
    )
    t.equal((await entente('mesh', 'set', '--set', 'hintSeconds')).code, 2)
    const dry = await entente('mesh', 'delete', 'acme', '--dry-run')
    t.match(dry.out, /deleting acme would end:/)
    t.equal((await entente('mesh', 'show', 'acme')).code, 0)
    await entente('mesh', 'create', 'gone', '--trust-domain', 'gone.example')
    t.equal((await entente('mesh', 'delete', 'gone')).code, 0)
    t.equal((await entente('mesh', 'show', 'gone')).code, 1)
  })

  t.test('bundle show prints exactly what is served', async (t) => {
    const shown = await entente('bundle', 'show')
    const { bundle } = parseBundle(
      parseTrustDomain('acme.example'),
      Buffer.from(shown.out.trimEnd()),
    )
    t.equal(bundle.x509Authorities.length, 1)
    t.equal(bundle.refreshHintSeconds, 60)
    const whole = JSON.parse((await entente('--output', 'json', 'bundle', 'show')).out)
    t.equal(whole.document, shown.out.trimEnd())
    t.equal(whole.sequence, String(bundle.sequence))
    t.match(
      (await entente('bundle', 'history')).out,
      /settings of the mesh changed[^]*trust domain created/,
    )
  })

  t.test('readers are added, listed and removed', async (t) => {
    t.match(
      (await entente('bundle', 'reader', 'add', 'globex')).out,
      /url +https:\/\/localhost:[0-9]+\/bundles\/acme\.example\/for\/[A-Za-z0-9_-]{43}/,
    )
    t.match((await entente('bundle', 'reader', 'list')).out, /globex +manual +never +0/)
    t.equal((await entente('bundle', 'reader', 'remove', 'globex')).code, 0)
    t.match((await entente('bundle', 'reader', 'list')).out, /no readers/)
  })

  t.test(
    'FE-30 an authority is prepared and may be activated only when its conditions hold',
    async (t) => {
      t.match(
        (await entente('authority', 'list')).out,
        /x509_root +- +active +[0-9TZ:.-]+ +successor prepared at/,
      )
      const prepared = await entente('authority', 'prepare', 'x509_root')
      t.equal(prepared.code, 0, prepared.err)
      t.match(prepared.out, /# waits: it must be published for 3600 s/)
      const again = await entente('authority', 'prepare', 'x509_root')
      t.equal(again.code, 1)
      t.match(again.err, /prepared already/)
      const refused = await entente('authority', 'activate', 'x509_root')
      t.equal(refused.code, 1)
      t.match(refused.err, /may not sign yet: it must be published for 3600 s/)
      const forced = await entente('authority', 'activate', 'x509_root', '--force')
      t.equal(forced.code, 1, 'force does not skip the hint')
      t.match(forced.err, /one refresh hint \(300 s\) has not passed/)
      const bundle = JSON.parse((await entente('bundle', 'show')).out)
      t.equal(bundle.keys.filter((key: { use: string }) => key.use === 'x509-svid').length, 2)
      t.equal((await entente('authority', 'prepare', 'nonsense')).code, 2)
    },
  )
})

t.test('a rotation through the API', async (t) => {
  const service = await startTestService(t, { ENTENTE_LIFECYCLE_TICK_SECONDS: '1' })
  const settings = { minPublishSeconds: 0, hintSeconds: 1, removalSkewSeconds: 1 }
  await service.admin('POST', '/meshes', {
    meshId: 'acme',
    trustDomain: 'acme.example',
    settings,
  })
  const path = '/meshes/acme/authorities'
  const dry = await service.admin('POST', `${path}?dryRun=true`, { kind: 'x509_root' })
  t.equal(dry.status, 200)
  t.equal((await service.admin('GET', path)).body.items.length, 3, 'a dry run changes nothing')
  const prepared = await service.admin('POST', path, { kind: 'x509_root' })
  t.equal(prepared.status, 201)
  const stateOf = async (): Promise<string> =>
    (await service.admin('GET', `${path}/${prepared.body.id}`)).body.state
  for (let n = 0; n < 200 && (await stateOf()) !== 'active'; n += 1) {
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  t.equal(
    await stateOf(),
    'active',
    'the lifecycle activates it once it was published for five hints',
  )
  const all = await service.admin('GET', `${path}?removed=true`)
  const [first] = all.body.items.filter(
    (one: { kind: string; id: string }) => one.kind === 'x509_root' && one.id !== prepared.body.id,
  )
  t.ok(['retired', 'removed'].includes(first.state))
  t.equal(first.hasPrivateKey, false)
  t.equal(JSON.stringify(all.body).includes('PRIVATE'), false)
})

t.test(
  'a mesh that comes into another environment than its peers is told how to keep apart',
  async (t) => {
    const service = await startTestService(t)
    const env = { ENTENTE_DATA_DIR: service.folder, ENTENTE_MESH: 'acme' }
    const entente = (...argv: readonly string[]): Promise<Ran> => ran(argv, env)
    await service.admin('POST', '/meshes', { meshId: 'acme', trustDomain: 'acme.example' })
    for (const [meshId, environment] of [
      ['globex', 'test'],
      ['initech', 'prod'],
      ['umbrella', undefined],
    ] as const) {
      const trustDomain = `${meshId}.example`
      const mesh = { meshId, trustDomain, ...(environment !== undefined && { environment }) }
      t.equal((await service.admin('POST', '/meshes', mesh)).status, 201)
      const domains = [{ trustDomain, source: 'local' }]
      const made = await service.admin('POST', '/meshes/acme/relationships', {
        name: meshId,
        domains,
      })
      t.equal(made.status, 201)
    }
    const set = (...more: string[]) => entente('mesh', 'set', '--environment', 'prod', ...more)
    const deny = ["rule export '*/*' --to globex --deny", "rule import '*/*' --from globex --deny"]

    const dry = await set('--dry-run')
    t.equal(dry.code, 0, dry.err)
    t.match(dry.out, /crosses environments +globex\n/)
    for (const command of deny) t.match(dry.out, `entente ${command}`)
    t.notMatch(dry.out, /initech|umbrella/)
    t.equal((await service.admin('GET', '/meshes/acme')).body.environment, null)
    t.match((await set()).out, /crosses environments +globex\n/)
    const rules = async (): Promise<number> =>
      (await service.admin('GET', '/meshes/acme/rules')).body.items.length
    t.equal(
      await rules(),
      1,
      'nothing is denied by a label: what goes on already does not end by it',
    )

    const file = join(dataFolder(t), 'acme.yaml')
    writeFileSync(file, 'kind: Mesh\nmesh: acme\ntrustDomain: acme.example\nenvironment: staging\n')
    const planned = await entente('apply', '-f', file, '--dry-run')
    t.match(planned.out, /globex, initech: in another environment, and no rule keeps both apart/)
    t.match(planned.out, `to do so: entente ${deny[0]}`)

    t.equal((await entente('rule', 'export', '*/*', '--to', 'globex', '--deny')).code, 0)
    const half = await set()
    t.match(half.out, deny[1])
    t.notMatch(half.out, deny[0], 'one half is there')
    await entente('rule', 'import', '*/*', '--from', 'globex', '--deny')
    t.notMatch((await set()).out, /crosses|--deny/)
    const other = await entente('mesh', 'set', '--display-name', 'Acme')
    t.notMatch(other.out, /crosses/)
  },
)
