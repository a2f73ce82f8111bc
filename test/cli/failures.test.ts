import path from 'node:path'
import t from 'tap'
import { isUnsafe } from '../../src/cli/sanitize.ts'
import {
  dataFolder,
  ran,
  type Reply,
  type SmallServer,
  smallServer,
} from '../support/small-server.ts'

const envOf = ({ address, folder }: SmallServer): Record<string, string> => ({
  ENTENTE_ADDR: address,
  ENTENTE_TOKEN_FILE: path.join(folder, 'admin.token'),
  ENTENTE_MESH: 'acme',
})

const list = ['service', 'list']

const evil = 'x\u001b[2J\u009b\r\u202e\u2028y'
const problem = {
  status: 400,
  title: 'Bad Request',
  code: 'INVALID_REQUEST',
  detail: `the body has ${evil}`,
  next: `entente mesh list ${evil}`,
  errors: [{ in: 'body', pointer: `/name${evil}`, detail: `must be a string ${evil}` }],
}

t.test('a command that was done ends with exit code 0 and prints to stdout only', async (t) => {
  const server = await smallServer(t, () => ({ json: { items: [], nextCursor: null } }))
  const { code, out, err } = await ran(list, envOf(server))
  t.equal(code, 0)
  t.match(out, /^no services/)
  t.equal(err, '')
})

t.test(
  'a refusal ends with exit code 1 and shows detail, fields and next commands on stderr',
  async (t) => {
    const server = await smallServer(t, () => ({ status: 400, json: problem }))
    const { code, out, err } = await ran(list, envOf(server))
    t.equal(code, 1)
    t.equal(out, '')
    t.match(
      err,
      /^error: the body has x.*y \(400 INVALID_REQUEST\)\n {2}body \/namex.*y: must be a string x.*y\n\nnext:\n {2}entente mesh list x.*y\n$/,
    )
    t.notOk(isUnsafe(err.replaceAll('\n', '')), 'without the control characters of the service')
  },
)

t.test('with --output json a refusal is one line of JSON', async (t) => {
  const server = await smallServer(t, () => ({ status: 400, json: problem }))
  const { code, out, err } = await ran([...list, '--output', 'json'], envOf(server))
  t.equal(code, 1)
  t.equal(out, '')
  t.match(JSON.parse(err), {
    error: problem.detail,
    status: 400,
    code: 'INVALID_REQUEST',
    fields: [{ pointer: problem.errors[0]?.pointer }],
    next: [problem.next],
    exitCode: 1,
  })
  t.notOk(isUnsafe(err.trimEnd()))
})

t.test('a service that does not answer ends with exit code 3', async (t) => {
  const env = {
    ENTENTE_ADDR: 'http://127.0.0.1:1',
    ENTENTE_TOKEN_FILE: path.join(dataFolder(t), 'admin.token'),
  }
  const { code, err } = await ran([...list, '--mesh', 'acme'], env)
  t.equal(code, 3)
  t.match(err, /^error: no answer from http:\/\/127\.0\.0\.1:1: .*ECONNREFUSED/)
  t.match(err, /next:\n {2}is it running\?/)
})

t.test('several meshes without --mesh end with exit code 2', async (t) => {
  const answers: Reply = {
    json: { items: [{ meshId: 'acme' }, { meshId: 'globex' }], nextCursor: null },
  }
  const server = await smallServer(t, () => answers)
  const { code, err } = await ran(list, { ...envOf(server), ENTENTE_MESH: '' })
  t.equal(code, 2)
  t.match(err, /several meshes \(acme, globex\)/)
  t.match(err, /--mesh MESH/)
})

t.test('global options may stand before and after the command', async (t) => {
  const server = await smallServer(t, () => ({ json: { items: [], nextCursor: null } }))
  for (const argv of [
    ['--mesh', 'globex', ...list],
    [...list, '--mesh', 'globex'],
    ['service', '--mesh', 'globex', 'list'],
  ]) {
    t.equal((await ran(argv, envOf(server))).code, 0)
  }
  for (const { url } of server.seen) t.match(url, '/v1/meshes/globex/services')
})

t.test('every output mode prints the same list', async (t) => {
  const one = {
    namespace: 'shop',
    name: 'cart',
    ports: [{ name: 'http', port: 80 }],
    identities: [],
  }
  const server = await smallServer(t, () => ({ json: { items: [one], nextCursor: null } }))
  t.match(
    (await ran(list, envOf(server))).out,
    /SERVICE +PORTS +IDENTITIES\nshop\/cart +http:80 +-\n/,
  )
  t.same(JSON.parse((await ran([...list, '--output', 'json'], envOf(server))).out), {
    items: [one],
  })
  // What can be applied from files is printed as documents in YAML; other lists are printed as they are.
  const records = ['audit', 'list', '--output', 'yaml']
  t.match((await ran(records, envOf(server))).out, /items:\n {2}- namespace: shop/)
})

t.test('an answer of another shape is called a bug, with exit code 1', async (t) => {
  const server = await smallServer(t, () => ({ json: { items: 7 } }))
  const { code, err } = await ran(list, envOf(server))
  t.equal(code, 1)
  t.match(err, /this is a bug/)
})
