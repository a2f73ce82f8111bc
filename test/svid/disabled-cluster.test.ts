import t from 'tap'
import { clusterFounder } from '../../src/authority/cluster-authority.ts'
import { addSeconds } from '../../src/clock.ts'
import { findEndpointIssuer } from '../../src/authority/endpoint-issuer.ts'
import { inTransaction } from '../../src/db/connect.ts'
import { createCluster } from '../../src/mesh/topology/clusters.ts'
import { generateKeyPair } from '../../src/pki/key-pair.ts'
import { createEntry } from '../../src/registry/change-entries.ts'
import { entriesPausedWith } from '../../src/registry/cluster-entries.ts'
import { csrOf, issuingService } from './issuing-service.ts'

t.test('for a disabled cluster nothing is signed until it is active again', async (t) => {
  const service = await issuingService(t)
  const { database, keyring, meshId, trustDomain } = service
  const { db } = database
  const context = { actor: 'tester', now: service.clock.now() }
  const hooks = {
    founders: [clusterFounder(keyring)],
    dependants: [],
    enders: [],
    movers: [],
    pauses: [],
  }
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

t.test(
  'our own listeners do without the intermediate of a disabled cluster while they can',
  async (t) => {
    const { database, keyring, meshId, trustDomain, clock } = await issuingService(t)
    const { db } = database
    const context = { actor: 'tester', now: new Date(clock.now().getTime() + 60_000) }
    const hooks = {
      founders: [clusterFounder(keyring)],
      dependants: [],
      enders: [],
      movers: [],
      pauses: [],
    }
    await inTransaction(db, async (trx) => {
      const draft = { name: 'east', role: 'primary' } as const
      await createCluster(trx, meshId, { draft, deps: { context, hooks } })
    })
    const signing = async (): Promise<string | undefined> =>
      (await findEndpointIssuer(db, meshId, { trustDomain, now: context.now })).intermediate.cluster
    const become = (name: string, state: 'active' | 'disabled') =>
      db.updateTable('cluster').set({ state }).where('name', '=', name).execute()
    t.equal(await signing(), 'east', 'whichever lasts longest')
    await become('east', 'disabled')
    t.equal(await signing(), 'default')
    await become('default', 'disabled')
    t.equal(await signing(), 'east', 'a listener without an SVID would serve nobody')
  },
)

t.test(
  '4 a cluster ends alone: disabled, or its intermediate revoked, the other goes on',
  async (t) => {
    const service = await issuingService(t)
    const { database, keyring, meshId } = service
    const { db } = database
    const context = { actor: 'tester', now: service.clock.now() }
    const hooks = {
      founders: [clusterFounder(keyring)],
      dependants: [],
      enders: [],
      movers: [],
      pauses: [],
    }
    await inTransaction(db, async (trx) => {
      for (const cluster of ['east', 'west']) {
        const draft = { name: cluster, role: 'primary' } as const
        await createCluster(trx, meshId, { draft, deps: { context, hooks } })
        const entry = { spiffeId: `/${cluster}`, cluster }
        await createEntry(trx, meshId, { draft: entry, context })
      }
    })
    await service.reload()
    const east = await service.join('/east')
    const west = await service.join('/west')
    const renew = async ({ keys, chain }: typeof east): Promise<number> => {
      const as = { keys, chain }
      return (await service.call('POST', '/svids/x509', { body: { csr: csrOf(keys) }, as })).status
    }
    const jwt = async ({ keys, chain }: typeof east): Promise<number> => {
      const as = { keys, chain }
      return (await service.call('POST', '/svids/jwt', { body: { audience: ['shop'] }, as })).status
    }
    const disable = async (cluster: string, state: 'active' | 'disabled'): Promise<void> => {
      await db.updateTable('cluster').set({ state }).where('name', '=', cluster).execute()
      await service.reload()
    }

    await disable('east', 'disabled')
    t.same([await renew(east), await jwt(east)], [503, 503], 'the disabled one is signed nothing')
    t.same([await renew(west), await jwt(west)], [200, 200], 'the other goes on')
    await disable('east', 'active')
    t.equal(await renew(east), 200)

    const { numUpdatedRows } = await db
      .updateTable('authority')
      .set({ state: 'revoked' })
      .where('kind', '=', 'x509_intermediate')
      .where('cluster', '=', 'east')
      .executeTakeFirst()
    t.equal(numUpdatedRows, 1n)
    await service.reload()
    t.not(await renew(east), 200, 'what the revoked intermediate signed counts no more')
    t.match(
      await service.call('POST', '/svids/x509', {
        body: { csr: csrOf(generateKeyPair()), token: await service.token('/east') },
      }),
      { status: 503, body: { code: 'ISSUER_UNAVAILABLE' } },
    )
    t.same([await renew(west), await jwt(west)], [200, 200], 'the other goes on')
    t.match((await service.join('/west')).chain, 'BEGIN CERTIFICATE', 'also for who comes new')
  },
)

t.test('whoever disables a cluster is told how many entries get no SVID any more', async (t) => {
  const service = await issuingService(t)
  const { database, keyring, meshId, clock } = service
  const { db } = database
  const context = { actor: 'tester', now: clock.now() }
  const hooks = {
    founders: [clusterFounder(keyring)],
    dependants: [],
    enders: [],
    movers: [],
    pauses: [],
  }
  await inTransaction(db, async (trx) => {
    const draft = { name: 'east', role: 'primary' } as const
    await createCluster(trx, meshId, { draft, deps: { context, hooks } })
    const expiresAt = addSeconds(context.now, 60)
    for (const entry of [
      { spiffeId: '/web', cluster: 'east' },
      { spiffeId: '/new', cluster: 'east' },
      { spiffeId: '/ends', cluster: 'east', expiresAt },
      { spiffeId: '/elsewhere' },
    ]) {
      await createEntry(trx, meshId, { draft: entry, context })
    }
  })
  await service.reload()
  const ask = async () => entriesPausedWith(db, meshId, { cluster: 'east', now: clock.now() })
  for (const path of ['/web', '/web', '/elsewhere']) await service.join(path)
  t.match(await ask(), [
    { kind: 'entries', name: '3 entries', effect: /renewed until .* active; 1 of 3 hold one now/ },
  ])
  await clock.advance(61_000)
  t.match(await ask(), [{ name: '2 entries', effect: /1 of 2 hold one now/ }])
  await clock.advance(2 * 3600_000)
  t.match(await ask(), [{ name: '2 entries', effect: /0 of 2 hold one now/ }])
  t.same(await entriesPausedWith(db, meshId, { cluster: 'default', now: clock.now() }), [])
})
