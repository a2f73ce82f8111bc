import { connect as connectH2 } from 'node:http2'
import t from 'tap'
import { readCertificate, toPem } from '../../src/pki/certificate.ts'
import { createCsr } from '../../src/pki/csr.ts'
import { generateKeyPair, publicKeySha256, spkiOf } from '../../src/pki/key-pair.ts'
import { verifyX509Svid } from '../../src/pki/verify-chain.ts'
import { parseBundle } from '../../src/spiffe/bundle.ts'
import { parseSpiffeId } from '../../src/spiffe/spiffe-id.ts'
import { type X509AnswerView } from '../../src/svid/api.ts'
import { digestOf, type IssuedSvid } from '../../src/svid/issued.ts'
import { testAuthority } from '../support/authority.ts'
import { forgeLeaf } from '../support/forge.ts'
import { chainOf, csrOf, issuingService, keyPem } from './issuing-service.ts'

const freshCsr = () => ({ csr: csrOf(generateKeyPair()) })

t.test('a join token and a CSR give an SVID that the bundle in the answer verifies', async (t) => {
  const { call, token, clock, trustDomain, database } = await issuingService(t)
  const keys = generateKeyPair()
  const body = { csr: csrOf(keys), token: await token('/ns/shop/sa/cart') }
  const answer = await call('POST', '/svids/x509', { body })
  t.equal(answer.status, 200)
  t.equal(answer.headers['cache-control'], 'no-store')
  const svid = answer.body as X509AnswerView
  t.equal(svid.spiffeId, 'spiffe://acme.example/ns/shop/sa/cart')
  const { bundle } = parseBundle(trustDomain, Buffer.from(svid.bundle.document))
  t.equal(svid.bundle.sequence, String(bundle.sequence))
  const anchors = bundle.x509Authorities.map(({ certificate }) => certificate)
  const chain = chainOf(svid.certificateChain)
  const found = verifyX509Svid(chain, { anchorsOf: () => anchors, now: clock.now() })
  t.equal(found.id, svid.spiffeId)
  t.equal(found.serial, svid.serial)
  t.equal(chain.length, 2, 'leaf and intermediate, no root')
  t.same(Buffer.from(found.leaf.spki), Buffer.from(spkiOf(keys.publicKey)))
  t.equal(svid.expiresAt, '2027-01-15T09:00:00.000Z')
  t.equal(svid.notBefore, '2027-01-15T07:59:30.000Z', 'half a minute back')
  t.ok(svid.renewAt <= '2027-01-15T08:30:00.000Z' && svid.renewAt > '2027-01-15T08:23:00.000Z')
  t.equal(svid.bundleRefreshSeconds, 300)
  const row = await database.db.selectFrom('svid_issued').selectAll().executeTakeFirstOrThrow()
  t.match(row, { serial: svid.serial, kind: 'x509', spiffe_id: svid.spiffeId })
  t.equal(row.bundle_sequence, bundle.sequence)
  t.equal(row.refresh_at.toISOString(), '2027-01-15T08:05:00.000Z')
  t.equal(row.first_attested_at.toISOString(), clock.now().toISOString())
})

t.test('an SVID renews itself, over HTTP/1.1 and HTTP/2, with a new key', async (t) => {
  const { call, join, clock, port, database } = await issuingService(t)
  const first = await join()
  await clock.advance(1_800_000)
  const keys = generateKeyPair()
  const again = await call('POST', '/svids/x509', { as: first, body: { csr: csrOf(keys) } })
  t.equal(again.status, 200)
  t.equal(again.body.expiresAt, '2027-01-15T09:30:00.000Z')

  const session = connectH2(`https://127.0.0.1:${port}`, {
    servername: 'acme.example',
    rejectUnauthorized: false,
    cert: again.body.certificateChain as string,
    key: keyPem(keys),
  })
  t.teardown(() => session.destroy())
  for (const _ of [1, 2]) {
    const stream = session.request({
      ':method': 'POST',
      ':path': '/v1/svids/x509',
      'content-type': 'application/json',
    })
    stream.end(JSON.stringify({ csr: csrOf(generateKeyPair()) }))
    const headers = await new Promise<Record<string, unknown>>((resolve, reject) => {
      stream.on('response', resolve).on('error', reject)
    })
    stream.resume()
    t.equal(headers[':status'], 200)
  }
  const rows = await database.db.selectFrom('svid_issued').select('first_attested_at').execute()
  t.equal(rows.length, 4)
  t.equal(new Set(rows.map((row) => row.first_attested_at.toISOString())).size, 1, 'one line')
})

