import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, renameSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { type AddressInfo, type Socket, connect, createServer } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import t from 'tap'
import { createKekFile } from '../../src/db/kek-file.ts'
import { seededFolder } from '../support/database.ts'
import {
  type ServiceProcess,
  childEnvironment,
  readyStatus,
  spawnProcess,
  startProcess,
} from '../support/process.ts'
import { sixStarters } from '../support/starters.ts'
import { testFolder } from '../support/test-folder.ts'

// Some thirty processes start one after another; a busy machine may take five times the usual time.
t.setTimeout(400_000)

const run = promisify(execFile)

const BODY_BEGIN = '{"label":'
const BODY_END = '"in-hand"}'

/** A request whose body is sent only in part, so that it stays in hand. */
async function openRequest(service: ServiceProcess, folder: string): Promise<Socket> {
  const token = readFileSync(join(folder, 'admin.token'), 'utf8').trim()
  const socket = connect(Number(new URL(service.adminOrigin).port), '127.0.0.1')
  await once(socket, 'connect')
  socket.write(
    [
      'POST /v1/api-tokens HTTP/1.1',
      'host: localhost',
      `authorization: Bearer ${token}`,
      'content-type: application/json',
      `content-length: ${BODY_BEGIN.length + BODY_END.length}`,
      '',
      BODY_BEGIN,
    ].join('\r\n'),
  )
  await delay(200)
  return socket
}

async function secondsUntilEnd(service: ServiceProcess): Promise<number> {
  const begin = performance.now()
  await service.ended()
  return (performance.now() - begin) / 1000
}

t.test(
  'SIGTERM: not ready, requests in hand are finished, exit 0 within ten seconds',
  async (t) => {
    const folder = testFolder(t)
    const service = await startProcess(t, { ENTENTE_DATA_DIR: folder })
    const inHand = await openRequest(service, folder)
    service.kill('SIGTERM')
    await delay(300)
    t.equal(await readyStatus(service), 503, 'not ready from the signal on')
    inHand.write(BODY_END)
    t.match(await text(inHand), /^HTTP\/1\.1 201 /)
    t.ok((await secondsUntilEnd(service)) < 10)
    t.equal(await service.ended(), 0)
    t.match(service.output(), /"event":"process.stopped"/)

    const again = await startProcess(t, { ENTENTE_DATA_DIR: folder })
    const token = readFileSync(join(folder, 'admin.token'), 'utf8').trim()
    const answer = await fetch(`${again.adminOrigin}/v1/api-tokens`, {
      headers: { authorization: `Bearer ${token}` },
    })
    const { items } = (await answer.json()) as { items: { label: string }[] }
    t.ok(
      items.some((item) => item.label === 'in-hand'),
      'what was answered is there',
    )
  },
)

t.test('a second signal ends the process at once', async (t) => {
  const folder = await seededFolder(t)
  const service = await startProcess(t, { ENTENTE_DATA_DIR: folder })
  const inHand = await openRequest(service, folder)
  inHand.on('error', () => undefined)
  service.kill('SIGTERM')
  await delay(300)
  t.equal(service.child.exitCode, null, 'the first one waits for the request in hand')
  service.kill('SIGTERM')
  t.ok((await secondsUntilEnd(service)) < 1)
  t.equal(await service.ended(), 1)
})

t.test('a port in use names its variable', async (t) => {
  const holder = createServer().listen(0, '127.0.0.1')
  await once(holder, 'listening')
  t.teardown(() => holder.close())
  const { port } = holder.address() as AddressInfo
  const folder = await seededFolder(t)
  for (const name of ['FEDERATION', 'WORKLOAD', 'ADMIN', 'TELEMETRY']) {
    const variable = `ENTENTE_${name}_ADDRESS`
    const address = `127.0.0.1:${port}`
    const service = await spawnProcess(t, { ENTENTE_DATA_DIR: folder, [variable]: address })
    t.equal(await service.ended(), 1)
    t.match(service.output(), `cannot listen on ${variable}=${address}: the port is in use`)
    t.match(service.output(), `next: free the port, set ${variable}`)
  }
})

t.test(
  'a data folder has one process: a second is refused; six at once after a kill, one runs',
  async (t) => {
    const folder = await seededFolder(t)
    let holder = await startProcess(t, { ENTENTE_DATA_DIR: folder })
    const second = await spawnProcess(t, { ENTENTE_DATA_DIR: folder })
    t.equal(await second.ended(), 1)
    t.match(second.output(), `the data folder ${folder} is in use by another entente process`)
    t.match(second.output(), /next: stop that process/)
    t.equal(await readyStatus(holder), 200, 'the first goes on')
    const token = readFileSync(join(folder, 'admin.token'), 'utf8').trim()
    for (let round = 1; round <= 3; round += 1) {
      const { running, refused } = await sixStarters(t, folder, holder)
      t.same(
        refused.map(({ code }) => code),
        [1, 1, 1, 1, 1],
        `round ${round}`,
      )
      for (const { output } of refused) t.match(output, /is in use by another entente process/)
      const whoami = await fetch(`${running.adminOrigin}/v1/whoami`, {
        headers: { authorization: `Bearer ${token}` },
      })
      t.equal(whoami.status, 200, 'the survivor has the data')
      await whoami.text()
      holder = running
    }
  },
)

