import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { Agent, request } from 'undici'
import type { Db } from '../../src/db/schema.ts'
import { createCsr } from '../../src/pki/csr.ts'
import { parseJoinToken } from '../../src/pki/join-token.ts'
import {
  exportPrivateKey,
  generateKeyPair,
  importPrivateKey,
  publicKeySha256,
} from '../../src/pki/key-pair.ts'
import { toPem } from '../../src/pki/certificate.ts'
import { assertNoSecrets } from '../support/secrets.ts'
import { type TestService, startTestService } from '../support/service.ts'
import { untilTrue } from '../support/until.ts'

t.setTimeout(120_000)

type Secret = string | Uint8Array

/** Both forms in which a private key could leak: its DER, and the scalar alone. */
function formsOf(der: Uint8Array): Secret[] {
  const { d } = importPrivateKey(der).export({ format: 'jwk' })
  return d === undefined ? [der] : [der, Buffer.from(d, 'base64url')]
}

/** Every secret that the service keeps sealed. */
async function sealedSecrets({ service }: TestService): Promise<Secret[]> {
  const { database, keyring } = service.base
  const authorities = await database.db
    .selectFrom('authority')
    .select(['mesh_id', 'trust_domain', 'id', 'kind', 'public_key', 'sealed_key'])
    .where('sealed_key', 'is not', null)
    .execute()
  const keys = authorities.flatMap((row) =>
    formsOf(
      keyring.open(row.sealed_key ?? new Uint8Array(), {
        of: 'authority',
        meshId: row.mesh_id,
        trustDomain: row.trust_domain,
        authorityId: row.id,
        kind: row.kind,
        publicKeySha256: publicKeySha256(row.public_key),
      }),
    ),
  )
  const rows = await database.db.selectFrom('secret').select(['name', 'sealed']).execute()
  const secrets = rows.map((row) => keyring.open(row.sealed, { of: 'secret', name: row.name }))
  return [...keys, ...secrets]
}

/** The random bytes of an API token, without prefix and checksum. */
function secretOf(token: string): Uint8Array {
  return Buffer.from(token.slice('entente_'.length, -6), 'base64url')
}

/** Everything in the database as text, bytes in hex. */
async function wholeDatabase(db: Db): Promise<string> {
  const { rows } = await sql<{ name: string }>`
    select table_name as name from information_schema.tables where table_schema = 'public'`.execute(
    db,
  )
  const parts: string[] = []
  for (const { name } of rows) {
    const { rows: found } = await sql<{ row: string }>`
      select (${sql.table(name)}.*)::text as row from ${sql.table(name)}`.execute(db)
    parts.push(...found.map(({ row }) => row))
  }
  return parts.join('\n')
}

/** Every answer to a GET of the admin API that this service has. */
async function everyRead(running: TestService, meshId: string): Promise<string> {
  const { paths } = running.service.apps.admin.swagger() as { paths: Record<string, object> }
  const parts: string[] = []
  for (const [path, methods] of Object.entries(paths)) {
    if (!('get' in methods) || !path.startsWith('/v1/')) continue
    const filled = path.slice(3).replace('{meshId}', meshId)
    if (filled.includes('{')) continue
    const { status, body } = await running.admin('GET', filled)
    parts.push(`${status} ${filled} ${JSON.stringify(body)}`)
  }
  return parts.join('\n')
}

interface Workload {
  readonly secrets: readonly Secret[]
  readonly answers: string
}

