import t from 'tap'
import { generateKeyPair } from '../../src/pki/key-pair.ts'
import { startTestService } from '../support/service.ts'
import { callWorkload, csrOf } from '../svid/issuing-service.ts'

/** More calls than the smallest limit has room for, however slow the machine is. */
const MANY = 40

t.test('the limits of a running service are those that were set, and are counted', async (t) => {
  const running = await startTestService(t, {
    ENTENTE_ADMIN_CALLS_PER_SECOND: '2',
    ENTENTE_MESH_REQUESTS_PER_SECOND: '1',
  })
  const { service } = running
  const { metrics } = service.base
  const countOf = async (limit: string): Promise<number> => {
    const { values } = await metrics.rateLimited.get()
    return values.find(({ labels }) => labels.limit === limit)?.value ?? 0
  }
  await running.admin('POST', '/meshes', { meshId: 'acme', trustDomain: 'acme.example' })
  const tokens: string[] = []
  for (let made = 0; made < 6; made += 1) {
    const { body } = await running.admin('POST', '/meshes/acme/join-tokens', { spiffeId: '/web' })
    tokens.push(String(body.token))
  }
  t.equal(await countOf('token'), 0)

  const port = Number(service.addresses.workload.split(':').at(-1))
  const statuses: number[] = []
  for (const token of tokens) {
    const body = { csr: csrOf(generateKeyPair()), token }
    const where = { port, trustDomain: 'acme.example', method: 'POST', path: '/svids/x509' }
    statuses.push((await callWorkload({ ...where, body })).status)
  }
  t.equal(statuses[0], 200)
  const refused = statuses.filter((status) => status === 429).length
  t.ok(refused > 0, statuses.join())
  t.equal(await countOf('mesh'), refused)

  let limited = 0
  for (let call = 0; call < MANY; call += 1) {
    if ((await running.admin('GET', '/whoami')).status === 429) limited += 1
  }
  t.ok(limited > 0)
  t.equal(await countOf('token'), limited)
})
