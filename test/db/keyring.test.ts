import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { chmod, readFile, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { createKekFile, readKekFile } from '../../src/db/kek-file.ts'
import {
  Keyring,
  type SealContext,
  checkKeyring,
  loadOrCreateSecret,
  openKeyring,
  sealedUnder,
} from '../../src/db/keyring.ts'
import type { Db } from '../../src/db/schema.ts'
import { listSealed } from '../../src/db/sealed.ts'
import { parseMeshId } from '../../src/db/ids.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'
import { testDatabase } from '../support/database.ts'

const context: SealContext = {
  of: 'authority',
  meshId: 'acme',
  trustDomain: 'acme.example',
  authorityId: '6d1f9e1c-0000-4000-8000-000000000001',
  kind: 'x509_root',
  publicKeySha256: createHash('sha256').update('key').digest(),
}

async function newKeyring(folder: string, name = 'kek'): Promise<Keyring> {
  await createKekFile(join(folder, name))
  return Keyring.load(join(folder, name))
}

async function insertAuthority(db: Db, keyring: Keyring, trustDomain: string): Promise<string> {
  const id = randomUUID()
  const meshId = parseMeshId(trustDomain.split('.')[0] ?? '')
  const now = new Date('2027-01-15T08:00:00Z')
  const mesh = { mesh_id: meshId, display_name: meshId, dns_suffix: 'mesh.internal' }
  await db
    .insertInto('mesh')
    .values({ ...mesh, environment: null, settings: '{}', created_at: now })
    .execute()
  const td = parseTrustDomain(trustDomain)
  await db
    .insertInto('trust_domain')
    .values({
      mesh_id: meshId,
      name: td,
      is_primary: true,
      issuer: 'managed',
      bundle_host: null,
      profile: 'https_spiffe',
      created_at: now,
    })
    .execute()
  const publicKeySha256 = createHash('sha256').update(trustDomain).digest()
  const about = { of: 'authority', meshId, trustDomain, authorityId: id, kind: 'jwt' } as const
  await db
    .insertInto('authority')
    .values({
      mesh_id: meshId,
      id,
      trust_domain: td,
      kind: 'jwt',
      cluster: null,
      parent_id: null,
      state: 'prepared',
      not_before: now,
      not_after: now,
      certificate: null,
      public_key: new Uint8Array([1]),
      key_id: id,
      sealed_key: keyring.seal(randomBytes(32), { ...about, publicKeySha256 }),
      prepared_at: now,
      published_sequence: null,
      published_at: null,
      activated_at: null,
      retired_at: null,
      remove_at: null,
      removed_at: null,
    })
    .execute()
  return id
}

t.test(
  'a KEK file is one line that only its owner can read, and is never overwritten',
  async (t) => {
    const path = join(t.testdir(), 'kek')
    const { id } = await createKekFile(path)
    const text = await readFile(path, 'utf8')
    t.match(text, /^entente-kek-v1 [0-9a-f]{16} [A-Za-z0-9_-]{43}\n$/)
    t.equal((await stat(path)).mode & 0o777, 0o600)
    t.equal((await readKekFile(path)).id, id)
    await t.rejects(createKekFile(path), { code: 'ALREADY_EXISTS', message: /left as it is/ })
    t.equal(await readFile(path, 'utf8'), text)
  },
)

t.test(
  'of six that create the same KEK file at once exactly one does, and no draft stays',
  async (t) => {
    const folder = t.testdir()
    const made = await Promise.allSettled(
      Array.from({ length: 6 }, () => createKekFile(join(folder, 'kek'))),
    )
    t.equal(made.filter((one) => one.status === 'fulfilled').length, 1)
    t.same(await readdir(folder), ['kek'])
  },
)

t.test('a KEK file that others may read is refused with the command that mends it', async (t) => {
  const path = join(t.testdir(), 'kek')
  await createKekFile(path)
  for (const mode of [0o640, 0o604, 0o620, 0o660, 0o644]) {
    await chmod(path, mode)
    await t.rejects(readKekFile(path), {
      code: 'KEK_MALFORMED',
      message: new RegExp(`mode ${mode.toString(8)}`),
      next: `chmod 600 ${path}`,
    })
  }
  await chmod(path, 0o400)
  t.ok(await readKekFile(path), 'read-only for the owner is well')
})

t.test(
  'a torn, mistyped or foreign KEK file is refused, and its text is not repeated',
  async (t) => {
    const folder = t.testdir()
    const whole = join(folder, 'whole')
    await createKekFile(whole)
    const text = await readFile(whole, 'utf8')
    const [name, id, key = ''] = text.trimEnd().split(' ')
    const other = key.startsWith('A') ? `B${key.slice(1)}` : `A${key.slice(1)}`
    const bad = {
      empty: '',
      torn: text.slice(0, 40),
      'another key': `${name} ${id} ${other}\n`,
      'another version': text.replace('v1', 'v2'),
      'two lines': text + text,
      'raw bytes': randomBytes(32).toString('latin1'),
      huge: text + ' '.repeat(5000),
    }
    for (const [what, content] of Object.entries(bad)) {
      const path = join(folder, 'bad')
      await writeFile(path, content, { mode: 0o600 })
      const refused = await readKekFile(path).then(
        () => undefined,
        (error: unknown) => error,
      )
      t.match(refused, { code: 'KEK_MALFORMED', next: /kek create --out/ }, what)
      t.notMatch(String(refused), key.slice(1, 20), `${what}: no key in the message`)
    }
    await t.rejects(readKekFile(join(folder, 'none')), {
      code: 'KEK_MISSING',
      next: `entente kek create --out ${join(folder, 'none')}`,
    })
  },
)

t.test('what is sealed opens in its own place only', async (t) => {
  const keyring = await newKeyring(t.testdir())
  const sealed = keyring.seal(Buffer.from('the private key'), context)
  t.equal(Buffer.from(keyring.open(sealed, context)).toString(), 'the private key')
  const elsewhere: SealContext[] = [
    { ...context, meshId: 'globex' },
    { ...context, trustDomain: 'globex.example' },
    { ...context, authorityId: '6d1f9e1c-0000-4000-8000-000000000002' },
    { ...context, kind: 'jwt' },
    { ...context, publicKeySha256: createHash('sha256').update('other').digest() },
    { ...context, meshId: 'acmea', trustDomain: 'cme.example' },
    { of: 'secret', name: 'acme' },
  ]
  for (const place of elsewhere) {
    t.throws(() => keyring.open(sealed, place), { code: 'SEAL_BROKEN' }, JSON.stringify(place))
  }
})

t.test(
  'every changed byte of a sealed key is found, and its nonce is never the same',
  async (t) => {
    const keyring = await newKeyring(t.testdir())
    const sealed = keyring.seal(Buffer.from('key'), context)
    for (let i = 0; i < sealed.length; i += 1) {
      const changed = Uint8Array.from(sealed)
      changed[i] = (changed[i] ?? 0) ^ 1
      t.throws(() => keyring.open(changed, context), { code: /SEAL_BROKEN|KEK_WRONG/ }, `byte ${i}`)
    }
    t.throws(() => keyring.open(sealed.subarray(0, 20), context), { code: 'SEAL_BROKEN' })
    t.throws(() => keyring.open(new Uint8Array(), context), { code: 'SEAL_BROKEN' })
    const nonces = new Set(
      Array.from({ length: 500 }, () =>
        Buffer.from(keyring.seal(Buffer.from('key'), context).subarray(9, 21)).toString('hex'),
      ),
    )
    t.equal(nonces.size, 500)
    t.equal(sealedUnder(sealed), keyring.kekId)
  },
)

t.test('another KEK is named, together with the keys that it does not open', async (t) => {
  const { db } = await testDatabase(t)
  const folder = t.testdir()
  const first = await openKeyring(db, { file: join(folder, 'kek'), create: true })
  t.ok(first.created)
  const ids = []
  for (const td of ['acme.example', 'globex.example']) {
    ids.push(await insertAuthority(db, first.keyring, td))
  }
  await createKekFile(join(folder, 'other'))
  const before = await listSealed(db)
  const wrong = openKeyring(db, { file: join(folder, 'other'), create: true })
  await t.rejects(wrong, {
    code: 'KEK_WRONG',
    message: new RegExp(
      `3 sealed keys need .*jwt of acme.example in mesh acme \\(id ${ids[0]}\\) needs KEK ${first.keyring.kekId}.*globex.example.*secret kek-check.*nothing was created over it`,
    ),
    next: new RegExp(first.keyring.kekId),
  })
  t.same(await listSealed(db), before, 'nothing was created over it')
  await checkKeyring(db, first.keyring)
})

t.test('a lost KEK is never replaced while anything is sealed under it', async (t) => {
  const { db } = await testDatabase(t)
  const folder = t.testdir()
  await openKeyring(db, { file: join(folder, 'kek'), create: true })
  const lost = openKeyring(db, { file: join(folder, 'moved'), create: true })
  await t.rejects(lost, {
    code: 'KEK_MISSING',
    message: /1 sealed key needs .* secret kek-check needs KEK [0-9a-f]{16}; nothing was created/,
  })
  t.same(await readdir(folder), ['kek'])
})

t.test('without leave to create, a missing KEK file names the command', async (t) => {
  const { db } = await testDatabase(t)
  const file = join(t.testdir(), 'kek')
  await t.rejects(openKeyring(db, { file, create: false }), {
    code: 'KEK_MISSING',
    next: `entente kek create --out ${file}`,
  })
})

t.test('of two replicas with different KEKs on a new database one is refused', async (t) => {
  const { db } = await testDatabase(t)
  const folder = t.testdir()
  const files = ['a', 'b'].map((name) => join(folder, name))
  for (const file of files) await createKekFile(file)
  const starts = await Promise.allSettled(
    files.map((file) => openKeyring(db, { file, create: false })),
  )
  const refused = starts.filter((start) => start.status === 'rejected')
  t.equal(refused.length, 1)
  t.match(refused[0]?.reason, { code: 'KEK_WRONG', message: /secret kek-check/ })
})

t.test('a service-wide secret is made once, also when many ask at once', async (t) => {
  const { db } = await testDatabase(t)
  const keyring = await newKeyring(t.testdir())
  const asked = await Promise.all(
    Array.from({ length: 8 }, () =>
      loadOrCreateSecret(db, keyring, { name: 'reader', make: () => randomBytes(32) }),
    ),
  )
  t.equal(new Set(asked.map((secret) => Buffer.from(secret).toString('hex'))).size, 1)
  const rows = await db.selectFrom('secret').selectAll().execute()
  t.equal(rows.length, 1)
  t.notOk(
    Buffer.from(rows[0]?.sealed ?? []).includes(Buffer.from(asked[0] ?? [])),
    'sealed at rest',
  )
})
