import { AsyncResource } from 'node:async_hooks'
import { type KyselyPlugin } from 'kysely'
import t from 'tap'
import { inTransaction } from '../../../src/db/connect.ts'
import { createLogger } from '../../../src/http/log.ts'
import { resolve } from '../../../src/policy/resolve/resolve.ts'
import { Snapshots } from '../../../src/policy/snapshot/snapshots.ts'
import { acmeInTwoNetworks } from './resolve-app.ts'

/** Statements that read the topology; endpoints come after. */
const TOPOLOGY = 6

t.test('the ways to a service are of one moment, whatever moves while they are read', async (t) => {
  const { placed, clock, database } = await acmeInTwoNetworks(t)
  const { db } = database
  const { meshId } = placed
  const log = createLogger({ level: 'error' }, { write: () => undefined })
  const snapshots = new Snapshots({ db, log })
  const subject = { namespace: 'shop', name: 'cart' }
  const now = clock.now()
  const question = { subject, consumer: { network: 'vpc-a' }, at: now, now }
  const ask = async (read: typeof db) => {
    const { found } = await resolve({ db: read, snapshots }, meshId, question)
    const targets = found?.route.groups.flatMap((group) => group.targets) ?? []
    return targets.map(({ address, viaGateway }) => `${address} ${viaGateway ?? 'itself'}`)
  }
  // Everything of vpc-a moves to vpc-b, whose gateway gets another address, in one transaction.
  const move = AsyncResource.bind(() =>
    inTransaction(db, async (trx) => {
      await trx.updateTable('gateway').set({ address: '203.0.113.9' }).execute()
      await trx
        .updateTable('cluster_network')
        .set({ network: 'vpc-b' })
        .where('cluster', '=', 'east')
        .execute()
      await trx
        .updateTable('endpoint')
        .set({ network: 'vpc-b', address: '10.0.0.7' })
        .where('cluster', '=', 'east')
        .execute()
    }),
  )
  const before = await ask(db)
  let moving: Promise<void> | undefined
  let statements = 0
  const disturbing: KyselyPlugin = {
    transformQuery: ({ node }) => node,
    transformResult: async ({ result }) => {
      statements += 1
      if (statements === TOPOLOGY) moving = move()
      return result
    },
  }
  const meanwhile = await ask(db.withPlugin(disturbing))
  t.ok(moving)
  await moving
  const after = await ask(db)
  t.not(before.join(), after.join())
  t.ok(
    [before, after].some((moment) => moment.join() === meanwhile.join()),
    `${meanwhile.join()} is what was or what is: ${before.join()} or ${after.join()}`,
  )
})
