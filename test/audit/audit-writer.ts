// A process of its own for kill.test.ts: commits audit records and seals them, says each commit on stdout, and
// ends itself hard before or after its n-th commit.
import { writeSync } from 'node:fs'
import { type Dialect, PGliteDialect, PostgresDialect } from 'kysely'
import { loadAuditKey } from '../../src/audit/audit-key.ts'
import { recordAudit } from '../../src/audit/record.ts'
import { Sealer } from '../../src/audit/sealer.ts'
import { systemClock } from '../../src/clock.ts'
import { guardedKysely, inTransaction } from '../../src/db/connect.ts'
import { Keyring } from '../../src/db/keyring.ts'
import { openPglite } from '../../src/db/pglite.ts'
import { openPool } from '../../src/db/pool.ts'
import { quiet } from '../support/database.ts'

const [place = '', kek = '', when = '', nth = ''] = process.argv.slice(2)

async function dialectOf(): Promise<Dialect> {
  if (place.startsWith('postgres:')) {
    return new PostgresDialect({
      pool: openPool({ url: place, max: 4, statementTimeoutMs: 5000, log: quiet }),
    })
  }
  return new PGliteDialect({ pglite: await openPglite({ folder: place }) })
}

let commits = 0

/** The same dialect, in a process that dies at its n-th commit. */
function dying(dialect: Dialect): Dialect {
  return {
    createAdapter: () => dialect.createAdapter(),
    createIntrospector: (db) => dialect.createIntrospector(db),
    createQueryCompiler: () => dialect.createQueryCompiler(),
    createDriver: () => {
      const driver = dialect.createDriver()
      const commit = driver.commitTransaction.bind(driver)
      driver.commitTransaction = async (connection) => {
        commits += 1
        const dies = commits === Number(nth)
        if (dies && when === 'before') process.kill(process.pid, 'SIGKILL')
        await commit(connection)
        if (dies) process.kill(process.pid, 'SIGKILL')
      }
      return driver
    },
  }
}

const db = guardedKysely(dying(await dialectOf()))
const key = await loadAuditKey(db, await Keyring.load(kek))
const sealer = new Sealer({ db, key, owner: 'writer', clock: systemClock, log: quiet })
for (let i = 0; ; i += 1) {
  const object = `${process.pid}/${i}`
  await inTransaction(db, (trx) =>
    recordAudit(trx, { actor: 'writer', action: 'test', object, body: { i } }),
  )
  writeSync(1, `${object}\n`)
  if (i % 2 === 1) await sealer.seal()
}
