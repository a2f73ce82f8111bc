import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { findEndpointIssuer } from '../../src/authority/endpoint-issuer.ts'
import { issueEndpointSvid, openEndpointIssuer } from '../../src/authority/endpoint-svid.ts'
import { Signers } from '../../src/authority/signers.ts'
import { systemClock } from '../../src/clock.ts'
import { readCertificate, toPem } from '../../src/pki/certificate.ts'
import { publicKeyOf, spkiOf } from '../../src/pki/key-pair.ts'
import { verifyX509Svid } from '../../src/pki/verify-chain.ts'
import { prepareX509Svid, signX509Svid } from '../../src/pki/x509-svid.ts'
import { parseBundle } from '../../src/spiffe/bundle.ts'
import { bundleEndpointId, spiffeIdOf } from '../../src/spiffe/spiffe-id.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'
import { testDatabase } from '../support/database.ts'
import { makeMesh, testKeyring } from '../support/meshes.ts'
import { testFolder } from '../support/test-folder.ts'

const noChanges = { on: () => undefined }

t.test(
  'a new mesh has its authorities, published and active, and nothing of them is in the clear',
  async (t) => {
    const { db } = await testDatabase(t)
    const keyring = testKeyring()
    const { mesh, domain } = await makeMesh(db, keyring)
    const rows = await db.selectFrom('authority').selectAll().orderBy('kind').execute()
    t.same(
      rows.map(({ kind, state, cluster }) => [kind, state, cluster]),
      [
        ['jwt', 'active', null],
        ['x509_intermediate', 'active', 'default'],
        ['x509_root', 'active', null],
      ],
    )
    for (const row of rows) {
      const sealed = Buffer.from(row.sealed_key ?? [])
      t.notOk(
        sealed.includes(Buffer.from(row.public_key)),
        'the sealed key does not show its public half',
      )
    }
    const revisions = await db.selectFrom('bundle_revision').selectAll().execute()
    t.equal(revisions.length, 1)
    const { bundle, skipped } = parseBundle(domain.name, revisions[0]?.document ?? new Uint8Array())
    t.same(skipped, [])
    t.equal(bundle.x509Authorities.length, 1)
    t.equal(bundle.jwtAuthorities.length, 1)
    t.equal(bundle.sequence, revisions[0]?.sequence)
    const published = rows.filter(({ kind }) => kind !== 'x509_intermediate')
    t.ok(published.every((row) => row.published_sequence === bundle.sequence))
    t.equal(mesh.settings.hintSeconds, bundle.refreshHintSeconds)
  },
)

t.test(
  'ID-19 X5-30 the root is self-signed and carries the ID of its trust domain without a path',
  async (t) => {
    const { db } = await testDatabase(t)
    const { domain } = await makeMesh(db, testKeyring())
    const row = await db
      .selectFrom('authority')
      .select('certificate')
      .where('kind', '=', 'x509_root')
      .executeTakeFirstOrThrow()
    const root = readCertificate(row.certificate ?? new Uint8Array())
    t.same(root.uriSans, [`spiffe://${domain.name}`])
    t.ok(root.issuer.equals(root.subject))
    t.ok(root.isCa)
  },
)

t.test('BU-10 X5-27 every trust domain has keys of its own', async (t) => {
  const { db } = await testDatabase(t)
  const keyring = testKeyring()
  await makeMesh(db, keyring, { meshId: 'acme' })
  await makeMesh(db, keyring, { meshId: 'globex' })
  const keys = await db.selectFrom('authority').select('key_id').execute()
  t.equal(new Set(keys.map((row) => row.key_id)).size, 6)
  const taken = keys[0]?.key_id ?? ''
  const again = db
    .updateTable('authority')
    .set({ key_id: taken })
    .where('key_id', '!=', taken)
    .execute()
  await t.rejects(again, { code: '23505' }, 'the database refuses a key of another trust domain')
})