t.test(
  'a missing or wrong KEK stops the start, names what it affects, and creates nothing',
  async (t) => {
    const folder = await seededFolder(t)
    const first = await startProcess(t, { ENTENTE_DATA_DIR: folder })
    first.kill('SIGTERM')
    t.equal(await first.ended(), 0)
    const kek = join(folder, 'kek')
    const id = readFileSync(kek, 'utf8').split(' ')[1] ?? ''
    renameSync(kek, `${kek}.kept`)
    const before = await readdir(folder)

    const missing = await spawnProcess(t, { ENTENTE_DATA_DIR: folder })
    t.equal(await missing.ended(), 1)
    t.match(
      missing.output(),
      /there is no key-encryption key at .*sealed keys need .*secret audit-key/,
    )
    t.match(missing.output(), `next: put the KEK file with id ${id} back at ${kek}`)
    t.same(await readdir(folder), before, 'no new KEK')

    await createKekFile(kek)
    const text = readFileSync(kek, 'utf8')
    const wrong = await spawnProcess(t, { ENTENTE_DATA_DIR: folder })
    t.equal(await wrong.ended(), 1)
    t.match(wrong.output(), new RegExp(`secret audit-key needs KEK ${id}.*nothing was created`))
    t.match(wrong.output(), `next: start with the KEK file whose id is ${id}`)
    t.equal(readFileSync(kek, 'utf8'), text, 'the wrong one is left as it is')

    renameSync(`${kek}.kept`, kek)
    const right = await startProcess(t, { ENTENTE_DATA_DIR: folder })
    t.equal(await readyStatus(right), 200, 'with the right one it goes on')
  },
)

t.test('a bug that nobody caught is logged and ends the process with 1', async (t) => {
  const bugs = {
    rejection: "Promise.reject(new Error('a bug'))",
    exception: "throw new Error('a bug')",
  }
  const folder = await seededFolder(t)
  for (const [kind, bug] of Object.entries(bugs)) {
    const trigger = `process.on('SIGUSR2', () => { ${bug} })`
    const service = await startProcess(t, {
      ENTENTE_DATA_DIR: folder,
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(trigger)}`,
    })
    service.kill('SIGUSR2')
    t.equal(await service.ended(), 1, kind)
    t.match(service.output(), new RegExp(`"event":"process.un[a-z]+-${kind}".*"error":"a bug"`))
  }
})

t.test('kek create and admin-token write their files once, for their owner only', async (t) => {
  const folder = testFolder(t)
  const entente = (...argv: string[]) =>
    run(process.execPath, ['bin/entente', ...argv], {
      env: { ...childEnvironment(), ENTENTE_DATA_DIR: folder },
    }).then(
      ({ stdout }) => ({ code: 0, output: stdout }),
      (error: { code: number; stderr: string }) => ({ code: error.code, output: error.stderr }),
    )
  for (const noun of ['kek', 'admin-token']) {
    const file = join(folder, `${noun}.file`)
    const made = await entente(noun, 'create', '--out', file)
    t.equal(made.code, 0, made.output)
    t.match(made.output, `wrote ${file} (0600)`)
    const text = readFileSync(file, 'utf8')
    t.notMatch(made.output, text.trim().slice(-40), 'the secret is not printed')
    const again = await entente(noun, 'create', '--out', file)
    t.match(again, { code: 1, output: /there is already a file at/ })
    t.equal(readFileSync(file, 'utf8'), text)
  }
  t.match(await entente('admin-token', 'reset'), { code: 1, output: /no service was ever started/ })

  const service = await startProcess(t, { ENTENTE_DATA_DIR: folder })
  const busy = await entente('admin-token', 'reset')
  t.match(busy, { code: 1, output: /in use by another entente process/ }, 'stop the service first')
  service.kill('SIGTERM')
  await service.ended()
  const old = readFileSync(join(folder, 'admin.token'), 'utf8').trim()
  const reset = await entente('admin-token', 'reset')
  t.match(reset, { code: 0, output: /earlier ones that ended: 1/ })
  const fresh = readFileSync(join(folder, 'admin.token'), 'utf8').trim()
  t.notMatch(reset.output, fresh)
  const again = await startProcess(t, { ENTENTE_DATA_DIR: folder })
  const statusOf = async (token: string) => {
    const headers = { authorization: `Bearer ${token}` }
    return (await fetch(`${again.adminOrigin}/v1/whoami`, { headers })).status
  }
  t.equal(await statusOf(old), 401)
  t.equal(await statusOf(fresh), 200)
})
