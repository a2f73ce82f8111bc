import { request } from 'undici'
import t from 'tap'
import { ACTIONS, type Action, isAction } from '../../src/access/actions.ts'
import { fill, READS, type Route, watchRoutes } from './admin-routes.ts'
import { startTestService } from '../support/service.ts'

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
        const isOfMesh = ['mesh', 'member', 'cluster', 'namespace'].includes(ACTIONS[action].scope)
        t.ok(!isOfMesh || url.includes('/:meshId'), `${method} ${url}`)
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

  t.test('is closed to a token for another mesh, whether or not this one exists', async (t) => {
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
      const name = `${route.method} ${route.url}`
      const { status } = await send(route, headers, bodyOf(route))
      const { scope } = ACTIONS[route.action as Action]
      // What names no mesh leaves out what is not one's own: test/access/grants.test.ts.
      if (scope === 'self' || scope === 'some-mesh') t.not(status, 403, name)
      else t.equal(status, 403, name)
    }
  })
})

function bodyOf({ method }: Route): string | null {
  return READS.includes(method) || method === 'DELETE' ? null : '{}'
}