t.test(
  'openssl agrees with our chain from root to intermediate to leaf, and with the endpoint SVID',
  async (t) => {
    const { db } = await testDatabase(t)
    const keyring = testKeyring()
    const { mesh, domain } = await makeMesh(db, keyring)
    const signers = new Signers({ db, keyring, clock: systemClock, changes: noChanges })
    const { issuer, chain } = await signers.x509(mesh.meshId, domain.name)
    const now = new Date()
    const { root, intermediate, ...rest } = await findEndpointIssuer(db, mesh.meshId, {
      trustDomain: domain.name,
      now,
    })
    t.same(chain, [intermediate.certificate])
    const from = await openEndpointIssuer(db, { root, intermediate, ...rest }, keyring)
    const endpoint = issueEndpointSvid(from, {
      id: bundleEndpointId(domain.name),
      dnsNames: ['localhost'],
      seconds: 3600,
      now,
    })
    const leaf = signX509Svid(
      prepareX509Svid({
        id: spiffeIdOf(domain.name, '/web'),
        publicKey: spkiOf(publicKeyOf(endpoint.privateKey)),
        dnsNames: [],
        notBefore: new Date(now.getTime() - 30_000),
        notAfter: new Date(now.getTime() + 3_600_000),
        issuer,
      }),
      issuer,
    )
    const folder = testFolder(t)
    const file = (name: string, der: Uint8Array): string => {
      const path = join(folder, name)
      writeFileSync(path, toPem(der))
      return path
    }
    const rootFile = file('root.pem', root.certificate ?? new Uint8Array())
    const middle = file('intermediate.pem', issuer.certificate)
    const anchors = [root.certificate ?? new Uint8Array()]
    for (const [name, der] of [
      ['leaf.pem', leaf.certificate],
      ['endpoint.pem', endpoint.certificate],
    ] as const) {
      const path = file(name, der)
      const verdict = execFileSync(
        'openssl',
        [
          'verify',
          '-x509_strict',
          '-purpose',
          'sslserver',
          '-CAfile',
          rootFile,
          '-untrusted',
          middle,
          path,
        ],
        { encoding: 'utf8' },
      )
      t.match(verdict, /: OK/)
      const verified = verifyX509Svid([der, issuer.certificate], { anchorsOf: () => anchors, now })
      t.equal(verified.trustDomain, domain.name, 'FE-16 our own validator agrees')
    }
    const text = execFileSync('openssl', ['x509', '-in', rootFile, '-noout', '-text'], {
      encoding: 'utf8',
    })
    t.match(text, /CA:TRUE/)
    t.match(text, /Certificate Sign, CRL Sign/)
    t.match(text, new RegExp(`URI:spiffe://${domain.name}\\n`))
    t.match(
      execFileSync('openssl', ['x509', '-in', join(folder, 'endpoint.pem'), '-noout', '-text'], {
        encoding: 'utf8',
      }),
      /URI:spiffe:\/\/acme\.example\/entente\/bundle-endpoint, DNS:localhost/,
    )
  },
)

t.test(
  'signers answer the same issuer until it changes, and refuse when nothing can sign',
  async (t) => {
    const { db } = await testDatabase(t)
    const keyring = testKeyring()
    const { mesh, domain } = await makeMesh(db, keyring)
    const signers = new Signers({ db, keyring, clock: systemClock, changes: noChanges })
    const first = await signers.x509(mesh.meshId, domain.name)
    signers.forget(mesh.meshId)
    t.equal((await signers.x509(mesh.meshId, domain.name)).issuer, first.issuer)
    const jwt = await signers.jwt(mesh.meshId, domain.name)
    t.match(jwt.kid, /^[A-Za-z0-9_-]{43}$/)
    await db.updateTable('authority').set({ state: 'retired', sealed_key: null }).execute()
    signers.forget(mesh.meshId)
    await t.rejects(signers.x509(mesh.meshId, domain.name), { code: 'ISSUER_UNAVAILABLE' })
    await t.rejects(signers.jwt(mesh.meshId, parseTrustDomain('other.example')), {
      code: 'ISSUER_UNAVAILABLE',
    })
  },
)

t.test(
  'JW-22 each key of a mesh signs one kind of SVID and appears once in its bundle',
  async (t) => {
    const { db } = await testDatabase(t)
    const { domain } = await makeMesh(db, testKeyring())
    const { document } = await db
      .selectFrom('bundle_revision')
      .select('document')
      .executeTakeFirstOrThrow()
    const { bundle } = parseBundle(domain.name, document)
    const keys = [...bundle.x509Authorities, ...bundle.jwtAuthorities].map(({ jwk }) => jwk.x)
    t.equal(keys.length, 2)
    t.equal(new Set(keys).size, keys.length)
    const rows = await db.selectFrom('authority').select('key_id').execute()
    t.equal(new Set(rows.map((row) => row.key_id)).size, 3, 'the intermediate has one of its own')
  },
)
