import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer } from 'node:tls'
import t, { type Test } from 'tap'
import { EndpointContexts } from '../../src/authority/endpoint-contexts.ts'
import { workloadRootOf } from '../../src/authority/endpoint-issuer.ts'
import { rotateAll } from '../../src/authority/rotate.ts'
import type { MeshId } from '../../src/db/ids.ts'
import { Alarms } from '../../src/http/alarms.ts'
import { createLogger } from '../../src/http/log.ts'
import { createMetrics } from '../../src/http/metrics.ts'
import { type KeyedCertificate, SniContexts } from '../../src/http/tls.ts'
import { readCertificate } from '../../src/pki/certificate.ts'
import { publicKeySha256 } from '../../src/pki/key-pair.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'
import { testClock } from '../support/clock.ts'
import { testDatabase } from '../support/database.ts'
import { makeMesh, testKeyring } from '../support/meshes.ts'

const ACME = parseTrustDomain('acme.example')
const log = createLogger({ level: 'silent' })

interface Options {
  readonly defaultTls?: string
  readonly webCertificate?: KeyedCertificate
}

async function contextsOf(t: Test, { defaultTls, webCertificate }: Options = {}) {
  const { db } = await testDatabase(t)
  const clock = testClock()
  const keyring = testKeyring()
  const metrics = createMetrics()
  const alarms = new Alarms({ log, metrics })
  const watchers: ((meshId: MeshId) => void)[] = []
  const federation = new SniContexts()
  const workload = new SniContexts()
  const contexts = new EndpointContexts({
    db,
    now: clock.db,
    clock,
    keyring,
    changes: { on: (_topic, watcher) => void watchers.push(watcher) },
    alarms,
    federation,
    workload,
    workloadHost: 'workloads.example.com',
    defaultTls,
    webCertificate: () => webCertificate,
    onDirty: () => undefined,
  })
  const refresh = async (meshId?: MeshId): Promise<void> => {
    if (meshId !== undefined) for (const watcher of watchers) watcher(meshId)
    await contexts.refresh()
  }
  const rotation = { db, now: clock.db, clock, keyring, alarms, metrics, log }
  return { db, clock, keyring, alarms, federation, workload, contexts, refresh, rotation }
}

t.test(
  'FE-16 endpoint SVIDs are made, kept, and renewed at half their life without a restart',
  async (t) => {
    const { db, clock, keyring, contexts, refresh, federation, workload } = await contextsOf(t)
    const { mesh } = await makeMesh(db, keyring, { now: clock.now() })
    await refresh()
    const first = contexts.svidOf('federation', ACME)
    t.equal(first?.id, 'spiffe://acme.example/entente/bundle-endpoint')
    t.same(federation.names(), ['localhost'])
    t.same(workload.names().toSorted(), ['acme.example', 'localhost', 'workloads.example.com'])
    const names = readCertificate(
      contexts.svidOf('workload', ACME)?.certificate ?? new Uint8Array(),
    )
    t.same(names.dnsSans, ['localhost', 'workloads.example.com'])
    await refresh(mesh.meshId)
    t.equal(
      contexts.svidOf('federation', ACME),
      first,
      'a change that does not concern it leaves it alone',
    )
    await clock.advance(11.9 * 3_600_000)
    await refresh()
    t.equal(contexts.svidOf('federation', ACME), first)
    await clock.advance(0.2 * 3_600_000)
    await refresh()
    const second = contexts.svidOf('federation', ACME)
    t.not(second, first)
    t.ok((second?.notAfter ?? 0) > (first?.notAfter ?? 0))
    t.ok(second?.privateKey !== first?.privateKey, 'with a key of its own')
  },
)

