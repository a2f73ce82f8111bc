import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { PGliteDialect } from 'kysely'
import t, { type Test } from 'tap'
import { loadAuditKey } from '../../src/audit/audit-key.ts'
import { findSealedRecords } from '../../src/audit/store.ts'
import { verifyLog } from '../../src/audit/verify.ts'
import { type Database, guardedKysely, openDatabase } from '../../src/db/connect.ts'
import { createKekFile } from '../../src/db/kek-file.ts'
import { Keyring } from '../../src/db/keyring.ts'
import { migrate } from '../../src/db/migrate.ts'
import { openPglite } from '../../src/db/pglite.ts'
import { testSealer } from '../support/audit.ts'
import { POSTGRES_URL, quiet, testPostgresUrl } from '../support/database.ts'
import { testFolder } from '../support/test-folder.ts'

/** Commits in turn: record, record, batch of the sealer, record, record, batch, … */
const KILLS = [
  { when: 'before', nth: 3 },
  { when: 'after', nth: 3 },
  { when: 'before', nth: 5 },
  { when: 'after', nth: 6 },
] as const

interface Place {
  readonly argument: string
  open(): Promise<Database>
}

async function placeFor(t: Test, folder: string): Promise<Place> {
  if (POSTGRES_URL !== undefined) {
    const url = await testPostgresUrl(t, POSTGRES_URL)
    const options = { engine: 'postgres', url, maxConnections: 4, log: quiet } as const
    return { argument: url, open: () => openDatabase(options) }
  }
  const db = guardedKysely(new PGliteDialect({ pglite: await openPglite({ folder }) }))
  await migrate(db)
  await db.destroy()
  return {
    argument: folder,
    open: () => openDatabase({ engine: 'pglite', folder, log: quiet }),
  }
}

async function writeUntilKilled(...argv: readonly string[]): Promise<string[]> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'audit-writer.ts'), ...argv], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [said, [, signal]] = await Promise.all([text(child.stdout), once(child, 'exit')])
  if (signal !== 'SIGKILL') throw new Error(`the writer ended by ${String(signal)}`)
  return said.split('\n').filter((line) => line !== '')
}

t.test('a process killed around its commits leaves a log without loss, gap or break', async (t) => {
  const folder = testFolder(t)
  const place = await placeFor(t, folder)
  const kek = join(folder, 'kek')
  await createKekFile(kek)
  const acknowledged: string[] = []
  for (const { when, nth } of KILLS) {
    acknowledged.push(...(await writeUntilKilled(place.argument, kek, when, String(nth))))
  }
  const database = await place.open()
  t.teardown(() => database.close())
  const key = await loadAuditKey(database.db, await Keyring.load(kek))
  await testSealer(database, { key, owner: 'writer' }).seal()
  const records = await findSealedRecords(database.db, { after: 0n, upto: 1000n, limit: 1000 })
  const objects = new Set(records.map((record) => record.object))
  t.same(
    acknowledged.filter((object) => !objects.has(object)),
    [],
    'every change that was answered is in the log',
  )
  t.ok(records.length - acknowledged.length <= KILLS.length, 'and at most one more for each kill')
  t.match(await verifyLog(database.db, { publicKey: key.publicKey }), {
    verified: BigInt(records.length),
    open: 0n,
    broken: undefined,
  })
})
