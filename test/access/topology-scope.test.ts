import t from 'tap'
import { startTestService } from '../support/service.ts'

t.setTimeout(120_000)

t.test(
  'the topology is read by whoever has a part of the mesh, and changed in it alone',
  async (t) => {
    const running = await startTestService(t)
    const { service } = running
    const admin: typeof running.admin = (...request) => running.admin(...request)
    const create = async (path: string, body: object) => {
      const answer = await admin('POST', path, body)
      t.equal(answer.status, 201, JSON.stringify(answer.body))
      return answer.body
    }
    await create('/meshes', { meshId: 'acme', trustDomain: 'acme.example' })
    await create('/meshes', { meshId: 'globex', trustDomain: 'globex.example' })
    for (const name of ['mine', 'other']) {
      const at = '/meshes/acme'
      await create(`${at}/networks`, { name })
      await create(`${at}/clusters`, { name, role: 'primary', networks: [name] })
      const address = `${name}.acme.example`
      await create(`${at}/gateways`, { name, network: name, address, port: 15443, cluster: name })
    }
    const tokens = new Map<string, string>()
    for (const [title, grant] of [
      ['cluster', { role: 'cluster-admin', meshId: 'acme', clusters: ['mine'] }],
      ['namespace', { role: 'developer', meshId: 'acme', namespaces: ['mine'] }],
      ['auditor', { role: 'auditor', meshId: 'acme', clusters: ['mine'] }],
      ['stranger', { role: 'mesh-admin', meshId: 'globex' }],
    ] as const) {
      tokens.set(title, (await create('/api-tokens', { label: title, ...grant })).token)
    }
    const as = async (who: string, method: 'GET' | 'PATCH', path: string) => {
      const answer = await service.apps.admin.inject({
        method,
        url: `/v1/meshes/acme/${path}`,
        headers: { host: 'localhost', authorization: `Bearer ${tokens.get(who)}`, 'if-match': '*' },
        ...(method === 'PATCH' ? { payload: { state: 'draining' } } : {}),
      })
      return { status: answer.statusCode, body: answer.json() }
    }

    for (const kind of ['clusters', 'control-planes', 'networks', 'gateways']) {
      const { body: whole } = await admin('GET', `/meshes/acme/${kind}`)
      const names = whole.items.map(({ name }: { name: string }) => name)
      t.ok(names.includes('mine') && names.includes('other'), `${kind} ${names}`)
      for (const who of ['cluster', 'namespace', 'auditor']) {
        t.same((await as(who, 'GET', kind)).body, whole, `${who} ${kind}`)
        t.equal((await as(who, 'GET', `${kind}/other`)).status, 200, `${who} ${kind}`)
      }
      t.equal((await as('stranger', 'GET', kind)).status, 403, kind)
    }
    for (const kind of ['clusters', 'control-planes', 'gateways']) {
      t.equal((await as('cluster', 'PATCH', `${kind}/other`)).status, 403, kind)
      t.equal((await as('cluster', 'PATCH', `${kind}/mine`)).status, 200, kind)
      for (const who of ['namespace', 'auditor', 'stranger']) {
        t.equal((await as(who, 'PATCH', `${kind}/mine`)).status, 403, `${who} ${kind}`)
      }
    }
  },
)