t.test('every batch of SVIDs has one audit record with count and digest', async (t) => {
  const { join, call, database } = await issuingService(t)
  const workload = await join()
  const ask = () =>
    call('POST', '/svids/x509', { as: workload, body: { csr: csrOf(generateKeyPair()) } })
  const answers = await Promise.all(Array.from({ length: 12 }, ask))
  t.ok(answers.every(({ status }) => status === 200))
  const records = await database.db
    .selectFrom('audit_record')
    .selectAll()
    .where('action', '=', 'svid.issue')
    .orderBy('id')
    .execute()
  const bodies = records.map(
    (record) =>
      (
        JSON.parse(Buffer.from(record.body).toString()) as {
          body: { count: number; digest: string }
        }
      ).body,
  )
  t.equal(
    bodies.reduce((sum, { count }) => sum + count, 0),
    13,
  )
  const [row] = await database.db
    .selectFrom('svid_issued')
    .selectAll()
    .orderBy('issued_at')
    .where('serial', '=', workload.answer.serial)
    .execute()
  const first = {
    serial: row?.serial,
    kind: row?.kind,
    spiffeId: row?.spiffe_id,
    entryId: row?.entry_id,
    authorityId: row?.authority_id,
    publicKeySha256: row?.public_key_sha256,
    notAfter: row?.not_after,
  } as unknown as IssuedSvid
  t.equal(bodies[0]?.digest, digestOf([first]), 'the digest can be computed from the table')
})

t.test('a refused CSR does not use up the token', async (t) => {
  const { call, token } = await issuingService(t)
  const secret = await token()
  const forged = Buffer.from(createCsr(generateKeyPair()))
  forged[forged.length - 1]! ^= 1
  for (const csr of ['x', 'AAAA', forged.toString('base64')]) {
    const refused = await call('POST', '/svids/x509', { body: { csr, token: secret } })
    t.match(refused, { status: 422, body: { code: 'CSR_REJECTED' } }, csr.slice(0, 10))
  }
  const body = { ...freshCsr(), token: secret }
  t.equal((await call('POST', '/svids/x509', { body })).status, 200)
})

t.test('a CSR may come as base64 DER too', async (t) => {
  const { call, token } = await issuingService(t)
  const pem = csrOf(generateKeyPair())
  const csr = pem.replaceAll(/-----[^-]+-----|\s/g, '')
  t.equal((await call('POST', '/svids/x509', { body: { csr, token: await token() } })).status, 200)
})

t.test('wrong, used, ended and malformed tokens are answered alike', async (t) => {
  const { call, token, clock, database } = await issuingService(t)
  const ask = (secret: string) =>
    call('POST', '/svids/x509', { body: { csr: csrOf(generateKeyPair()), token: secret } })
  const used = await token()
  t.equal((await ask(used)).status, 200)
  const ended = await token('/web', { ttlSeconds: 60 })
  await clock.advance(60_000)
  const deleted = await token('/gone')
  await database.db
    .deleteFrom('entry')
    .where('spiffe_id', '=', parseSpiffeId('spiffe://acme.example/gone'))
    .execute()
  const [prefix, body = ''] = (await token()).split('.')
  const malformed = ['x', `${prefix}.${body}.AAAAAAAA`, `${prefix}.e30.AAAA`]
  const answers = await Promise.all([used, ended, deleted, ...malformed].map(ask))
  for (const answer of answers) {
    t.equal(answer.status, 403)
    t.same({ ...answer.body, instance: '' }, { ...answers[0]?.body, instance: '' })
    t.equal(answer.body.code, 'EVIDENCE_REFUSED')
  }
})