/** Asks for SVIDs with right and wrong evidence; whatever is refused is refused with the secret in hand. */
async function askForSvids(t: Test, running: TestService, token: string): Promise<Workload> {
  const agent = new Agent({ connect: { rejectUnauthorized: false, servername: 'acme.example' } })
  t.teardown(() => agent.close())
  const keys = generateKeyPair()
  const csr = toPem(createCsr(keys)).replaceAll('CERTIFICATE', 'CERTIFICATE REQUEST')
  const send = async (body: string): Promise<string> => {
    const answer = await request(`${running.workloadUrl}/v1/svids/x509`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
      dispatcher: agent,
    })
    return `${answer.statusCode} ${await answer.body.text()}`
  }
  const other = `${token.slice(0, -4)}AAAA`
  const refused = [
    await send(JSON.stringify({ csr: csr.slice(0, 200), token })),
    await send(JSON.stringify({ csr, token: other })),
    await send(JSON.stringify({ csr, token, extra: csr })),
    await send(`{"csr": ${JSON.stringify(csr)}, "token": "${token}"`),
  ]
  const issued = await send(JSON.stringify({ csr, token }))
  t.match(issued, /^200 /)
  const again = await send(JSON.stringify({ csr, token }))
  t.match([...refused, again].join('\n'), /^(4[0-9][0-9] .*\n?)+$/)
  const body = csr.split('\n').slice(1, -2).join('')
  const secrets = [exportPrivateKey(keys.privateKey), Buffer.from(body, 'base64')]
  return { secrets, answers: [...refused, issued, again].join('\n') }
}

t.test('no log, answer, metric, audit record or row holds a key, a token or a CSR', async (t) => {
  const running = await startTestService(t)
  const { admin, folder, service } = bound(running)
  const created = await admin('POST', '/meshes', {
    meshId: 'acme',
    trustDomain: 'acme.example',
  })
  t.equal(created.status, 201)
  const apiToken = (await admin('POST', '/api-tokens', { label: 'ci' })).body.token as string
  const joining = await admin('POST', '/meshes/acme/join-tokens', { spiffeId: '/web' })
  t.equal(joining.status, 201, JSON.stringify(joining.body))
  const joinToken = joining.body.token as string
  const spare = (await admin('POST', '/meshes/acme/join-tokens', { spiffeId: '/web' })).body
    .token as string
  for (const kind of ['x509_root', 'jwt']) {
    const prepared = await admin('POST', '/meshes/acme/authorities', { kind })
    t.match(String(prepared.status), /^(201|409)$/, JSON.stringify(prepared.body))
  }
  const wrong = await admin('POST', '/api-tokens', { label: 'ci', token: apiToken })
  const workload = await askForSvids(t, running, joinToken)
  await untilTrue(async () => (await admin('GET', '/audit/verify')).body.unsealed === '0')

  const adminToken = readFileSync(join(folder, 'admin.token'), 'utf8').trim()
  const kek = readFileSync(join(folder, 'kek'), 'utf8').trim()
  const secrets: Secret[] = [
    kek,
    Buffer.from(kek.split(' ')[2] ?? '', 'base64url'),
    adminToken,
    secretOf(adminToken),
    apiToken,
    secretOf(apiToken),
    joinToken,
    parseJoinToken(joinToken).secret,
    spare,
    parseJoinToken(spare).secret,
    ...workload.secrets,
    ...(await sealedSecrets(running)),
  ]
  t.ok(secrets.length > 15, `${secrets.length} secrets are looked for`)
  const { db } = service.base.database
  const bodies = await db.selectFrom('audit_record').select('body').execute()
  const audit = bodies.map((row) => Buffer.from(row.body).toString('utf8')).join('\n')
  t.match(audit, /"action":"api-token.create"/)
  const places = {
    'the log': running.lines.join(''),
    'the answers': `${JSON.stringify(wrong.body)}\n${workload.answers}`,
    'every read': await everyRead(running, 'acme'),
    'the metrics': await service.base.metrics.registry.metrics(),
    'the audit log': audit,
    'the database': await wholeDatabase(db),
  }
  for (const [place, text] of Object.entries(places)) {
    t.test(place, async (t) => {
      t.ok(text.length > 100)
      assertNoSecrets(t, text, secrets)
    })
  }
})

/** The same service with functions that stand alone. */
function bound(running: TestService) {
  const admin: TestService['admin'] = (...call) => running.admin(...call)
  return { admin, folder: running.folder, service: running.service }
}
