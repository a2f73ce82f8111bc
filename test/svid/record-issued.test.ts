import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { inTransaction } from '../../src/db/connect.ts'
import { newId } from '../../src/db/ids.ts'
import { lockTrustDomain } from '../../src/mesh/find-mesh.ts'
import { type IssuedSvid } from '../../src/svid/issued.ts'
import { IssuedWriter, recordIssued } from '../../src/svid/record-issued.ts'
import { type IssuingService, issuingService } from './issuing-service.ts'

/** A record as issuing would make it, under the signer of now. */
const recordFor = async (service: IssuingService): Promise<IssuedSvid> => {
  const { deps, meshId, trustDomain, join, database } = service
  const { answer } = await join()
  const { authorityId } = await deps.signers.x509(meshId, trustDomain)
  const entry = await database.db.selectFrom('entry').selectAll().executeTakeFirstOrThrow()
  const now = service.clock.now()
  return {
    meshId,
    trustDomain,
    kind: 'x509',
    serial: newId(),
    spiffeId: entry.spiffe_id,
    entryId: entry.id,
    publicKeySha256: Buffer.alloc(32, 1),
    authorityId,
    notAfter: new Date(answer.expiresAt),
    firstAttestedAt: now,
    bundleSequence: 1n,
    refreshAt: now,
    issuedAt: now,
  }
}

t.test(
  'X5-20 FE-30 no SVID is recorded under an authority that retires at the same moment',
  async (t) => {
    const service = await issuingService(t)
    const { database, meshId, trustDomain } = service
    const { db } = database
    const record = await recordFor(service)
    const locked = Promise.withResolvers<void>()
    const release = Promise.withResolvers<void>()
    const retiring = inTransaction(db, async (trx) => {
      await lockTrustDomain(trx, meshId, trustDomain)
      locked.resolve()
      await release.promise
      await trx
        .updateTable('authority')
        .set({ state: 'retired' })
        .where('id', '=', record.authorityId)
        .execute()
    })
    await locked.promise
    let isSettled = false
    const recording = new IssuedWriter(db).add(record).finally(() => (isSettled = true))
    await delay(100)
    t.notOk(isSettled, 'it waits for the decision')
    release.resolve()
    await retiring
    t.equal(await recording, false)
  },
)

t.test(
  'who retires an authority first waits for the SVIDs that are being recorded under it',
  async (t) => {
    const service = await issuingService(t)
    const { database, meshId, trustDomain } = service
    const { db } = database
    const record = await recordFor(service)
    const recorded = Promise.withResolvers<void>()
    const release = Promise.withResolvers<void>()
    const recording = inTransaction(db, async (trx) => {
      t.same(await recordIssued(trx, [record]), [true])
      recorded.resolve()
      await release.promise
    })
    await recorded.promise
    const retiring = inTransaction(db, async (trx) => {
      await lockTrustDomain(trx, meshId, trustDomain)
      const found = await trx
        .selectFrom('svid_issued')
        .select('serial')
        .where('serial', '=', record.serial)
        .execute()
      return found.length
    })
    await delay(100)
    release.resolve()
    await recording
    t.equal(await retiring, 1, 'it sees the last use')
  },
)

t.test(
  'an entry that is gone records nothing, and the others of the batch are recorded',
  async (t) => {
    const service = await issuingService(t)
    const { db } = service.database
    const record = await recordFor(service)
    const orphan = { ...record, serial: newId(), entryId: newId() }
    const writer = new IssuedWriter(db)
    t.same(await Promise.all([writer.add(orphan), writer.add(record)]), [false, true])
  },
)

t.test(
  'a record that cannot be stored fails its batch and is not counted in the audit log',
  async (t) => {
    const service = await issuingService(t)
    const { db } = service.database
    const record = await recordFor(service)
    const writer = new IssuedWriter(db)
    t.equal(await writer.add(record), true)
    const count = async () =>
      (
        await db
          .selectFrom('audit_record')
          .select('id')
          .where('action', '=', 'svid.issue')
          .execute()
      ).length
    const before = await count()
    await t.rejects(writer.add(record), 'the same serial twice')
    t.equal(await count(), before)
    t.equal(await writer.add({ ...record, serial: newId() }), true, 'and the next batch goes on')
  },
)
