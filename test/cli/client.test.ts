import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import path from 'node:path'
import t, { type Test } from 'tap'
import { type Environment } from '../../src/cli/address.ts'
import { Cli, type CliParts, type GlobalOptions } from '../../src/cli/cli.ts'
import { path as pathOf, send } from '../../src/cli/client.ts'
import { table } from '../../src/cli/output.ts'
import { isUnsafe } from '../../src/cli/sanitize.ts'
import { dataFolder, smallServer, type SmallServer } from '../support/small-server.ts'

interface Written {
  readonly cli: Cli
  readonly out: string[]
  readonly err: string[]
}

const cliFor = (
  env: Environment,
  globals: Partial<GlobalOptions> = {},
  clock?: CliParts['clock'],
): Written => {
  const out: string[] = []
  const err: string[] = []
  const cli = new Cli({
    env,
    streams: {
      stdin: process.stdin,
      stdout: { write: (text) => out.push(text) },
      stderr: { write: (text) => err.push(text) },
    },
    globals: () => ({ output: 'table', ...globals }),
    ...(clock === undefined ? {} : { clock }),
  })
  return { cli, out, err }
}

/** The failure that a call ended with, or what it gave instead. */
const failureOf = async (call: Promise<unknown>): Promise<unknown> =>
  call.catch((thrown: unknown) => thrown)

const envOf = ({ address, folder }: SmallServer): Record<string, string> => ({
  ENTENTE_ADDR: address,
  ENTENTE_TOKEN_FILE: path.join(folder, 'admin.token'),
})

t.test('a call over HTTP carries the bearer token, JSON and encoded path and query', async (t) => {
  const server = await smallServer(t, () => ({ status: 201, json: { id: 'x' } }))
  const { cli, err } = cliFor(envOf(server))
  const target = pathOf`/meshes/${'a/b'}/rules/${'ü?'}`
  t.same(await cli.post(target, { a: 1 }, { query: { dryRun: true, none: undefined } }), {
    id: 'x',
  })
  const [seen] = server.seen
  t.equal(seen?.url, '/v1/meshes/a%2Fb/rules/%C3%BC%3F?dryRun=true')
  t.equal(seen?.headers.authorization, 'Bearer secret-token')
  t.equal(seen?.headers['content-type'], 'application/json')
  t.equal(seen?.body, '{"a":1}')
  t.same(err, ['dry run: nothing was changed; new ids and URLs are examples\n'])
})

t.test(
  'the socket and token of a service on this machine are found through the data folder',
  async (t) => {
    const server = await smallServer(t, () => ({ json: { ok: true } }), { unix: true })
    t.same(await cliFor({}, { dataDir: server.folder }).cli.get('/whoami'), { ok: true })
    t.same(await cliFor({ ENTENTE_DATA_DIR: server.folder }).cli.get('/whoami'), { ok: true })
    t.same(await cliFor(envOf(server)).cli.get('/whoami'), { ok: true }, 'unix:PATH')
    const elsewhere = { ENTENTE_ADDR: 'http://127.0.0.1:1', ENTENTE_TOKEN_FILE: '/nowhere' }
    t.same(
      await cliFor(elsewhere, { dataDir: server.folder }).cli.get('/v1/whoami'),
      { ok: true },
      'the option wins',
    )
    t.equal(server.seen.length, 4)
    for (const { url, headers } of server.seen) {
      t.equal(url, '/v1/whoami')
      t.equal(headers.authorization, 'Bearer secret-token')
      t.equal(headers.host, 'localhost')
    }
  },
)

t.test('a problem answer becomes its detail, its fields and its next commands', async (t) => {
  const problem = {
    type: 'urn:entente:problem:invalid-request',
    title: 'Bad Request',
    status: 400,
    code: 'INVALID_REQUEST',
    detail: 'the request has 1 fault',
    next: 'entente mesh list',
    errors: [{ in: 'body', pointer: '/name', detail: 'must be a string' }],
  }
  const server = await smallServer(t, () => ({ status: 400, json: problem }))
  t.match(await failureOf(cliFor(envOf(server)).cli.get('/x')), {
    message: 'the request has 1 fault',
    exitCode: 1,
    status: 400,
    code: 'INVALID_REQUEST',
    next: ['entente mesh list'],
    fields: [{ in: 'body', pointer: '/name', detail: 'must be a string' }],
  })
})