t.test(
  'endpoints stand under the oldest root until it is removed, and a join token can name that root',
  async (t) => {
    const { db, clock, keyring, contexts, refresh, rotation } = await contextsOf(t)
    const settings = {
      rootSeconds: 1200,
      intermediateSeconds: 600,
      jwtKeySeconds: 1200,
      maxX509SvidSeconds: 300,
      maxJwtSvidSeconds: 300,
      minPublishSeconds: 0,
      hintSeconds: 10,
      removalSkewSeconds: 200,
    }
    const { mesh } = await makeMesh(db, keyring, { now: clock.now(), settings })
    await refresh()
    const rootOf = (): string =>
      Buffer.from(
        publicKeySha256(
          readCertificate(contexts.svidOf('workload', ACME)?.root ?? new Uint8Array()).spki,
        ),
      ).toString('hex')
    const first = rootOf()
    const roots = async () =>
      await db
        .selectFrom('authority')
        .select(['state', 'remove_at'])
        .where('kind', '=', 'x509_root')
        .orderBy('prepared_at')
        .execute()
    const seen: string[] = []
    for (let step = 0; step < 40; step += 1) {
      await clock.advance(30_000)
      await rotateAll(rotation)
      await refresh(mesh.meshId)
      const [old] = await roots()
      const named = await workloadRootOf(db, mesh.meshId, { trustDomain: ACME, now: clock.now() })
      t.equal(
        Buffer.from(named.publicKeySha256).toString('hex'),
        rootOf(),
        'a token names what the listener shows',
      )
      const svid = contexts.svidOf('workload', ACME)
      if (svid !== undefined && svid.notAfter <= clock.now())
        t.fail('the listener shows an SVID that ended')
      if (old?.state === 'retired' && rootOf() === first) {
        t.same(named.leavesAt, old.remove_at)
        t.ok((svid?.notAfter ?? 0) <= (old.remove_at ?? 0), 'and never outlives its removal')
      }
      seen.push(`${old?.state} ${rootOf() === first ? 'first' : 'next'}`)
    }
    t.same([...new Set(seen)].slice(0, 2), ['active first', 'retired first'])
    t.equal(seen.at(-1), 'removed next')
    t.notOk(seen.includes('removed first'))
  },
)

t.test('a mesh that goes takes its names along', async (t) => {
  const { db, clock, keyring, refresh, federation, workload } = await contextsOf(t)
  const { mesh } = await makeMesh(db, keyring, { now: clock.now(), bundleHost: 'a.example' })
  await refresh()
  t.same(federation.names(), ['a.example'])
  await db.deleteFrom('mesh').execute()
  await refresh(mesh.meshId)
  t.same([federation.names(), workload.names()], [[], []])
})

t.test('a mesh whose keys cannot be opened is alarmed, and others are served', async (t) => {
  const { db, clock, keyring, refresh, alarms, contexts } = await contextsOf(t)
  await makeMesh(db, testKeyring(), {
    meshId: 'lost',
    now: clock.now(),
    bundleHost: 'lost.example',
  })
  await makeMesh(db, keyring, { now: clock.now() })
  await refresh()
  t.match(alarms.list(), [{ code: 'endpoint-svid.failed', object: 'lost.example' }])
  t.ok(contexts.svidOf('federation', ACME))
})

t.test(
  'ENTENTE_DEFAULT_TLS names the default; one that is not ours falls back with an alarm',
  async (t) => {
    const { db, clock, keyring, refresh, alarms } = await contextsOf(t, {
      defaultTls: 'globex.example',
    })
    const { mesh } = await makeMesh(db, keyring, { now: clock.now() })
    await refresh()
    t.match(alarms.list(), [
      { code: 'default-tls.unknown', object: 'globex.example', service: true },
    ])
    await makeMesh(db, keyring, {
      meshId: 'globex',
      now: clock.now(),
      bundleHost: 'globex.localhost',
    })
    await refresh(mesh.meshId)
    t.same(alarms.list(), [])
  },
)

t.test(
  'a host that is the name of another trust domain gives way on the workload listener',
  async (t) => {
    const { db, clock, keyring, refresh, workload } = await contextsOf(t)
    await makeMesh(db, keyring, { now: clock.now() })
    await makeMesh(db, keyring, { meshId: 'globex', now: clock.now(), bundleHost: 'acme.example' })
    await refresh()
    const server = createServer(workload.serverOptions('asked')).listen(0, '127.0.0.1')
    t.teardown(() => server.close())
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const socket = connect({
      host: '127.0.0.1',
      port,
      servername: 'acme.example',
      rejectUnauthorized: false,
    })
    await once(socket, 'secureConnect')
    const shown = socket.getPeerX509Certificate()?.subjectAltName
    socket.destroy()
    t.match(shown, 'spiffe://acme.example/entente/workload-endpoint')
  },
)
