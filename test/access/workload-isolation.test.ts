import t from 'tap'
import { generateKeyPair } from '../../src/pki/key-pair.ts'
import { watchRoutes } from './admin-routes.ts'
import { populate, type Populated } from './isolation/populate.ts'
import { identifiersIn, rowsOf } from './isolation/rows.ts'
import { startTestService, type TestService } from '../support/service.ts'
import {
  callWorkload,
  type CallOptions,
  csrOf,
  type WorkloadAnswer,
} from '../svid/issuing-service.ts'

t.setTimeout(300_000)

/** Calls the workload listener, as somebody or as nobody. */
type Call = (method: string, path: string, given?: CallOptions) => Promise<WorkloadAnswer>

const callerOf = ({ workloadUrl }: TestService, { trustDomain }: Populated): Call => {
  const listener = { port: Number(new URL(workloadUrl).port), trustDomain }
  return (method, path, given = {}) => callWorkload({ ...listener, method, path, ...given })
}

/** A workload of a mesh whose entry is tied to its cluster `east`: it may report and ask. */
const reporterOf = async (
  { admin }: Pick<TestService, 'admin'>,
  { meshId }: Populated,
  call: Call,
): Promise<NonNullable<CallOptions['as']>> => {
  const entry = { spiffeId: '/ns/shop/sa/reporter', cluster: 'east' }
  const made = await admin('POST', `/meshes/${meshId}/entries`, entry)
  if (made.status !== 201) throw new Error(JSON.stringify(made.body))
  const { spiffeId } = entry
  const joining = await admin('POST', `/meshes/${meshId}/join-tokens`, { spiffeId })
  const keys = generateKeyPair()
  const body = { csr: csrOf(keys), token: joining.body.token }
  const issued = await call('POST', '/svids/x509', { body })
  if (issued.status !== 200) throw new Error(issued.text)
  return { keys, chain: issued.body.certificateChain }
}

const endpoint = (network: string): object => ({
  namespace: 'shop',
  service: 'cart',
  workloadUid: 'pod-1',
  address: '10.0.0.5',
  port: 8080,
  network,
})

/** Every route of the listener with requests of all kinds: in order, and about what only the other mesh has. */
const requestsFor = (mine: Populated, theirs: Populated): Record<string, [string, object?][]> => ({
  'POST /v1/svids/x509': [['/svids/x509', { csr: csrOf(generateKeyPair()) }]],
  'POST /v1/svids/jwt': [['/svids/jwt', { audience: [`spiffe://${mine.trustDomain}/a`] }]],
  'GET /v1/bundles': [['/bundles']],
  'PUT /v1/reports/endpoints': [
    ['/reports/endpoints', { cluster: 'east', endpoints: [endpoint('east')] }],
    ['/reports/endpoints', { cluster: `only-${theirs.mark}`, endpoints: [] }],
  ],
  'PATCH /v1/reports/endpoints': [
    ['/reports/endpoints', { cluster: 'east', afterRevision: '1', upserts: [endpoint('east')] }],
    ['/reports/endpoints', { cluster: `only-${theirs.mark}`, afterRevision: '1' }],
  ],
  'POST /v1/reports/heartbeat': [
    ['/reports/heartbeat', { cluster: 'east', gateways: ['east'] }],
    ['/reports/heartbeat', { cluster: 'east', gateways: [`only-${theirs.mark}`] }],
  ],
  'GET /v1/resolve': [
    ['/resolve?service=shop/cart'],
    [`/resolve?service=shop/only-${theirs.mark}`],
    ['/resolve?service=shop/cart&of=partner'],
    [`/resolve?service=shop/cart&of=only-${theirs.mark}`],
  ],
})

/** An answer without the name that was asked for, moments and its own number. */
const shapeOf = ({ status, text }: WorkloadAnswer, asked: string): string =>
  `${status} ${text}`
    .replaceAll(asked, '')
    .replaceAll(/"instance":"[^"]+"/g, '')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '')

t.test('a workload of one mesh sees and changes nothing of another', async (t) => {
  const routesOf = watchRoutes()
  const running = await startTestService(t)
  const mine = await populate(running, { meshId: 'acme', mark: 'acmark' })
  const theirs = await populate(running, { meshId: 'globex', mark: 'gxmark' })
  const call = callerOf(running, mine)
  const as = await reporterOf(running, mine, call)
  const { db } = running.service.base.database
  const rows = await rowsOf(db, 'globex')
  const secrets = [...identifiersIn(rows), ...theirs.secrets]
  const requests = requestsFor(mine, theirs)

  const registered = routesOf(running.service.apps.workload)
    .filter(({ method, url }) => method !== 'HEAD' && url.startsWith('/v1'))
    .map(({ method, url }) => `${method} ${url}`)
  t.same(registered.toSorted(), Object.keys(requests).toSorted(), 'every route is asked')

  const name = `only-${theirs.mark}`
  const isClean = ({ headers, text }: WorkloadAnswer): boolean => {
    const told = `${JSON.stringify(headers)} ${text}`
    const unasked = told.replaceAll(name, '')
    return ![...secrets, theirs.mark, 'globex'].some((value) => unasked.includes(value))
  }
  for (const [key, ways] of Object.entries(requests)) {
    const [method = ''] = key.split(' ')
    for (const [path, body] of ways) {
      const answer = await call(method, path, { as, ...(body && { body }) })
      t.ok(isClean(answer), `${key} ${path} ${answer.text}`)
      const text = JSON.stringify({ path, body })
      if (!text.includes(name)) {
        t.ok(answer.status === 200 || path.includes('of='), `${key} ${answer.text}`)
        continue
      }
      const other = JSON.parse(text.replaceAll(name, 'only-none')) as {
        path: string
        body?: object
      }
      const none = await call(method, other.path, { as, ...(other.body && { body: other.body }) })
      t.equal(shapeOf(answer, name), shapeOf(none, 'only-none'), `${key} ${path}`)
    }
  }
  t.same(await rowsOf(db, 'globex'), rows)
})
