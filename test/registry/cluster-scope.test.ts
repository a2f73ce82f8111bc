import t from 'tap'
import { startTestService } from '../support/service.ts'

t.setTimeout(120_000)

t.test(
  'an administrator of a cluster has the entries tied to it, and learns of no others',
  async (t) => {
    const running = await startTestService(t)
    const { service } = running
    const admin: typeof running.admin = (...request) => running.admin(...request)
    await admin('POST', '/meshes', { meshId: 'acme', trustDomain: 'acme.example' })
    const mesh = '/meshes/acme'
    const [{ name: own }] = (await admin('GET', `${mesh}/clusters`)).body.items
    const foreign = await admin('POST', `${mesh}/entries`, { spiffeId: '/ns/pay/sa/api' })
    t.equal(foreign.status, 201)
    const { body: made } = await admin('POST', '/api-tokens', {
      label: 'ops',
      meshId: 'acme',
      clusters: [own],
    })
    const as = async (
      method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
      path: string,
      payload?: object,
    ) => {
      const answer = await service.apps.admin.inject({
        method,
        url: `/v1${mesh}${path}`,
        headers: { host: 'localhost', authorization: `Bearer ${made.token}` },
        ...(payload === undefined ? {} : { payload }),
      })
      return { status: answer.statusCode, body: answer.json() }
    }
    t.match(await as('POST', '/entries', { spiffeId: '/x' }), { status: 403 })
    const mine = await as('POST', '/entries', { spiffeId: '/reporter/a', cluster: own })
    t.equal(mine.status, 201, JSON.stringify(mine.body))
    t.same(
      (await as('GET', '/entries')).body.items.map(({ id }: { id: string }) => id),
      [mine.body.id],
    )
    const nobody = '00000000-0000-4000-8000-000000000000'
    for (const id of [foreign.body.id, nobody]) {
      for (const [method, payload] of [
        ['GET', undefined],
        ['PATCH', { x509TtlSeconds: 600 }],
        ['DELETE', undefined],
      ] as const) {
        t.match(await as(method, `/entries/${id}`, payload), {
          status: 404,
          body: { detail: `mesh acme has no entry "${id}"` },
        })
      }
    }
    const taken = async (path: string) => {
      const { status, body } = await as('POST', '/entries', { spiffeId: path, cluster: own })
      return [status, body.code, body.detail.replace(path, ''), body.next]
    }
    t.same(await taken('/ns/pay/sa/api'), await taken('/reporter/a'), 'nor whose a taken name is')
    t.equal((await taken('/ns/pay/sa/api'))[1], 'ALREADY_EXISTS')
    t.equal((await as('PATCH', `/entries/${mine.body.id}`, { cluster: null })).status, 403)
    const token = await as('POST', '/join-tokens', { spiffeId: '/reporter/a' })
    t.equal(token.status, 201, JSON.stringify(token.body))
    for (const spiffeId of ['/ns/pay/sa/api', '/nobody']) {
      const refused = await as('POST', '/join-tokens', { spiffeId })
      t.match(refused, {
        status: 403,
        body: {
          detail: `a join token for spiffe://acme.example${spiffeId}, unless its entry is tied to your cluster, reaches everything, and your grant is good for ${own} only`,
        },
      })
    }
    const others = await admin('POST', `${mesh}/join-tokens`, { spiffeId: '/ns/pay/sa/api' })
    t.equal((await as('GET', '/join-tokens')).body.items.length, 1)
    t.equal((await as('DELETE', `/join-tokens/${others.body.id}`)).status, 404)
    t.equal((await as('DELETE', `/join-tokens/${token.body.id}`)).status, 200)
    t.equal((await as('GET', '/clusters')).status, 200, 'it reads the topology')
    t.equal((await as('GET', '/services')).status, 403)
    t.equal((await admin('DELETE', `/grants/${made.grants[0].id}`)).status, 200)
    t.equal((await as('GET', '/entries')).status, 403, 'and nothing once the grant is gone')
  },
)
