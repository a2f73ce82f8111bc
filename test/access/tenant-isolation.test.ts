import t from 'tap'
import { type Db } from '../../src/db/schema.ts'
import { addEndpoint, populate, type Populated } from './isolation/populate.ts'
import { isRead, ownPath, tokenFor } from './isolation/requests.ts'
import { rowsOf } from './isolation/rows.ts'
import { bodyOf, isCovered } from './isolation/subjects.ts'
import { ask, type Operation, operationsOf, type Seen, shapeOf } from './isolation/walk.ts'
import { startTestService, type TestService } from '../support/service.ts'

t.setTimeout(300_000)

const NOBODY = '00000000-0000-4000-8000-000000000000'

/** Deletions come last. */
const order = ({ method }: Operation): number => (method === 'DELETE' ? 1 : 0)

/** Whether a request of the one tenant differs from that of the other. */
const namesTenant = (
  operation: Operation,
  { own, theirs }: { own: Populated; theirs: Populated },
): boolean =>
  ownPath(operation, own) !== ownPath(operation, theirs) ||
  JSON.stringify(bodyOf(operation.key, own)) !== JSON.stringify(bodyOf(operation.key, theirs))

/** An answer without what it was asked about. */
const naming = (seen: Seen, { namespace, ids }: Populated): string =>
  shapeOf(seen, namespace).replaceAll(ids['ruleId'] ?? '-', '<asked>')

/** An empty list. */
const isNothing = ({ status, text }: Seen): boolean =>
  status === 200 && text === '{"items":[],"nextCursor":null}'

/** Rows of the mesh that hold a text, each with its table. */
const rowsWith = async (db: Db, text: string): Promise<string[]> =>
  [...(await rowsOf(db, 'acme'))].flatMap(([table, rows]) =>
    rows.split('\n').flatMap((row) => (row.includes(text) ? [`${table} ${row}`] : [])),
  )

/** A namespace in a mesh, with services, rules and endpoints that its own developer made. */
const tenant = async (
  running: TestService,
  mesh: Populated,
  { namespace, mark }: { namespace: string; mark: string },
): Promise<{ tenant: Populated; token: string }> => {
  const token = await tokenFor(running, {
    role: 'developer',
    meshId: mesh.meshId,
    namespaces: [namespace],
  })
  const create = async (path: string, body: object) => {
    const seen = await ask(running, token, { method: 'POST', path: `/v1/meshes/acme${path}`, body })
    if (seen.status !== 201) throw new Error(`${path} ${seen.text}`)
    return JSON.parse(seen.text) as { id: string }
  }
  for (const name of ['cart', `only-${mark}`]) {
    await create('/services', {
      namespace,
      name,
      labels: { owner: mark },
      ports: [{ name: 'http', port: 80 }],
      identities: [`spiffe://${mesh.trustDomain}/ns/${namespace}/sa/${mark}`],
    })
  }
  const rule = {
    effect: 'allow',
    note: mark,
    audience: { kind: 'peers', relationships: ['partner'] },
  }
  const subject = { namespace, name: 'cart' }
  const { id: ruleId } = await create('/rules', { ...rule, direction: 'export', subject })
  await create('/rules', {
    ...rule,
    direction: 'import',
    subject: { namespace: 'shop', name: 'cart' },
    visibleTo: [namespace],
  })
  await addEndpoint(running, mesh, { namespace, mark })
  const admin = await running.admin('PUT', `/meshes/acme/quotas/${namespace}`, { services: 77 })
  if (admin.status !== 200) throw new Error(JSON.stringify(admin.body))
  return { tenant: { ...mesh, namespace, ids: { ...mesh.ids, ruleId } }, token }
}

t.test('of two namespaces in one mesh, each with a developer of its own', async (t) => {
  const running = await startTestService(t)
  const { db } = running.service.base.database
  const operations = operationsOf(running.service.apps.admin).filter(isCovered)
  const mesh = await populate(running, { meshId: 'acme', mark: 'acmark' })
  const { tenant: own, token } = await tenant(running, mesh, { namespace: 'pay', mark: 'pymark' })

  const readAll = async (): Promise<Map<string, Seen>> => {
    const seen = new Map<string, Seen>()
    for (const operation of operations.filter(isRead)) {
      const path = ownPath(operation, own)
      seen.set(operation.key, await ask(running, token, { method: 'GET', path }))
    }
    return seen
  }
  const before = await readAll()
  const other = { namespace: 'wvmark', mark: 'wvmark' }
  const { tenant: theirs } = await tenant(running, mesh, other)
  const nobody = { ...own, namespace: 'nobody', ids: { ...own.ids, ruleId: NOBODY } }
  const after = await readAll()
  const secret = ['wvmark', theirs.ids['ruleId'] ?? '']
  const isClean = ({ headers, text }: Seen): boolean =>
    !secret.some((value) => text.includes(value) || headers.includes(value))

  t.test('one reads what is of the namespace, and what all of the mesh may', async (t) => {
    for (const [key, { status, text }] of after) {
      t.ok([200, 403, 404].includes(status), `${key} ${status} ${text}`)
    }
    const readable = [...after].filter(([, { status }]) => status === 200).map(([key]) => key)
    for (const part of ['/services', '/services/{namespace}/{name}', '/rules', '/rules/{rule}']) {
      t.ok(readable.includes(`GET /v1/meshes/{meshId}${part}`), part)
    }
  })

  t.test('and sees the same whether the other is there or not', async (t) => {
    for (const [key, seen] of after) {
      t.ok(isClean(seen), `${key} ${seen.text}`)
      const first = before.get(key)
      t.equal(shapeOf(seen), first === undefined ? '' : shapeOf(first), key)
    }
  })

  t.test('what of the other is named is as unknown as what nobody has, and stays', async (t) => {
    const rows = await rowsOf(db, 'acme')
    for (const operation of operations) {
      const { key, method } = operation
      const about = async (tenant: Populated): Promise<Seen> =>
        ask(running, token, { method, path: ownPath(operation, tenant), body: bodyOf(key, tenant) })
      if (!namesTenant(operation, { own, theirs })) continue
      const [foreign, unknown] = [await about(theirs), await about(nobody)]
      t.equal(naming(foreign, theirs), naming(unknown, nobody), `${key} ${foreign.text}`)
      t.ok([403, 404].includes(foreign.status) || isNothing(foreign), `${key} ${foreign.text}`)
    }
    t.same(await rowsOf(db, 'acme'), rows)
  })

  t.test('after every change of the own the rows of the other are as they were', async (t) => {
    const rows = await rowsWith(db, 'wvmark')
    t.ok(rows.length > 5, `${rows.length} rows`)
    const changes = operations.filter((one) => !isRead(one))
    const inOrder = [...changes].toSorted((a, b) => order(a) - order(b))
    for (const operation of inOrder) {
      const { key, method } = operation
      const path = ownPath(operation, own)
      const seen = await ask(running, token, { method, path, body: bodyOf(key, own) })
      t.ok(isClean(seen), `${key} ${seen.text}`)
    }
    t.same(await rowsWith(db, 'wvmark'), rows)
  })
})