t.test('of concurrent uses of one token exactly one wins', async (t) => {
  const { call, token, database } = await issuingService(t)
  const secret = await token()
  const ask = () =>
    call('POST', '/svids/x509', { body: { csr: csrOf(generateKeyPair()), token: secret } })
  const statuses = (await Promise.all(Array.from({ length: 10 }, ask))).map(({ status }) => status)
  t.same(
    statuses.toSorted((one, other) => one - other),
    [200, ...Array.from({ length: 9 }, () => 403)],
  )
  const rows = await database.db.selectFrom('svid_issued').select('serial').execute()
  t.equal(rows.length, 1)
})

t.test('without evidence, or with two kinds of it, nothing is issued', async (t) => {
  const { call, token, join } = await issuingService(t)
  const body = { csr: csrOf(generateKeyPair()) }
  t.match(await call('POST', '/svids/x509', { body }), {
    status: 401,
    body: { code: 'AUTHENTICATION_REQUIRED' },
  })
  const both = { ...body, token: await token() }
  t.match(await call('POST', '/svids/x509', { as: await join(), body: both }), {
    status: 400,
    body: { code: 'INVALID_REQUEST' },
  })
  t.equal((await call('POST', '/svids/x509', { body: { ...body, spiffeId: 'x' } })).status, 400)
  t.equal((await call('POST', '/svids/x509', { body: { csr: 7 } })).status, 400)
})

t.test(
  'X5-17 X5-26 FE-39 certificates of others, and SVIDs that we did not record, renew nothing',
  async (t) => {
    const { call, join, database } = await issuingService(t)
    const body = { csr: csrOf(generateKeyPair()) }
    const globex = testAuthority('globex.example')
    const posing = forgeLeaf({
      issuer: {
        der: Buffer.from(globex.root),
        keys: globex.rootKeys,
        name: readCertificate(globex.root).subject,
      },
    })
    const foreign = { keys: posing.keys, chain: toPem(posing.der) }
    t.match(await call('POST', '/svids/x509', { as: foreign, body }), {
      status: 401,
      body: { code: 'SVID_INVALID' },
    })
    const own = await join()
    await database.db.deleteFrom('svid_issued').execute()
    t.match(await call('POST', '/svids/x509', { as: own, body }), {
      status: 403,
      body: { code: 'EVIDENCE_REFUSED' },
    })
  },
)

t.test(
  'renewal ends with the entry, with its authority, with the first attestation and with the SVID',
  async (t) => {
    const { call, join, clock, database } = await issuingService(t)
    const { db } = database
    const refusedWith = async (message: RegExp, as: { keys: never; chain: string } | object) => {
      const answer = await call('POST', '/svids/x509', { as: as as never, body: freshCsr() })
      t.match(answer, { status: 403, body: { code: 'EVIDENCE_REFUSED', detail: message } })
      t.match(answer.body.next, 'join-token')
    }
    const gone = await join('/gone')
    await db
      .deleteFrom('entry')
      .where('spiffe_id', '=', parseSpiffeId('spiffe://acme.example/gone'))
      .execute()
    await refusedWith(/deleted/, gone)

    const ending = await join('/ending')
    await db
      .updateTable('entry')
      .set({ expires_at: clock.now() })
      .where('spiffe_id', '=', parseSpiffeId('spiffe://acme.example/ending'))
      .execute()
    await refusedWith(/ended/, ending)

    const old = await join('/old')
    const longAgo = new Date(clock.now().getTime() - 31 * 86_400_000)
    await db
      .updateTable('svid_issued')
      .set({ first_attested_at: longAgo })
      .where('serial', '=', old.answer.serial)
      .execute()
    await refusedWith(/too long ago/, old)

    const tainted = await join('/tainted')
    for (const state of ['tainted', 'revoked'] as const) {
      await db
        .updateTable('authority')
        .set({ state })
        .where('kind', '=', 'x509_intermediate')
        .execute()
      await refusedWith(/not trusted any more/, tainted)
    }
    await db
      .updateTable('authority')
      .set({ state: 'active' })
      .where('kind', '=', 'x509_intermediate')
      .execute()

    const late = await join('/late')
    await clock.advance(3_601_000)
    t.match(await call('POST', '/svids/x509', { as: late, body: freshCsr() }), {
      status: 401,
      body: { code: 'SVID_INVALID', detail: /ended/ },
    })
  },
)

