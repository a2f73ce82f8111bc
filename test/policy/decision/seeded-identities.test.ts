import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Kysely, PGliteDialect, sql } from 'kysely'
import t from 'tap'
import { MIGRATIONS_FOLDER } from '../../../src/db/migrate.ts'
import { openPglite } from '../../../src/db/pglite.ts'

interface Migration {
  readonly up: (db: Kysely<unknown>) => Promise<void>
}

t.test('a mesh from before keeps presenting its identities, by a rule that can go', async (t) => {
  const pglite = await openPglite({})
  const db = new Kysely<unknown>({ dialect: new PGliteDialect({ pglite }) })
  t.teardown(() => db.destroy())
  const names = readdirSync(MIGRATIONS_FOLDER).toSorted()
  for (const name of names) {
    const { up } = (await import(join(MIGRATIONS_FOLDER, name))) as Migration
    if (name === '0020-rules.ts') {
      await sql`insert into mesh (mesh_id, display_name, dns_suffix, settings, created_at)
        values ('acme', 'acme', 'mesh.internal', '{}', now())`.execute(db)
    }
    await up(db)
    if (name === '0020-rules.ts') break
  }
  const { rows } = await sql<object>`select mesh_id, direction, effect, subject, audience,
    date_trunc('milliseconds', created_at) = created_at as whole from rule`.execute(db)
  t.match(rows, [
    {
      mesh_id: 'acme',
      direction: 'export',
      effect: 'allow',
      subject: { identity: '*' },
      audience: 'all',
      whole: true,
    },
  ])
})