t.test('a refused token names the variable and the file that help', async (t) => {
  const server = await smallServer(t, () => ({ status: 401, json: { detail: 'no such token' } }))
  t.match(await failureOf(cliFor(envOf(server)).cli.get('/x')), { next: [/ENTENTE_TOKEN_FILE/] })
})

t.test('an error page of something in between is quoted, cut short', async (t) => {
  const text = `<html>\u001b[2J${'x'.repeat(5000)}`
  const server = await smallServer(t, () => ({
    status: 502,
    text,
    headers: { 'content-type': 'text/html' },
  }))
  t.match(await failureOf(cliFor(envOf(server)).cli.get('/x')), {
    exitCode: 1,
    message: /answered 502.{1,400}$/,
  })
})

t.test('an answer of 200 that is not JSON is a failure, and an empty one is nothing', async (t) => {
  const server = await smallServer(t, ({ url }) => ({ text: url.endsWith('x') ? '<html>' : '' }))
  t.match(await failureOf(cliFor(envOf(server)).cli.get('/x')), {
    exitCode: 1,
    message: /not JSON/,
  })
  t.equal(await cliFor(envOf(server)).cli.get('/y'), undefined)
})

t.test('redirects are not followed, so that the token goes nowhere else', async (t) => {
  const server = await smallServer(t, () => ({
    status: 302,
    headers: { location: 'http://127.0.0.1:1/' },
  }))
  t.match(await failureOf(cliFor(envOf(server)).cli.get('/x')), { exitCode: 1, status: 302 })
  t.equal(server.seen.length, 1)
})

t.test('a service that is not there ends with exit code 3 and what to do', async (t) => {
  const token = { ENTENTE_TOKEN_FILE: path.join(dataFolder(t), 'admin.token') }
  const refused = cliFor({ ...token, ENTENTE_ADDR: 'http://127.0.0.1:1' }).cli.get('/x')
  t.match(await failureOf(refused), { exitCode: 3, message: /ECONNREFUSED/, next: [/npm start/] })
  const noName = cliFor({ ...token, ENTENTE_ADDR: 'http://nobody.invalid:80' }).cli
  t.match(await failureOf(noName.get('/x')), { exitCode: 3, next: [/ENTENTE_ADDR|unencrypted|./] })
  t.match(await failureOf(cliFor({ ENTENTE_DATA_DIR: '/nowhere' }).cli.get('/x')), {
    exitCode: 3,
    message: /no socket/,
    next: [/--data-dir DIR or ENTENTE_ADDR/],
  })
})

t.test('a socket file without a service behind it ends with exit code 3', async (t) => {
  const folder = dataFolder(t)
  writeFileSync(path.join(folder, 'admin.sock'), '')
  t.match(await failureOf(cliFor({}, { dataDir: folder }).cli.get('/x')), { exitCode: 3 })
})

t.test('a service that never answers, or stops in the middle, ends with exit code 3', async (t) => {
  const silent = await smallServer(t, () => undefined)
  const waiting = cliFor(envOf(silent)).cli.get('/x', { timeoutSeconds: 0.2 })
  t.match(await failureOf(waiting), { exitCode: 3, message: /no whole answer within 0.2 s/ })
  const cutting = createServer((socket) => {
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"a"'))
  })
  await new Promise<void>((resolve) => cutting.listen(0, '127.0.0.1', resolve))
  t.teardown(() => cutting.close())
  const address = cutting.address()
  const port = typeof address === 'object' ? address?.port : 0
  const url = new URL(`http://127.0.0.1:${port}/`)
  t.match(await failureOf(send({ method: 'GET', url })), { exitCode: 3 })
})