t.test('the key in our record must be the one that the connection proved', async (t) => {
  const { call, join, database } = await issuingService(t)
  const workload = await join()
  await database.db
    .updateTable('svid_issued')
    .set({ public_key_sha256: publicKeySha256(spkiOf(generateKeyPair().publicKey)) })
    .execute()
  const body = { csr: csrOf(generateKeyPair()) }
  t.match(await call('POST', '/svids/x509', { as: workload, body }), {
    status: 403,
    body: { detail: /not in our record/ },
  })
})

t.test(
  'an authority that retires while an SVID is signed is replaced by its successor in the answer',
  async (t) => {
    const service = await issuingService(t)
    const { database, call, token, deps, clock, trustDomain, meshId } = service
    const { db } = database
    const before = await deps.signers.x509(meshId, trustDomain)
    // The signer in memory is retired in the database, as if the notice had not come yet.
    await db
      .updateTable('authority')
      .set({ state: 'retired', retired_at: clock.now() })
      .where('id', '=', before.authorityId)
      .execute()
    const body = { csr: csrOf(generateKeyPair()), token: await token() }
    t.match(await call('POST', '/svids/x509', { body }), {
      status: 503,
      body: { code: 'ISSUER_UNAVAILABLE' },
      headers: { 'retry-after': /\d+/ },
    })
    const rows = await db.selectFrom('svid_issued').select('serial').execute()
    t.same(rows, [], 'nothing was handed out under it')
    await db
      .updateTable('authority')
      .set({ state: 'active' })
      .where('id', '=', before.authorityId)
      .execute()
    t.equal(
      (await call('POST', '/svids/x509', { body })).status,
      200,
      'and the token is still good',
    )
  },
)

t.test('the life of an SVID follows entry and mesh, and never passes its issuer', async (t) => {
  const { call, token, clock, database } = await issuingService(t)
  const { db } = database
  await token()
  await db.updateTable('entry').set({ x509_ttl_seconds: 600 }).execute()
  const ask = async () => {
    const body = { csr: csrOf(generateKeyPair()), token: await token() }
    return (await call('POST', '/svids/x509', { body })).body as X509AnswerView
  }
  t.equal((await ask()).expiresAt, '2027-01-15T08:10:00.000Z')
  await db
    .updateTable('mesh')
    .set({ settings: JSON.stringify({ maxX509SvidSeconds: 60 }) })
    .execute()
  t.equal((await ask()).expiresAt, '2027-01-15T08:01:00.000Z', 'a lowered limit holds at once')
  await db.updateTable('mesh').set({ settings: '{}' }).execute()
  const intermediate = await db
    .selectFrom('authority')
    .select('not_after')
    .where('kind', '=', 'x509_intermediate')
    .executeTakeFirstOrThrow()
  clock.set(new Date(intermediate.not_after.getTime() - 100_000))
  t.equal((await ask()).expiresAt, intermediate.not_after.toISOString())
})

t.test(
  'an anchor that leaves our bundle counts no more on connections that are open',
  async (t) => {
    const { join, port, database, reload, meshId, trustDomain } = await issuingService(t)
    const workload = await join()
    const session = connectH2(`https://127.0.0.1:${port}`, {
      servername: trustDomain,
      rejectUnauthorized: false,
      cert: workload.chain,
      key: keyPem(workload.keys),
    })
    t.teardown(() => session.destroy())
    const statusOf = () =>
      new Promise<number>((resolve, reject) => {
        const stream = session.request({ ':path': '/v1/bundles' })
        stream.on('response', (headers) => resolve(Number(headers[':status']))).on('error', reject)
        stream.resume()
      })
    t.equal(await statusOf(), 200)
    await database.db
      .insertInto('bundle_revision')
      .values({
        mesh_id: meshId,
        trust_domain: trustDomain,
        sequence: BigInt(workload.answer.bundle.sequence ?? 0) + 1n,
        document: Buffer.from('{"keys":[]}'),
        digest: Buffer.from('00', 'hex'),
        hint_seconds: 300,
        cause: 'test',
        created_at: new Date(),
      })
      .execute()
    await reload()
    t.equal(await statusOf(), 401)
  },
)
