import t from 'tap'
import { nextSequence, publishBundle } from '../../src/bundle/publish.ts'
import { publishAuthorities } from '../../src/authority/publish-authorities.ts'
import { inTransaction } from '../../src/db/connect.ts'
import { publicJwk, generateKeyPair, keyId } from '../../src/pki/key-pair.ts'
import { parseBundle } from '../../src/spiffe/bundle.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'
import { testDatabase } from '../support/database.ts'
import { makeMesh, sha256, testKeyring } from '../support/meshes.ts'

const NOW = new Date('2027-01-15T08:00:00Z')
const SECONDS = BigInt(NOW.getTime() / 1000)

t.test('BU-03 a sequence is the Unix time, and always larger than the one before', (t) => {
  t.equal(nextSequence(undefined, NOW), SECONDS)
  t.equal(nextSequence(SECONDS, NOW), SECONDS + 1n)
  t.equal(nextSequence(SECONDS + 100n, NOW), SECONDS + 101n, 'more than one change a second')
  t.equal(nextSequence(5n, NOW), SECONDS, 'a backup that was restored is above what peers hold')
  t.equal(
    nextSequence(9_007_199_254_740_993n, NOW),
    9_007_199_254_740_994n,
    'BU-04 beyond a double',
  )
  t.end()
})

function jwtKey() {
  const { publicKey } = generateKeyPair()
  return { kid: keyId(publicKey), jwk: publicJwk(publicKey) }
}

t.test(
  'BU-03 BU-17 each change of content is a new revision with its audit record, an unchanged one is none',
  async (t) => {
    const { db } = await testDatabase(t)
    const { mesh, domain } = await makeMesh(db, testKeyring(), { now: NOW })
    const context = { actor: 'test', now: NOW }
    const publication = {
      trustDomain: domain.name,
      x509Authorities: [],
      jwtAuthorities: [jwtKey(), jwtKey()],
      hintSeconds: 300,
      cause: 'test',
      context,
    }
    const publish = (over: object = {}) =>
      inTransaction(db, (trx) => publishBundle(trx, mesh.meshId, { ...publication, ...over }))
    const first = await publish()
    t.same(first, { sequence: SECONDS + 1n, changed: true })
    const { jwtAuthorities } = publication
    t.same(
      await publish({ jwtAuthorities: jwtAuthorities.toReversed() }),
      { ...first, changed: false },
      'order is no content',
    )
    t.equal((await publish({ hintSeconds: 60 })).sequence, SECONDS + 2n, 'the hint is content')
    t.equal((await publish({ jwtAuthorities: [] })).sequence, SECONDS + 3n)
    const rows = await db
      .selectFrom('bundle_revision')
      .selectAll()
      .orderBy('sequence', 'desc')
      .execute()
    t.equal(rows.length, 4)
    t.equal(
      Buffer.from(rows[0]?.document ?? []).toString('utf8'),
      `{"spiffe_sequence":${SECONDS + 3n},"spiffe_refresh_hint":300,"keys":[]}`,
      'BU-06 empty keys are there',
    )
    t.ok(rows.every((row) => sha256(row.document) === Buffer.from(row.digest).toString('hex')))
    for (const row of rows)
      t.notMatch(Buffer.from(row.document).toString('utf8'), /"(d|p|q|dp|dq|qi|k|oth)":/)
    const records = await db
      .selectFrom('audit_record')
      .select('body')
      .where('action', '=', 'bundle.publish')
      .execute()
    t.equal(records.length, 4)
    const change = await db
      .selectFrom('change')
      .select('revision')
      .where('topic', '=', 'bundle')
      .where('mesh_id', '=', mesh.meshId)
      .executeTakeFirstOrThrow()
    t.ok(change.revision >= 4n)
  },
)

t.test('BU-09 our bundle works for a reader that knows none of its extra members', async (t) => {
  const { db } = await testDatabase(t)
  const { domain } = await makeMesh(db, testKeyring(), { now: NOW })
  const { document } = await db
    .selectFrom('bundle_revision')
    .select('document')
    .executeTakeFirstOrThrow()
  const { keys } = JSON.parse(Buffer.from(document).toString('utf8')) as { keys: unknown }
  const bare = parseBundle(domain.name, Buffer.from(JSON.stringify({ keys })))
  t.same(bare.skipped, [])
  const whole = parseBundle(domain.name, document).bundle
  t.same(bare.bundle.x509Authorities, whole.x509Authorities)
  t.same(bare.bundle.jwtAuthorities, whole.jwtAuthorities)
})

t.test('BU-03 publications at once get different sequences, a dry run none', async (t) => {
  const { db } = await testDatabase(t)
  const { mesh, domain } = await makeMesh(db, testKeyring(), { now: NOW })
  const context = { actor: 'test', now: NOW }
  const publish = (dryRun: boolean) =>
    inTransaction(
      db,
      (trx) =>
        publishBundle(trx, mesh.meshId, {
          trustDomain: domain.name,
          x509Authorities: [],
          jwtAuthorities: [jwtKey()],
          hintSeconds: 300,
          cause: 'test',
          context,
        }),
      { dryRun },
    )
  const published = await Promise.all(Array.from({ length: 8 }, () => publish(false)))
  t.equal(new Set(published.map(({ sequence }) => sequence)).size, 8)
  await publish(true)
  t.equal((await db.selectFrom('bundle_revision').select('sequence').execute()).length, 9)
})

t.test('FE-39 BU-16 a bundle holds the authorities of its own trust domain only', async (t) => {
  const { db } = await testDatabase(t)
  const keyring = testKeyring()
  const made = [
    await makeMesh(db, keyring, { meshId: 'acme', now: NOW }),
    await makeMesh(db, keyring, { meshId: 'globex', now: NOW }),
  ]
  const documents = await db
    .selectFrom('bundle_revision')
    .select(['trust_domain', 'document'])
    .execute()
  const all = documents.flatMap(({ document }) => keysOf(document))
  t.equal(new Set(all).size, 4, 'two keys each, none shared')
  const pooled = documents.map(() => all)
  t.ok(
    pooled.every((keys) => keys.length > 2),
    'a twin that pools anchors would show more',
  )
  for (const { mesh, domain } of made) {
    const again = await inTransaction(db, (trx) =>
      publishAuthorities(trx, mesh, {
        trustDomain: domain.name,
        cause: 'again',
        context: { actor: 'test', now: NOW },
      }),
    )
    t.equal(again.changed, false)
  }
  const other = parseTrustDomain('globex.example')
  const across = inTransaction(db, (trx) =>
    publishAuthorities(trx, made[0]?.mesh ?? ({} as never), {
      trustDomain: other,
      cause: 'x',
      context: { actor: 'test', now: NOW },
    }),
  )
  await t.rejects(
    across,
    { code: 'NOT_FOUND' },
    'a mesh cannot publish for the trust domain of another',
  )
})

function keysOf(document: Uint8Array): string[] {
  const { keys } = JSON.parse(Buffer.from(document).toString('utf8')) as { keys: { x: string }[] }
  return keys.map(({ x }) => x)
}
