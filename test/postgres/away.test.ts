import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, type Socket, connect, createServer } from 'node:net'
import t from 'tap'
import { request } from 'undici'
import { POSTGRES_URL, type Teardown, testPostgresUrl } from '../support/database.ts'
import {
  type ServiceProcess,
  adminCall,
  bundleAnswer,
  postgresEnvironment,
  readyStatus,
  startProcess,
} from '../support/process.ts'
import { untilTrue } from '../support/until.ts'
import { testFolder } from '../support/test-folder.ts'

const server = POSTGRES_URL
const skip = server === undefined && 'needs ENTENTE_TEST_DATABASE_URL (a PostgreSQL server)'

/** A TCP link to the database that can be cut and mended, so that the server itself stays as it is. */
async function cuttableLink(t: Teardown, url: string) {
  const real = new URL(url)
  const target = new URL(url)
  const open = new Set<Socket>()
  let cut = false
  const link = createServer((near) => {
    if (cut) {
      near.destroy()
      return
    }
    const far = connect(Number(real.port), real.hostname)
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(from)
      from.on('error', () => undefined)
      from.on('close', () => {
        open.delete(from)
        to.destroy()
      })
      from.pipe(to)
    }
  }).listen(0, '127.0.0.1')
  await once(link, 'listening')
  t.teardown(() => {
    for (const socket of open) socket.destroy()
    link.close()
  })
  target.hostname = '127.0.0.1'
  target.port = String((link.address() as AddressInfo).port)
  return {
    url: target.href,
    cut: () => {
      cut = true
      for (const socket of open) socket.destroy()
    },
    mend: () => {
      cut = false
    },
  }
}

async function readyText(service: ServiceProcess): Promise<string> {
  return (await request(`${service.telemetryOrigin}/readyz`)).body.text()
}

async function bundleStatus(service: ServiceProcess): Promise<number> {
  return (await bundleAnswer(service, 'acme.example')).status
}

t.test(
  'while the database is away writes answer 503, bundles and health go on, and nothing acknowledged is lost',
  { skip },
  async (t) => {
    if (server === undefined) return
    const link = await cuttableLink(t, await testPostgresUrl(t, server))
    const environment = {
      ...postgresEnvironment(testFolder(t), link.url),
      ENTENTE_SERVE_STALE_SECONDS: '5',
    }
    const token = readFileSync(environment.ENTENTE_ADMIN_TOKEN_FILE, 'utf8').trim()
    const service = await startProcess(t, environment)
    const create = (meshId: string) =>
      adminCall(service, {
        method: 'POST',
        path: '/meshes',
        token,
        body: { meshId, trustDomain: `${meshId}.example` },
      })
    t.equal((await create('acme')).status, 201)
    t.ok(await untilTrue(async () => (await bundleStatus(service)) === 200))

    link.cut()
    const refused = await create('globex')
    t.equal(refused.status, 503)
    t.equal(refused.headers['content-type'], 'application/problem+json')
    t.match(refused.headers['retry-after'], /^\d+$/)
    t.match(refused.text, /DATABASE_UNAVAILABLE/)
    t.equal(await bundleStatus(service), 200, 'bundles are served from memory')
    t.equal(await readyStatus(service), 200, 'ready while bundles are served')
    t.ok(
      await untilTrue(async () => /database: it has not answered/.test(await readyText(service))),
      'and says why it is degraded',
    )
    t.ok(await untilTrue(async () => (await bundleStatus(service)) === 503), 'too old in the end')
    t.ok(await untilTrue(async () => (await readyStatus(service)) === 503), 'then it is not ready')

    link.mend()
    t.ok(
      await untilTrue(async () => (await bundleStatus(service)) === 200),
      'it recovers by itself',
    )
    t.ok(await untilTrue(async () => (await create('globex')).status === 201))
    const list = await adminCall(service, { method: 'GET', path: '/meshes', token })
    t.match(list.text, /acme.example/)
    t.match(list.text, /globex.example/)
    t.ok(await untilTrue(async () => (await readyStatus(service)) === 200), 'ready again')
    t.equal(service.child.exitCode, null, 'the process never ended')
  },
)
