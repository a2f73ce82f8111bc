import t from 'tap'
import { evaluateAlerts } from '../../src/federation/alert/evaluate-alerts.ts'
import { NAMING } from './isolation/naming.ts'
import { populate } from './isolation/populate.ts'
import { isRead, ownPath, pathWith, tokenFor } from './isolation/requests.ts'
import { identifiersIn, rowsOf } from './isolation/rows.ts'
import { bodyOf, gapsFor, isCovered, subjectOf } from './isolation/subjects.ts'
import { ask, fill, operationsOf, parametersOf, type Seen, shapeOf } from './isolation/walk.ts'
import { startTestService } from '../support/service.ts'
import { untilTrue } from '../support/until.ts'

t.setTimeout(300_000)

/** Lists whose numbers are of the mesh alone. */
const NUMBERED_BY_MESH = new Set(['GET /v1/meshes/{meshId}/bundle/revisions'])

t.test('of two meshes with equal names everywhere', async (t) => {
  const running = await startTestService(t)
  const { db } = running.service.base.database
  const all = operationsOf(running.service.apps.admin)
  const operations = all.filter(isCovered)
  const acme = await populate(running, { meshId: 'acme', mark: 'acmark' })
  const token = await tokenFor(running, { role: 'mesh-admin', meshId: 'acme' })

  /** Everything that is in the audit log has its number. */
  const sealed = (): Promise<true> =>
    untilTrue(async () => (await running.admin('GET', '/audit/verify')).body.unsealed === '0')
  const evaluate = async (): Promise<boolean> => {
    const { now, replicaId: owner, log } = running.service.base
    return evaluateAlerts({ db, now, owner, log })
  }
  const readAll = async (): Promise<Map<string, Seen>> => {
    await sealed()
    await evaluate()
    const seen = new Map<string, Seen>()
    for (const operation of operations.filter(isRead)) {
      const path = ownPath(operation, acme)
      seen.set(operation.key, await ask(running, token, { method: 'GET', path }))
    }
    return seen
  }
  const tryOut = async (key: string, body: object): Promise<Seen> => {
    const operation = operations.find((one) => one.key === key)
    if (operation === undefined) throw new Error(`no route ${key}`)
    const path = `${ownPath(operation, acme)}?dryRun=true`
    return ask(running, token, { method: operation.method, path, body })
  }
  const before = await readAll()
  const globex = await populate(running, { meshId: 'globex', mark: 'gxmark' })
  const after = await readAll()
  const theirRows = await rowsOf(db, 'globex')
  const theirs = [...identifiersIn(theirRows), ...globex.secrets, globex.mark, 'globex']

  const isClean = ({ headers, text }: Seen): boolean =>
    !theirs.some((value) => text.includes(value) || headers.includes(value))

  t.test('every route has what it is walked with', async (t) => {
    t.ok(all.length > 100, `${all.length} routes`)
    t.same(gapsFor(all), [])
  })

  t.test('an administrator of one reads everything of it', async (t) => {
    for (const [key, { status, text }] of after) {
      const ofMesh = key.includes('{meshId}')
      if (ofMesh) t.equal(status, 200, `${key} ${text}`)
      else t.ok(status === 200 || status === 403, `${key} ${status}`)
    }
  })

  t.test('and sees the same whether the other is there or not', async (t) => {
    for (const [key, seen] of after) {
      t.ok(isClean(seen), `${key} ${seen.text}`)
      const first = before.get(key)
      t.equal(shapeOf(seen), first === undefined ? '' : shapeOf(first), key)
    }
  })

  t.test('page by page there is neither more nor less, and no cursor tells', async (t) => {
    const lists = operations.filter(({ key }) => after.get(key)?.text.startsWith('{"items":'))
    t.ok(lists.length > 15, `${lists.length} lists`)
    for (const { key, path } of lists) {
      const base = fill(path, (one) => subjectOf(one).own(acme))
      let [cursor, count] = ['', 0]
      do {
        const query = new URLSearchParams({ limit: '1', ...(cursor !== '' && { cursor }) })
        const seen = await ask(running, token, {
          method: 'GET',
          path: `${base}?${query.toString()}`,
        })
        const page = JSON.parse(seen.text) as { items: object[]; nextCursor: string | null }
        count += page.items.length
        if (key === 'GET /v1/audit') t.match(page.items, [{ n: null }], 'no gap tells of others')
        cursor = page.nextCursor ?? ''
        const text = Buffer.from(cursor, 'base64url').toString()
        t.ok(isClean(seen) && isClean({ ...seen, text }), `${key} ${text}`)
        if (!NUMBERED_BY_MESH.has(key)) t.notMatch(text, /"\d+"/, `${key} ${text} counts others`)
      } while (cursor !== '')
      const whole = JSON.parse(after.get(key)?.text ?? '') as { items: object[] }
      t.equal(count, whole.items.length, key)
    }
  })

  t.test('whatever of the other is named is as unknown as what nobody has', async (t) => {
    for (const operation of operations) {
      const { key, method, path } = operation
      for (const parameter of parametersOf(path)) {
        const { only, unknown } = subjectOf(parameter)
        if (only === undefined || only(globex) === only(acme)) continue
        const body = bodyOf(key, acme)
        const about = async (value: string): Promise<Seen> =>
          ask(running, token, {
            method,
            path: pathWith(operation, acme, { parameter, value }),
            body,
          })
        const [foreign, nobody] = [await about(only(globex)), await about(unknown)]
        const where = `${key} ${parameter.place}`
        t.ok(
          [403, 404, 409, 200].includes(nobody.status),
          `${where} ${nobody.status} ${nobody.text}`,
        )
        t.equal(shapeOf(foreign, only(globex)), shapeOf(nobody, unknown), where)
      }
    }
  })

  t.test('and so it is where a body names it', async (t) => {
    for (const [key, bodyNaming] of NAMING) {
      const [theirs, nobodys] = [`only-${globex.mark}`, 'only-none']
      const foreign = await tryOut(key, bodyNaming(theirs))
      const nobody = await tryOut(key, bodyNaming(nobodys))
      t.equal(shapeOf(foreign, theirs), shapeOf(nobody, nobodys), `${key} ${foreign.text}`)
      t.ok(isClean({ ...foreign, text: foreign.text.replaceAll(theirs, '') }), foreign.text)
    }
    const move = 'POST /v1/meshes/{meshId}/clusters/{cluster}/move'
    const [there, nowhere] = [
      await tryOut(move, { toMesh: 'globex' }),
      await tryOut(move, { toMesh: 'nobody' }),
    ]
    t.equal(shapeOf(there, 'globex'), shapeOf(nowhere, 'nobody'), there.text)
  })

  t.test('dry runs of every change tell nothing of the other', async (t) => {
    for (const operation of operations.filter((one) => !isRead(one))) {
      const { key, method } = operation
      const path = `${ownPath(operation, acme)}?dryRun=true`
      const seen = await ask(running, token, { method, path, body: bodyOf(key, acme) })
      t.ok(isClean(seen), `${key} ${seen.text}`)
      t.not(seen.status, 400, `${key} ${seen.text}`)
      t.ok(seen.status < 500, `${key} ${seen.status}`)
    }
  })

  t.test('and after every change the rows of the other are as they were', async (t) => {
    t.ok(theirRows.size > 20, [...theirRows.keys()].join(' '))
    const mutations = operations.filter((one) => !isRead(one) && one.method !== 'DELETE')
    const deletions = operations.filter(({ method }) => method === 'DELETE')
    for (const operation of [...mutations, ...deletions.toReversed()]) {
      const { key, method } = operation
      const path = ownPath(operation, acme)
      const seen = await ask(running, token, { method, path, body: bodyOf(key, acme) })
      t.ok(isClean(seen), `${key} ${seen.text}`)
    }
    t.equal((await running.admin('DELETE', '/meshes/acme?force=true')).status, 200)
    t.same(await rowsOf(db, 'globex'), theirRows)
  })
})
