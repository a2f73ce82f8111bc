import { generateKeyPairSync } from 'node:crypto'
import { type AuditKey } from '../../src/audit/audit-key.ts'
import { recordAudit } from '../../src/audit/record.ts'
import { Sealer, type SealerOptions } from '../../src/audit/sealer.ts'
import { systemClock } from '../../src/clock.ts'
import { type Database, inTransaction } from '../../src/db/connect.ts'
import { quiet } from './database.ts'

/** A fresh audit key. */
export function newAuditKey(): AuditKey {
  return generateKeyPairSync('ed25519')
}

/** A sealer that runs when told. */
export function testSealer(database: Database, options: Partial<SealerOptions> = {}): Sealer {
  return new Sealer({
    db: database.background,
    key: newAuditKey(),
    owner: 'here',
    clock: systemClock,
    log: quiet,
    ...options,
  })
}

/** Commits one record, the object of which is given. */
export async function commitRecord(
  { db }: Pick<Database, 'db'>,
  object: string,
  meshId = 'acme',
): Promise<void> {
  await inTransaction(db, (trx) =>
    recordAudit(trx, {
      meshId,
      actor: 'token:test:00000000',
      action: 'rule.create',
      object,
      body: { object, sequence: 2n ** 64n - 1n },
    }),
  )
}
