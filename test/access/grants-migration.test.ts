import { type Kysely, sql } from 'kysely'
import t from 'tap'
import { up as meshes } from '../../migrations/0001-meshes.ts'
import { up as access } from '../../migrations/0006-access-and-audit.ts'
import { up as tenancy } from '../../migrations/0021-tenancy.ts'
import { testDatabase } from '../support/database.ts'

t.test(
  'tokens of before keep what they could do: whoever had a mesh is its mesh-admin',
  async (t) => {
    const { db } = await testDatabase(t)
    const rows = await (db as unknown as Kysely<unknown>).transaction().execute(async (trx) => {
      await sql`create schema before`.execute(trx)
      await sql`set local search_path to before`.execute(trx)
      await meshes(trx)
      await access(trx)
      await sql`insert into mesh (mesh_id, display_name, dns_suffix, settings, created_at)
      values ('acme', 'acme', 'mesh.internal', '{}', now())`.execute(trx)
      await sql`insert into grants (principal, role, scope_kind, scope, created_at) values
      ('a', 'platform-admin', 'everything', '', now()),
      ('b', 'platform-admin', 'mesh', 'acme', now()),
      ('c', 'platform-admin', 'mesh', 'gone', now())`.execute(trx)
      await tenancy(trx)
      const found = await sql<{ principal: string; role: string; mesh_id: string | null }>`
      select principal, role, scope_kind, mesh_id, names from grants order by principal`.execute(
        trx,
      )
      return found.rows
    })
    t.same(rows, [
      {
        principal: 'a',
        role: 'platform-admin',
        scope_kind: 'everything',
        mesh_id: null,
        names: null,
      },
      { principal: 'b', role: 'mesh-admin', scope_kind: 'mesh', mesh_id: 'acme', names: null },
    ])
  },
)

t.test('the database itself refuses a grant that no code would make', async (t) => {
  const { db } = await testDatabase(t)
  const grant = { role: 'developer', principal: 'a', created_at: new Date() }
  for (const row of [
    { scope_kind: 'everything', mesh_id: 'acme', names: null },
    { scope_kind: 'mesh', mesh_id: null, names: null },
    { scope_kind: 'mesh', mesh_id: 'nowhere', names: null },
    { scope_kind: 'namespaces', mesh_id: null, names: '["a"]' },
    { scope_kind: 'namespaces', mesh_id: 'acme', names: null },
  ] as const) {
    const id = '00000000-0000-4000-8000-000000000000'
    await t.rejects(
      db
        .insertInto('grants')
        .values({ id, ...grant, ...row })
        .execute(),
      JSON.stringify(row),
    )
  }
})