t.test('a path of a socket that is too long is reached from nearby', async (t) => {
  const deep = path.join(dataFolder(t), 'd'.repeat(100))
  mkdirSync(deep)
  t.teardown(() => rmSync(deep, { recursive: true, force: true }))
  const before = process.cwd()
  process.chdir(deep)
  t.teardown(() => process.chdir(before))
  writeFileSync('admin.token', 'secret-token')
  const { createServer: createHttp } = await import('node:http')
  const server = createHttp((_, response) => response.end('{}'))
  await new Promise<void>((resolve) => server.listen('admin.sock', resolve))
  t.teardown(() => server.close())
  t.same(await cliFor({}, { dataDir: deep }).cli.get('/x'), {})
})

t.test(
  'an address or token that cannot be right ends with exit code 2 before anything is sent',
  async (t) => {
    const server = await smallServer(t, () => ({ json: {} }))
    for (const address of [
      '127.0.0.1:8080',
      'ftp://x',
      'http://u@h/',
      'http://h/?a=b',
      'nonsense',
    ]) {
      t.match(
        await failureOf(cliFor({ ENTENTE_ADDR: address }).cli.get('/x')),
        { exitCode: 2 },
        address,
      )
    }
    const bad = path.join(server.folder, 'bad.token')
    writeFileSync(bad, 'two words\nand lines')
    for (const file of [bad, path.join(server.folder, 'absent')]) {
      t.match(
        await failureOf(cliFor({ ...envOf(server), ENTENTE_TOKEN_FILE: file }).cli.get('/x')),
        {
          exitCode: 2,
        },
      )
    }
    t.match(
      await failureOf(cliFor({ ...envOf(server), ENTENTE_CA_FILE: '/nowhere' }).cli.get('/x')),
      {
        exitCode: 2,
      },
    )
    t.equal(server.seen.length, 0)
  },
)

t.test('plain HTTP beyond this machine is warned about, loopback is not', async (t) => {
  const token = { ENTENTE_TOKEN_FILE: path.join(dataFolder(t), 'admin.token') }
  const far = cliFor({ ...token, ENTENTE_ADDR: 'http://192.0.2.1:1' })
  t.match(await failureOf(far.cli.get('/x', { timeoutSeconds: 0.1 })), { exitCode: 3 })
  t.match(far.err.join(''), /travels unencrypted/)
  for (const host of ['localhost', '127.0.0.1', '[::1]', 'acme.localhost']) {
    const near = cliFor({ ...token, ENTENTE_ADDR: `http://${host}:1` })
    t.match(await failureOf(near.cli.get('/x', { timeoutSeconds: 1 })), { exitCode: 3 })
    t.same(near.err, [], host)
  }
})

t.test('a change is made on the version that was current, and no other', async (t) => {
  const server = await smallServer(t, () => ({ json: {}, headers: { etag: '"v7"' } }))
  const { cli } = cliFor(envOf(server))
  await cli.patch('/meshes/acme', { displayName: 'x' })
  await cli.delete('/meshes/acme', { query: { force: true } })
  await cli.patch('/meshes/acme', {}, { ifMatch: '"v3"' })
  const changes = server.seen.filter(({ method }) => method !== 'GET')
  t.same(
    changes.map(({ method, headers }) => [method, headers['if-match']]),
    [
      ['PATCH', '"v7"'],
      ['DELETE', '"v7"'],
      ['PATCH', '"v3"'],
    ],
  )
  t.equal(changes[1]?.url, '/v1/meshes/acme?force=true')
})

t.test(
  'a thing that cannot be read is still asked to be deleted, so that the service says why not',
  async (t) => {
    const server = await smallServer(t, ({ method }) =>
      method === 'GET'
        ? { status: 404, json: { detail: 'not here' } }
        : { json: { deleted: true } },
    )
    t.same(await cliFor(envOf(server)).cli.delete('/join-tokens/1'), { deleted: true })
  },
)

t.test('a list is read page after page', async (t) => {
  const server = await smallServer(t, ({ url }) =>
    url.includes('cursor=c1')
      ? { json: { items: [3], nextCursor: null } }
      : { json: { items: [1, 2], nextCursor: 'c1' } },
  )
  t.same(await cliFor(envOf(server)).cli.list('/meshes'), [1, 2, 3])
  t.equal(server.seen.length, 2)
})

