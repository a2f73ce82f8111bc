import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import swagger from '@fastify/swagger'
import t from 'tap'
import { etagOf, matchIfSent, requireMatch } from '../../src/http/etag.ts'
import { type App, createApp } from '../../src/http/listener.ts'
import { createLogger } from '../../src/http/log.ts'
import { createMetrics } from '../../src/http/metrics.ts'
import { openApiOptions } from '../../src/http/openapi.ts'

const ROOT = join(import.meta.dirname, '../..')

interface Operation {
  readonly parameters?: readonly { readonly in: string; name: string; required: boolean }[]
  readonly responses: Readonly<Record<string, { readonly headers?: { readonly ETag?: object } }>>
}

type Paths = Readonly<Record<string, Readonly<Record<string, Operation>>>>

const API = JSON.parse(readFileSync(join(ROOT, 'openapi/openapi.json'), 'utf8')) as { paths: Paths }

/** What an operation says of versions, on one line. */
function saidOf(paths: Paths, method: string, path: string): string {
  const { parameters = [], responses } = paths[path]?.[method] ?? { responses: {} }
  const sent = parameters
    .filter(({ in: place, name }) => place === 'header' && name.startsWith('If-'))
    .map(({ name, required }) => name + (required ? '!' : ''))
  const told = Object.entries(responses)
    .filter(([status, { headers }]) => /^(412|428)$/.test(status) || headers?.ETag !== undefined)
    .map(([status, { headers }]) => (headers === undefined ? status : `${status} ETag`))
  return [...sent, ...told].join(', ')
}

t.test(
  'the API tells which changes need a version, which mind one, and who gives it',
  async (t) => {
    const rule = '/v1/meshes/{meshId}/rules/{rule}'
    const service = '/v1/meshes/{meshId}/services/{namespace}/{name}'
    const peer = '/v1/meshes/{meshId}/relationships/{name}'
    for (const [method, path, said] of [
      ['get', rule, '200 ETag'],
      ['patch', rule, 'If-Match!, 200 ETag, 412, 428'],
      ['delete', rule, 'If-Match!, 412, 428'],
      ['post', '/v1/meshes/{meshId}/rules', '201 ETag'],
      ['get', '/v1/meshes/{meshId}/rules', ''],
      ['patch', service, 'If-Match, 200 ETag, 412'],
      ['delete', service, 'If-Match, 412'],
      ['post', `${peer}/suspend`, 'If-Match, 200 ETag, 412, 428'],
      ['post', `${peer}/proposals`, 'If-Match!, 200 ETag, 201 ETag, 412, 428'],
      ['get', '/v1/meshes/{meshId}/resolve', 'If-None-Match, 200 ETag, 304 ETag'],
      ['get', '/v1/whoami', ''],
    ] as const) {
      t.equal(saidOf(API.paths, method, path), said, `${method} ${path}`)
    }
  },
)

t.test('what a route does with versions stands in its config, and nothing else does', async (t) => {
  const found: Record<string, number> = {}
  for (const file of globSync('src/**/*routes.ts', { cwd: ROOT })) {
    const text = readFileSync(join(ROOT, file), 'utf8')
    // The workload listener's routes are in no description.
    if (file.startsWith('src/svid/') || file.includes('workload')) continue
    for (const route of text.split(/^ *app\.(?=(?:get|post|put|patch|delete)\()/m).slice(1)) {
      const name = `${file}: ${route.split('\n').slice(0, 2).join(' ')}`
      const does = {
        required: /[^)] requireMatch\(/.test(route),
        'unless-dry-run': /if \(!dryRun\) requireMatch\(/.test(route),
        honoured: route.includes('matchIfSent('),
        etag: route.includes("header('etag'"),
      }
      const says = /ifMatch: '([a-z-]+)'/.exec(route)?.[1]
      for (const kind of ['required', 'unless-dry-run', 'honoured'] as const) {
        t.equal(says === kind, does[kind], `${name}: ${kind}`)
        if (does[kind]) found[kind] = (found[kind] ?? 0) + 1
      }
      t.equal(route.includes('etag: ['), does.etag, `${name}: etag`)
    }
  }
  t.ok((found['required'] ?? 0) > 5 && (found['honoured'] ?? 0) > 10, JSON.stringify(found))
})

async function withRoutes(mount: (app: App) => void): Promise<App> {
  const log = createLogger({ level: 'silent' })
  const app = createApp({ name: 'admin', log, metrics: createMetrics() })
  await app.register(swagger, openApiOptions())
  await app.register(async (v1: App) => mount(v1), { prefix: '/v1' })
  await app.ready()
  return app
}

t.test('the description is made of what routes say of themselves', async (t) => {
  const app = await withRoutes((v1) => {
    v1.patch('/a', { config: { ifMatch: 'required', etag: [200] } }, (request, reply) => {
      requireMatch(request, 3n)
      reply.header('etag', etagOf(3n))
      return {}
    })
    v1.get('/b', () => ({}))
  })
  const { paths } = app.swagger() as unknown as { paths: Paths }
  t.equal(saidOf(paths, 'patch', '/v1/a'), 'If-Match!, 200 ETag, 412, 428')
  t.equal(saidOf(paths, 'get', '/v1/b'), '')
  const ask = async (headers: Record<string, string>): Promise<number> =>
    (await app.inject({ method: 'PATCH', url: '/v1/a', headers })).statusCode
  t.same(
    [await ask({}), await ask({ 'if-match': '"v2"' }), await ask({ 'if-match': '"v3"' })],
    [428, 412, 200],
  )
})

t.test('a route that looks at If-Match and does not say so fails whoever calls it', async (t) => {
  const app = await withRoutes((v1) => {
    v1.patch('/required', (request) => requireMatch(request, 1n))
    v1.patch('/honoured', (request) => matchIfSent(request)(1n))
  })
  for (const url of ['/v1/required', '/v1/honoured']) {
    const answer = await app.inject({ method: 'PATCH', url, headers: { 'if-match': '"v1"' } })
    t.equal(answer.statusCode, 500, url)
  }
})
