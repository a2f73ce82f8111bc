import t, { type Test } from 'tap'
import {
  ACTIONS,
  type Action,
  type Role,
  type ScopeKind,
  isAction,
} from '../../src/access/actions.ts'
import { SCOPES_OF_ROLE } from '../../src/access/may-grant.ts'
import { type TestService, startTestService } from '../support/service.ts'
import { READS, type Route, watchRoutes } from './admin-routes.ts'

/** Somebody with one grant, or none. */
interface Holder {
  readonly title: string
  readonly token: string
  readonly role: Role | undefined
  readonly scope: 'everything' | 'mesh' | 'clusters' | 'namespaces' | undefined
  readonly meshId: string | undefined
}

/** What each kind of grant opens, written down once more: nothing of src/access/principal.ts is used here. */
const OPENS: Readonly<Record<NonNullable<Holder['scope']>, readonly ScopeKind[]>> = {
  everything: ['everything', 'mesh', 'member', 'cluster', 'namespace', 'some-mesh', 'self'],
  mesh: ['mesh', 'member', 'cluster', 'namespace', 'some-mesh', 'self'],
  clusters: ['member', 'cluster', 'self'],
  namespaces: ['member', 'namespace', 'self'],
}

const GRANTS = [
  ['everything', {}],
  ['mesh', { meshId: 'acme' }],
  ['mesh', { meshId: 'globex' }],
  ['clusters', { meshId: 'acme', clusters: ['mine'] }],
  ['namespaces', { meshId: 'acme', namespaces: ['mine'] }],
] as const

async function holders(t: Test, running: TestService): Promise<Holder[]> {
  const found: Holder[] = []
  for (const [scope, where] of GRANTS) {
    const roles = Object.entries(SCOPES_OF_ROLE).filter(([, scopes]) => scopes.includes(scope))
    for (const [role] of roles) {
      const label = `h${found.length}`
      const { status, body } = await running.admin('POST', '/api-tokens', {
        label,
        role,
        ...where,
      })
      if (!t.equal(status, 201, JSON.stringify(body))) continue
      const meshId = 'meshId' in where ? where.meshId : undefined
      const title = `${role} on ${JSON.stringify(where)}`
      found.push({ title, token: body.token, role: role as Role, scope, meshId })
    }
  }
  const { body } = await running.admin('POST', '/api-tokens', { label: 'nobody' })
  await running.admin('DELETE', `/grants/${body.grants[0].id}`)
  const none = { role: undefined, scope: undefined, meshId: undefined }
  return [...found, { title: 'without a grant', token: body.token, ...none }]
}

/** Whether the access hook lets a request for mesh acme through, by the table. */
function isOpen(holder: Holder, route: Route, part: string): boolean {
  const row = ACTIONS[route.action as Action]
  if (row.scope === 'self') return true
  const roles: readonly string[] = row.roles
  const { role, scope, meshId } = holder
  if (role === undefined || scope === undefined || !roles.includes(role)) return false
  if (!OPENS[scope].includes(row.scope)) return false
  const isHere = row.scope === 'some-mesh' || meshId === undefined || meshId === 'acme'
  if (!isHere) return false
  if (scope === 'everything' || scope === 'mesh' || row.scope === 'member') return true
  const name = row.scope === 'cluster' ? ':cluster' : ':namespace'
  return route.url.includes(name) ? part === 'mine' : route.narrows
}

function urlOf({ method, url }: Route, part: string): string {
  const filled = url.replaceAll(/:([A-Za-z]+)/g, (_, name: string) => {
    if (name === 'meshId') return 'acme'
    if (name === 'cluster' || name === 'namespace') return part
    return name.endsWith('Id') ? '00000000-0000-4000-8000-000000000000' : 'x'
  })
  return READS.includes(method) ? filled : `${filled}?dryRun=true`
}

t.setTimeout(180_000)

t.test('every route × role × scope is as the table of actions says', async (t) => {
  const routesOf = watchRoutes()
  const running = await startTestService(t)
  const { admin } = running.service.apps
  const api = routesOf(admin).filter(
    ({ url, method }) => url.startsWith('/v1') && method !== 'HEAD',
  )
  for (const meshId of ['acme', 'globex']) {
    await running.admin('POST', '/meshes', { meshId, trustDomain: `${meshId}.example` })
  }
  const all = await holders(t, running)
  t.equal(all.length, 15)
  for (const holder of all) {
    await t.test(holder.title, async (t) => {
      const wrong: string[] = []
      let opened = 0
      for (const route of api) {
        if (!isAction(route.action)) {
          wrong.push(`${route.method} ${route.url} has no row`)
          continue
        }
        const parts = /:(cluster|namespace)/.test(route.url) ? ['mine', 'other'] : ['mine']
        for (const part of parts) {
          const isMutation = !READS.includes(route.method)
          const answer = await admin.inject({
            method: route.method as 'GET',
            url: urlOf(route, part),
            headers: {
              host: 'localhost',
              authorization: `Bearer ${holder.token}`,
              ...(isMutation ? { 'content-type': 'application/json' } : {}),
            },
            ...(isMutation && route.method !== 'DELETE' ? { payload: '{}' } : {}),
          })
          // What a handler refuses names what was asked for; the hook's own refusal names the row.
          const isRefused =
            answer.statusCode === 403 && answer.body.includes(`"${route.action} needs `)
          const isExpected = isOpen(holder, route, part)
          if (isExpected) opened += 1
          if (isRefused === isExpected || answer.statusCode === 401 || answer.statusCode >= 500) {
            wrong.push(`${route.method} ${route.url} ${part}: ${answer.statusCode} ${answer.body}`)
          }
        }
      }
      t.same(wrong, [])
      t.comment(`${opened} of ${api.length} routes are open`)
    })
  }
})

t.test('what an auditor or a developer may do is what their names say', async (t) => {
  const rows = Object.entries(ACTIONS)
  const of = (role: Role) =>
    rows.filter(([, rule]) => (rule.roles as readonly string[]).includes(role)).map(([row]) => row)
  const reads = /\.(list|read|verify|deliveries|explain|resolve|lint)$/
  for (const action of of('auditor')) t.match(action, reads)
  for (const action of of('developer').filter((one) => !reads.test(one))) {
    t.match(action, /^(service|rule|applied)\./)
  }
  for (const action of of('cluster-admin').filter((one) => !reads.test(one))) {
    t.match(
      action,
      /^(cluster|control-plane|gateway|network|entry|join-token|service\.sync|applied)/,
    )
  }
  for (const [action, { scope, roles }] of rows) {
    t.ok((roles as readonly string[]).includes('platform-admin'), action)
    if (scope === 'everything') t.notOk((roles as readonly string[]).includes('mesh-admin'), action)
  }
})
