import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { KINDS } from '../../src/cli/declarative/kinds.ts'
import { FakePeer } from '../support/fake-peer.ts'
import { startTestService } from '../support/service.ts'
import { dataFolder, type Ran, ran } from '../support/small-server.ts'

t.setTimeout(120_000)

const service = await startTestService(t)
const gone = await FakePeer.open(t, 'gone.example')
const bundle = Buffer.from(gone.document).toString()
const GONE = { trustDomain: 'gone.example', source: 'static', bundle }
const entente = (...argv: readonly string[]): Promise<Ran> =>
  ran([...argv], { ENTENTE_DATA_DIR: service.folder, ENTENTE_MESH: 'acme' })

const make = async (
  method: 'POST' | 'PUT',
  path: string,
  ...more: [body: object, headers?: Record<string, string>]
): Promise<void> => {
  const answer = await service.admin(method, `/meshes${path}`, ...more)
  if (answer.status >= 300) throw new Error(`${path}: ${JSON.stringify(answer.body)}`)
}

/** The commands that print the documents of a kind: a list, and one object by its name. */
const PRINTED: Readonly<Record<string, readonly [string, string?]>> = {
  Mesh: ['mesh list', 'mesh show'],
  Quota: ['quota list'],
  Network: ['network list', 'network show vpc-b'],
  ControlPlane: ['control-plane list', 'control-plane show cloud'],
  Cluster: ['cluster list', 'cluster show east'],
  Gateway: ['gateway list', 'gateway show gw-b'],
  Relationship: ['federation list', 'federation show globex'],
  PeerGroup: ['peer-group list', 'peer-group show partners'],
  Service: ['service list', 'service show shop/synced'],
  Entry: ['entry list', 'entry show spiffe://acme.example/web'],
  Rule: ['rule list', 'rule show carts'],
}

/** One of each kind, with what the service adds of itself: defaults, heartbeats, what a cluster keeps. */
async function makeAll(): Promise<void> {
  await make('POST', '', { meshId: 'globex', trustDomain: 'globex.example' })
  await make('POST', '', { meshId: 'acme', trustDomain: 'acme.example' })
  await make('PUT', '/acme/quotas', { services: 100 })
  await make('POST', '/acme/networks', { name: 'vpc-b', directlyReachable: false })
  await make('POST', '/acme/control-planes', {
    name: 'cloud',
    type: 'managed',
    address: 'cp.example:15012',
    heartbeatSeconds: 60,
  })
  await make('POST', '/acme/clusters', {
    name: 'east',
    role: 'remote',
    locality: { region: 'eu', zone: 'a' },
    networks: ['vpc-b'],
    controlPlanes: ['cloud'],
  })
  await make('POST', '/acme/gateways', {
    name: 'gw-b',
    network: 'vpc-b',
    cluster: 'east',
    address: 'gw.example',
    port: 15443,
    heartbeatSeconds: 60,
  })
  await make('POST', '/acme/gateways/gw-b/heartbeat', {})
  const domains = [{ trustDomain: 'globex.example', source: 'local' }]
  await make('POST', '/acme/relationships', { name: 'globex', domains, labels: { tier: 'one' } })
  await make('POST', '/acme/relationships', { name: 'gone', domains: [GONE] })
  await make('POST', '/acme/relationships/gone/terminate', {}, { 'if-match': '*' })
  await make('POST', '/acme/peer-groups', {
    name: 'partners',
    members: [{ relationship: 'globex' }],
  })
  const synced = { namespace: 'shop', name: 'synced', ports: [{ name: 'http', port: 80 }] }
  await make('PUT', '/acme/clusters/default/services', {
    source: 'k8s',
    services: [{ ...synced, identities: ['/b', '/a'], labels: { app: 'x' } }],
  })
  await make('POST', '/acme/services', { ...synced, name: 'typed', identities: ['/c'] })
  await make('POST', '/acme/entries', {
    spiffeId: '/web',
    cluster: 'east',
    federatesWith: { group: 'partners' },
    expiresAt: '2098-01-31T00:00:00Z',
  })
  await make('POST', '/acme/rules', {
    name: 'carts',
    direction: 'export',
    effect: 'allow',
    subject: { namespace: 'shop', name: '*', labels: { matchLabels: { app: 'x' } } },
    audience: { kind: 'peers', groups: ['partners'], callers: { namespaces: ['web'] } },
    clusters: ['east'],
    expiresAt: '2098-01-31T00:00:00Z',
  })
}

await makeAll()

t.test('the table has every kind', async (t) => {
  t.same(
    Object.keys(PRINTED),
    KINDS.map(({ kind }) => kind),
  )
})

for (const [kind, commands] of Object.entries(PRINTED)) {
  t.test(`${kind}: what is printed as YAML differs in nothing from what there is`, async (t) => {
    for (const command of commands) {
      if (command === undefined) continue
      const printed = await entente(...command.split(' '), '-o', 'yaml')
      t.equal(printed.code, 0, printed.err)
      t.match(printed.out, `kind: ${kind}\n`, command)
      const file = join(dataFolder(t), 'exported.yaml')
      writeFileSync(file, printed.out)
      const diff = await entente('diff', '-f', file)
      t.match(diff, { code: 0, out: '' }, `${command}: ${diff.out}${diff.err}`)
      const applied = await entente('apply', '-f', file)
      t.equal(applied.code, 0, applied.err)
      t.notMatch(applied.out, /created|updated|deleted/)
    }
  })
}

t.test('what no document can hold is named', async (t) => {
  t.match(
    (await entente('rule', 'list', '-o', 'yaml')).err,
    /in no document.* no name: [0-9a-f-]{36}/,
  )
  t.match((await entente('federation', 'list', '-o', 'yaml')).err, /they are terminated: gone/)
})

t.test('what a cluster keeps is of no owner of documents, so pruning leaves it', async (t) => {
  const { body } = await service.admin('GET', '/meshes/acme/applied')
  const names = body.items.map(
    ({ kind, name }: { kind: string; name: string }) => `${kind} ${name}`,
  )
  t.ok(names.includes('Service shop/typed'))
  t.notOk(names.includes('Service shop/synced'))
})

t.test('on a terminal a rule and an entry are shown in the words of their options', async (t) => {
  const rule = await entente('rule', 'show', 'carts')
  t.match(rule.out, /^rule +export allow shop\/\* \[app=x\] to group partners \(callers web\)/m)
  const shown = await entente('entry', 'show', '/web')
  t.match(shown.out, /^federates with +group:partners$/m)
  t.notMatch(rule.out + shown.out, /[{}]/, 'no JSON')
})