t.test('the only mesh is taken without being named', async (t) => {
  const server = await smallServer(t, () => ({
    json: { items: [{ meshId: 'acme' }], nextCursor: null },
  }))
  t.equal(await cliFor(envOf(server)).cli.meshId(), 'acme')
  t.equal(await cliFor({ ...envOf(server), ENTENTE_MESH: 'globex' }).cli.meshId(), 'globex')
  t.equal(
    await cliFor({ ...envOf(server), ENTENTE_MESH: 'x' }, { mesh: 'initech' }).cli.meshId(),
    'initech',
  )
  t.equal(server.seen.length, 1, 'a named mesh asks nothing')
})

t.test('no mesh and several meshes are failures that say what to do', async (t) => {
  const none = await smallServer(t, () => ({ json: { items: [], nextCursor: null } }))
  t.match(await failureOf(cliFor(envOf(none)).cli.meshId()), {
    exitCode: 1,
    next: [/mesh create acme/],
  })
  const items = [{ meshId: 'acme' }, { meshId: 'globex' }]
  const two = await smallServer(t, () => ({ json: { items, nextCursor: null } }))
  t.match(await failureOf(cliFor(envOf(two)).cli.meshId()), {
    exitCode: 2,
    message: /acme, globex/,
    next: [/--mesh/],
  })
})

t.test('what a hostile service sends is printed without control characters', async (t) => {
  const evil = 'a\u001b]0;owned\u0007\r\u202eb'
  const server = await smallServer(t, () => ({ json: { name: evil, next: [evil] } }))
  for (const output of ['table', 'json', 'yaml'] as const) {
    const { cli, out } = cliFor(envOf(server), { output })
    const value = await cli.get<{ name: string }>('/x')
    cli.print(value)
    cli.print(table([value], [{ title: 'NAME', value: ({ name }) => name }]))
    cli.printText(value.name)
    cli.say(value.name)
    t.notOk(isUnsafe(out.join('').replaceAll('\n', '')))
  }
})

/** A server that puts callers off so often, and a CLI whose sleep only notes how long. */
async function putOff(t: Test, times: number, headers: Record<string, string>) {
  const limited = { code: 'RATE_LIMITED', detail: 'too many calls with this token' }
  let left = times
  const server = await smallServer(t, () => {
    left -= 1
    return left < 0 ? { json: { id: 'x' } } : { status: 429, json: limited, headers }
  })
  const slept: number[] = []
  const sleep = async (ms: number): Promise<void> => void slept.push(ms)
  return { server, slept, ...cliFor(envOf(server), {}, { sleep }) }
}

t.test('a call that the service puts off is made again when the service says', async (t) => {
  const { cli, server, slept, err } = await putOff(t, 2, { 'retry-after': '3' })
  t.same(await cli.post('/meshes', { a: 1 }), { id: 'x' })
  t.same(slept, [3000, 3000])
  t.equal(server.seen.length, 3)
  t.ok(server.seen.every(({ body, method }) => method === 'POST' && body === '{"a":1}'))
  t.equal(err[0], 'warning: too many calls with this token; trying again in 3 s\n')
})

t.test('a call waits a minute in all and no longer', async (t) => {
  const { cli, server, slept } = await putOff(t, 100, { 'retry-after': '25' })
  t.match(await failureOf(cli.get('/meshes')), { status: 429, message: /too many calls/ })
  t.same(slept, [25_000, 25_000])
  t.equal(server.seen.length, 3)
})

t.test('who is told no time, or one that is too long, does not wait', async (t) => {
  for (const headers of [{}, { 'retry-after': '61' }, { 'retry-after': 'Fri, 31 Dec 1999' }]) {
    const { cli, slept, server } = await putOff(t, 1, headers)
    t.match(await failureOf(cli.get('/meshes')), { status: 429 })
    t.same(slept, [])
    t.equal(server.seen.length, 1)
  }
})

t.test('a time of nothing is a second, so that no call goes round without a pause', async (t) => {
  const { cli, slept, server } = await putOff(t, 1000, { 'retry-after': '0' })
  t.match(await failureOf(cli.get('/meshes')), { status: 429 })
  t.equal(slept.length, 60)
  t.equal(server.seen.length, 61)
})
