import { subscribe } from 'node:diagnostics_channel'
import { request } from 'undici'
import type { RouteOptions } from 'fastify'
import t from 'tap'
import { ACTIONS, isAction } from '../../src/access/actions.ts'
import type { App } from '../../src/http/listener.ts'
import { startTestService } from '../support/service.ts'

interface Route {
  readonly method: string
  readonly url: string
  readonly action: unknown
  readonly secretAnswer: boolean
  /** Names of the members of its answers. */
  readonly answers: readonly string[]
}

const READS = ['GET', 'HEAD', 'OPTIONS']

/** Every route that any listener of this process registers from now on. */
function watchRoutes(): (app: App) => Route[] {
  const routes = new Map<unknown, Route[]>()
  subscribe('fastify.initialization', (message) => {
    const { fastify } = message as { fastify: App }
    const found: Route[] = []
    routes.set(fastify, found)
    fastify.addHook('onRoute', (route: RouteOptions) => {
      for (const method of [route.method].flat()) {
        const { action, secretAnswer = false } = route.config ?? {}
        found.push({ method, url: route.url, action, secretAnswer, answers: membersOf(route) })
      }
    })
  })
  return (app) => routes.get(app) ?? []
}

function membersOf({ schema }: RouteOptions): string[] {
  const answers = (schema?.response ?? {}) as Record<string, { properties?: object }>
  return Object.values(answers).flatMap(({ properties = {} }) => Object.keys(properties))
}

/** The route's URL with something in the place of each parameter. */
function fill(url: string, meshId: string): string {
  const uuid = '00000000-0000-4000-8000-000000000000'
  return url.replace('*', 'x').replaceAll(/:([A-Za-z]+)/g, (_, name: string) => {
    if (name === 'meshId') return meshId
    return name.endsWith('Id') ? uuid : 'x'
  })
}

t.setTimeout(120_000)

t.test('every route of the admin listener', async (t) => {
  const routesOf = watchRoutes()
  const { service, ...running } = await startTestService(t)
  const routes = routesOf(service.apps.admin)
  const api = routes.filter((route) => route.url.startsWith('/v1'))
  const mutations = api.filter((route) => !READS.includes(route.method))
  const origin = `http://${service.addresses.admin}`
  t.ok(api.length > 20, `${api.length} routes were seen`)

  const send = async (
    route: Route,
    headers: Record<string, string>,
    body: string | null = null,
  ): Promise<{ status: number; code: unknown }> => {
    const url = `${origin}${fill(route.url, 'acme')}`
    const method = route.method as 'GET' | 'HEAD'
    const answer = await request(url, { method, headers, body })
    const text = await answer.body.text()
    const problem: unknown = text === '' || method === 'HEAD' ? {} : JSON.parse(text)
    return { status: answer.statusCode, code: (problem as { code?: unknown }).code }
  }
  const made = await running.admin('POST', '/api-tokens', { label: 'walker' })
  const authorization = `Bearer ${made.body.token}`

  t.test('has a row in the table of actions, and is used by no other kind of scope', async (t) => {
    for (const { method, url, action } of api) {
      if (t.ok(isAction(action), `${method} ${url}`) && isAction(action)) {
        t.ok(ACTIONS[action].scope !== 'mesh' || url.includes('/:meshId'), `${method} ${url}`)
      }
    }
  })

  t.test('and every row of the table has a route', async (t) => {
    const used = new Set(api.map((route) => route.action))
    t.same(
      Object.keys(ACTIONS).filter((action) => !used.has(action)),
      [],
    )
  })

  t.test('of answers that show a secret once nothing is kept for a repeated request', async (t) => {
    const showing = api.filter(({ method }) => method === 'POST')
    t.ok(showing.some(({ secretAnswer }) => secretAnswer))
    for (const { url, answers, secretAnswer } of showing) {
      const shows = answers.some((name) => /^(token|secret|invite|password|privateKey)$/.test(name))
      t.equal(secretAnswer, shows, url)
    }
  })

  t.test('outside /v1 only reads the documentation', async (t) => {
    const others = routes.filter((route) => !route.url.startsWith('/v1'))
    for (const { method, url } of others) {
      t.ok(READS.includes(method) && /^\/docs(\/|$)/.test(url), `${method} ${url}`)
    }
  })

  t.test('answers nothing without a token', async (t) => {
    for (const route of api) {
      const { status } = await send(route, { 'content-type': 'application/json' }, bodyOf(route))
      t.equal(status, 401, `${route.method} ${route.url}`)
    }
  })

  t.test('refuses a foreign Origin and a foreign Host, with a good token', async (t) => {
    for (const route of api) {
      const name = `${route.method} ${route.url}`
      const json = { authorization, 'content-type': 'application/json' }
      const foreign = await send(route, { ...json, origin: 'https://evil.example' }, bodyOf(route))
      t.equal(foreign.status, 403, name)
      if (route.method !== 'HEAD') t.equal(foreign.code, 'ORIGIN_REFUSED', name)
      const rebound = await send(route, { ...json, host: 'evil.example' }, bodyOf(route))
      t.equal(rebound.status, 421, name)
    }
  })

  t.test('takes a mutation as application/json only', async (t) => {
    for (const route of mutations) {
      for (const type of ['text/plain', 'application/x-www-form-urlencoded']) {
        const answer = await send(route, { authorization, 'content-type': type }, '{}')
        t.match(
          answer,
          { status: 415, code: 'MEDIA_TYPE_UNSUPPORTED' },
          `${route.method} ${route.url}`,
        )
      }
    }
  })

  t.test('is closed to a token for another mesh', async (t) => {
    for (const [meshId, trustDomain] of [
      ['acme', 'acme.example'],
      ['globex', 'globex.example'],
    ] as const) {
      const created = await running.admin('POST', '/meshes', { meshId, trustDomain })
      if (!t.equal(created.status, 201, JSON.stringify(created.body))) return
    }
    const other = await running.admin('POST', '/api-tokens', { label: 'globex', meshId: 'globex' })
    const headers = {
      authorization: `Bearer ${other.body.token}`,
      'content-type': 'application/json',
    }
    for (const route of api) {
      const { status } = await send(route, headers, bodyOf(route))
      const wanted = route.action === 'whoami.read' ? 200 : 403
      t.equal(status, wanted, `${route.method} ${route.url}`)
    }
  })
})

function bodyOf({ method }: Route): string | null {
  return READS.includes(method) || method === 'DELETE' ? null : '{}'
}
