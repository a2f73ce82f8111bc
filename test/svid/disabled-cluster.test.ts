import t from 'tap'
import { clusterFounder } from '../../src/authority/cluster-authority.ts'
import { inTransaction } from '../../src/db/connect.ts'
import { createCluster } from '../../src/mesh/topology/clusters.ts'
import { generateKeyPair } from '../../src/pki/key-pair.ts'
import { createEntry } from '../../src/registry/change-entries.ts'
import { csrOf, issuingService } from './issuing-service.ts'

t.test('for a disabled cluster nothing is signed until it is active again', async (t) => {
  const service = await issuingService(t)
  const { database, keyring, meshId, trustDomain } = service
  const { db } = database
  const context = { actor: 'tester', now: service.clock.now() }
  const hooks = { founders: [clusterFounder(keyring)], dependants: [], enders: [], movers: [] }
  await inTransaction(db, async (trx) => {
    const draft = { name: 'east', role: 'primary' } as const
    await createCluster(trx, meshId, { draft, deps: { context, hooks } })
    const entry = { spiffeId: '/web', cluster: 'east' }
    await createEntry(trx, meshId, { draft: entry, context })
  })
  const become = async (name: string, state: 'active' | 'draining' | 'disabled') => {
    await db.updateTable('cluster').set({ state }).where('name', '=', name).execute()
    await service.reload()
  }
  await service.reload()
  const { keys, chain } = await service.join('/web')
  const as = { keys, chain }
  const renew = () => service.call('POST', '/svids/x509', { body: { csr: csrOf(keys) }, as })
  const jwt = () => service.call('POST', '/svids/jwt', { body: { audience: ['shop'] }, as })
  const unused = await service.token('/web')
  const byToken = () =>
    service.call('POST', '/svids/x509', {
      body: { csr: csrOf(generateKeyPair()), token: unused },
    })

  await become('east', 'draining')
  for (const ask of [renew, jwt]) t.equal((await ask()).status, 200, 'a draining one goes on')
  await become('east', 'disabled')
  for (const ask of [renew, jwt, byToken]) {
    t.match(await ask(), {
      status: 503,
      body: {
        code: 'ISSUER_UNAVAILABLE',
        detail: 'cluster "east" is disabled, and nothing is signed for it',
        next: 'entente cluster activate east',
      },
    })
  }
  t.ok((await service.join('/tied-to-none')).chain, 'others go on')
  await become('east', 'active')
  for (const ask of [renew, jwt, byToken]) t.equal((await ask()).status, 200)

  const first = await service.deps.signers.x509(meshId, trustDomain)
  await become('default', 'disabled')
  const other = await service.deps.signers.x509(meshId, trustDomain)
  t.not(other.authorityId, first.authorityId, 'nor does its intermediate sign for anybody else')
})
