import t from 'tap'
import { findEndpointIssuer } from '../../src/authority/endpoint-issuer.ts'
import { issueEndpointSvid, openEndpointIssuer } from '../../src/authority/endpoint-svid.ts'
import { rotateAll, type RotateDeps, rotateTrustDomain } from '../../src/authority/rotate.ts'
import { findCurrent } from '../../src/bundle/store.ts'
import type { Db } from '../../src/db/connect.ts'
import type { Keyring } from '../../src/db/keyring.ts'
import { Alarms } from '../../src/http/alarms.ts'
import { createLogger } from '../../src/http/log.ts'
import { createMetrics } from '../../src/http/metrics.ts'
import type { CreatedMesh } from '../../src/mesh/create-mesh.ts'
import { readCertificate } from '../../src/pki/certificate.ts'
import { verifyX509Svid } from '../../src/pki/verify-chain.ts'
import { parseBundle } from '../../src/spiffe/bundle.ts'
import { workloadEndpointId } from '../../src/spiffe/spiffe-id.ts'
import { testClock, type TestClock } from '../support/clock.ts'
import { testDatabase } from '../support/database.ts'
import { makeMesh, testKeyring } from '../support/meshes.ts'

const log = createLogger({ level: 'silent' })
const SECONDS = {
  rootSeconds: 120,
  intermediateSeconds: 40,
  jwtKeySeconds: 60,
  endpointSvidSeconds: 20,
  maxX509SvidSeconds: 20,
  maxJwtSvidSeconds: 10,
  minPublishSeconds: 0,
  hintSeconds: 2,
  removalSkewSeconds: 2,
}

function rotation(db: Db, keyring: Keyring, clock: TestClock): RotateDeps & { alarms: Alarms } {
  const metrics = createMetrics()
  const alarms = new Alarms({ log, metrics })
  return { db, now: clock.db, clock, keyring, alarms, metrics, log }
}

const rowsOf = (db: Db) => db.selectFrom('authority').selectAll().orderBy('prepared_at').execute()
type Row = Awaited<ReturnType<typeof rowsOf>>[number]

// What must hold of one authority at any moment of its life.
function rowFaults(row: Row, now: Date): string[] {
  const { kind, state } = row
  const keepsKey = row.sealed_key !== null
  const lead = publishedSecondsBeforeUse(row)
  const rules: readonly (readonly [boolean, string])[] = [
    [state === 'active' && row.not_after <= now, `${kind} ended while active`],
    [state === 'removed' && keepsKey, `a removed ${kind} kept its key`],
    [state === 'retired' && keepsKey && !row.endpoint_only, `a retired ${kind} kept its key`],
    [lead > 0 && lead < 10, `${kind} signed ${lead} s after it was published`],
  ]
  return rules.flatMap(([broken, text]) => (broken ? [text] : []))
}

// The first of a kind is published and activated at once: zero. Intermediates are not published at all.
function publishedSecondsBeforeUse(row: Row): number {
  if (row.kind === 'x509_intermediate') return 0
  return ((row.activated_at?.getTime() ?? 0) - (row.published_at?.getTime() ?? 0)) / 1000
}

interface AuditText {
  readonly action: string
  readonly object: string
  readonly body: Uint8Array
}

// Authorities whose retirement or removal no audit record tells of.
function untold(rows: readonly Row[], records: readonly AuditText[]): string[] {
  const told = (action: string): string =>
    records
      .filter((record) => record.action === action)
      .map(({ body, object }) => `${object} ${Buffer.from(body).toString('utf8')}`)
      .join(' ')
  const activations = told('authority.activate')
  const removals = told('authority.remove')
  return rows.flatMap(({ id, kind, state, retired_at: retiredAt }) => [
    ...(retiredAt !== null && !activations.includes(`"retired":"${id}"`)
      ? [`${kind} retired untold`]
      : []),
    ...(state === 'removed' && !removals.includes(id) ? [`${kind} removed untold`] : []),
  ])
}

interface Endpoint {
  readonly db: Db
  readonly keyring: Keyring
  readonly mesh: CreatedMesh
  readonly now: Date
}

// The root that our listeners stand under now; throws when their SVID does not chain to the published bundle.
async function endpointRoot({ db, keyring, mesh: { mesh, domain }, now }: Endpoint) {
  const current = await findCurrent(db, mesh.meshId, domain.name)
  if (current === undefined) throw new Error('nothing is published')
  const { bundle } = parseBundle(domain.name, current.document)
  const anchors = bundle.x509Authorities.map(({ certificate }) => certificate)
  const chosen = await findEndpointIssuer(db, mesh.meshId, { trustDomain: domain.name, now })
  const from = await openEndpointIssuer(db, chosen, keyring)
  const id = workloadEndpointId(domain.name)
  const svid = issueEndpointSvid(from, { id, dnsNames: [], seconds: 20, now })
  verifyX509Svid([svid.certificate, svid.intermediate], { anchorsOf: () => anchors, now })
  const outlives = svid.notAfter > chosen.usableUntil
  return { rootId: chosen.root.id, outlives, sequence: current.sequence }
}

t.test(
  'FE-30 FE-31 FE-32 a root rotates by time and every listener and key stays right',
  async (t) => {
    const { db } = await testDatabase(t)
    const clock = testClock()
    const keyring = testKeyring()
    const mesh = await makeMesh(db, keyring, { now: clock.now(), settings: SECONDS })
    const deps = rotation(db, keyring, clock)
    const sequences = [0n]
    const rootIds = new Set<string>()
    const faults: string[] = []
    for (let second = 0; second < 240; second += 2) {
      clock.set(new Date(clock.now().getTime() + 2000))
      await rotateAll(deps)
      const now = clock.now()
      const { rootId, outlives, sequence } = await endpointRoot({ db, keyring, mesh, now })
      rootIds.add(rootId)
      sequences.push(sequence)
      if (outlives) faults.push(`an endpoint SVID outlives its root at ${second}`)
      faults.push(...(await rowsOf(db)).flatMap((row) => rowFaults(row, now)))
    }
    t.same(faults, [])
    t.same(
      sequences,
      sequences.toSorted((one, other) => (one < other ? -1 : 1)),
      'BU-03 the sequence only grows',
    )
    t.ok(new Set(sequences).size > 8)
    const rows = await rowsOf(db)
    const roots = rows.filter(({ kind }) => kind === 'x509_root')
    t.ok(roots.length >= 3, `${roots.length} roots`)
    t.ok(rootIds.size >= 2, 'the endpoints moved to the next root')
    t.match(roots, [{ state: 'removed' }])
    t.equal(rows.filter(({ forced }) => forced).length, 0)
    const records = await db
      .selectFrom('audit_record')
      .select(['action', 'actor', 'body', 'object'])
      .execute()
    t.same(untold(rows, records), [], 'no key changes its state without an audit record')
    const timed = records.filter(({ actor }) => actor === 'timer:authority-rotation')
    t.same([...new Set(timed.map(({ action }) => action))].toSorted(), [
      'authority.activate',
      'authority.prepare',
      'authority.remove',
      'bundle.publish',
    ])
    t.same(deps.alarms.list(), [])
  },
)

t.test(
  'the oldest root keeps one intermediate for endpoint SVIDs until it is removed',
  async (t) => {
    const { db } = await testDatabase(t)
    const clock = testClock()
    const keyring = testKeyring()
    const settings = { intermediateSeconds: 180 * 86_400, jwtKeySeconds: 365 * 86_400 }
    const mesh = await makeMesh(db, keyring, { now: clock.now(), settings })
    const deps = rotation(db, keyring, clock)
    const target = { meshId: mesh.mesh.meshId, trustDomain: mesh.domain.name }
    const start = clock.now().getTime()
    const at = (days: number): void => clock.set(new Date(start + days * 86_400_000))
    const [first] = await rootsOf(db)
    for (const day of [100, 100.1, 200, 200.1, 300, 300.1, 305.01]) {
      at(day)
      await rotateAll(deps)
    }
    const endsAt = new Date(clock.now().getTime() + 3 * 3_600_000)
    const authority = await activeIntermediate(db)
    await issued(db, { authority, notAfter: endsAt, sequence: 9_999_999_999n })
    at(305.1)
    await rotateTrustDomain(deps, target)

    const removeAt = new Date(endsAt.getTime() + 120_000)
    t.match(
      await rootsOf(db),
      [{ id: first?.id, state: 'retired', remove_at: removeAt }],
      'the last end plus skew',
    )
    t.match(await rootsOf(db), [{ sealed_key: null }], 'its key was erased in the same transaction')
    const under = async () => (await rowsOf(db)).filter((row) => row.parent_id === first?.id)
    const keepers = (await under()).filter((row) => row.sealed_key !== null)
    t.match(keepers, [{ id: authority, endpoint_only: true, state: 'retired' }])
    t.equal(keepers.length, 1)
    const before = await endpointRoot({ db, keyring, mesh, now: clock.now() })
    t.equal(before.rootId, first?.id, 'our listeners stand under the oldest published root')

    clock.set(new Date(removeAt.getTime() + 1000))
    await rotateTrustDomain(deps, target)
    t.match(await rootsOf(db), [{ id: first?.id, state: 'removed' }, { state: 'active' }])
    t.ok((await under()).every((row) => row.sealed_key === null && row.state === 'removed'))
    const after = await endpointRoot({ db, keyring, mesh, now: clock.now() })
    t.not(after.rootId, first?.id, 'and moved in the transaction that removed it')
  },
)

async function rootsOf(db: Db): Promise<Row[]> {
  return (await rowsOf(db)).filter(({ kind }) => kind === 'x509_root')
}

async function activeIntermediate(db: Db): Promise<string> {
  const rows = await rowsOf(db)
  const found = rows.find(({ kind, state }) => kind === 'x509_intermediate' && state === 'active')
  if (found === undefined) throw new Error('no intermediate is active')
  return found.id
}

interface Issued {
  readonly authority: string
  readonly notAfter: Date
  readonly sequence: bigint
  readonly refreshAt?: Date
}

async function issued(
  db: Db,
  { authority, notAfter, sequence, refreshAt = notAfter }: Issued,
): Promise<void> {
  const { trust_domain: trustDomain, mesh_id: meshId } = await db
    .selectFrom('authority')
    .select(['trust_domain', 'mesh_id'])
    .where('id', '=', authority)
    .executeTakeFirstOrThrow()
  await db
    .insertInto('svid_issued')
    .values({
      end_day: notAfter.toISOString().slice(0, 10),
      mesh_id: meshId,
      trust_domain: trustDomain,
      kind: 'x509',
      serial: `01${Math.floor(notAfter.getTime() / 1000).toString(16)}${sequence}`,
      spiffe_id: `spiffe://${trustDomain}/web` as never,
      entry_id: '00000000-0000-4000-8000-000000000001',
      public_key_sha256: null,
      authority_id: authority,
      not_after: notAfter,
      first_attested_at: notAfter,
      bundle_sequence: sequence,
      refresh_at: refreshAt,
      issued_at: notAfter,
    })
    .execute()
}

t.test(
  'FE-30 activation waits for workloads that hold an older bundle, and is forced and alarmed at the deadline',
  async (t) => {
    const { db } = await testDatabase(t)
    const clock = testClock()
    const keyring = testKeyring()
    const { mesh, domain } = await makeMesh(db, keyring, { now: clock.now() })
    const deps = rotation(db, keyring, clock)
    const target = { meshId: mesh.meshId, trustDomain: domain.name }
    const start = clock.now().getTime()
    const at = (days: number): void => clock.set(new Date(start + days * 86_400_000))
    at(15)
    await rotateTrustDomain(deps, target)
    const jwt = async () => (await rowsOf(db)).filter(({ kind }) => kind === 'jwt')
    t.same(
      (await jwt()).map(({ state }) => state),
      ['active', 'prepared'],
    )
    const [old] = await jwt()
    const refreshAt = new Date(start + 26 * 86_400_000)
    await issued(db, { authority: old?.id ?? '', notAfter: refreshAt, refreshAt, sequence: 1n })
    at(20)
    await rotateTrustDomain(deps, target)
    t.same(
      (await jwt()).map(({ state }) => state),
      ['active', 'prepared'],
      'a workload would not know it yet',
    )
    at(25)
    await rotateTrustDomain(deps, target)
    const [retired, forced] = await jwt()
    t.same([retired?.state, forced?.state, forced?.forced], ['retired', 'active', true])
    t.same(
      deps.alarms.list().map(({ code, object }) => [code, object]),
      [['authority.forced', 'acme.example jwt']],
    )
    const record = await db
      .selectFrom('audit_record')
      .select('body')
      .where('action', '=', 'authority.activate')
      .where('object', '=', `authority/acme.example/jwt/${forced?.id}`)
      .executeTakeFirstOrThrow()
    t.match(Buffer.from(record.body).toString('utf8'), /"forced":true/)
    t.match(Buffer.from(record.body).toString('utf8'), /holders/)
  },
)

t.test('FE-30 no key signs while a living replica does not serve it', async (t) => {
  const { db } = await testDatabase(t)
  const clock = testClock()
  const keyring = testKeyring()
  const { mesh, domain } = await makeMesh(db, keyring, { now: clock.now(), settings: SECONDS })
  const deps = rotation(db, keyring, clock)
  const target = { meshId: mesh.meshId, trustDomain: domain.name }
  const tick = async (seconds: number): Promise<void> => {
    clock.set(new Date(clock.now().getTime() + seconds * 1000))
    await db.updateTable('replica').set({ seen_at: clock.now() }).execute()
    await rotateTrustDomain(deps, target)
  }
  await db
    .insertInto('replica')
    .values({ id: 'slow', started_at: clock.now(), seen_at: clock.now() })
    .execute()
  const states = async () =>
    (await rowsOf(db)).filter(({ kind }) => kind === 'jwt').map(({ state }) => state)
  await tick(31)
  t.same(await states(), ['active', 'prepared'])
  await tick(21)
  t.same(await states(), ['active', 'prepared'], 'the slow replica holds it up, beyond its time')
  const current = await findCurrent(db, mesh.meshId, domain.name)
  await db
    .insertInto('replica_bundle')
    .values({
      replica_id: 'slow',
      trust_domain: domain.name,
      sequence: current?.sequence ?? 0n,
      since: clock.now(),
    })
    .execute()
  await tick(1)
  t.same(await states(), ['retired', 'active'])
})

t.test(
  'a replica whose clock differs by more than 5 s does nothing by time and says so',
  async (t) => {
    const { db } = await testDatabase(t)
    const clock = testClock()
    const keyring = testKeyring()
    await makeMesh(db, keyring, { now: clock.now(), settings: SECONDS })
    clock.set(new Date(clock.now().getTime() + 31_000))
    const deps = rotation(db, keyring, clock)
    const late = { ...deps, clock: { ...clock, now: () => new Date(clock.now().getTime() + 5001) } }
    await rotateAll(late)
    t.equal((await rowsOf(db)).length, 3)
    t.match(deps.alarms.list(), [{ code: 'clock.differs', service: true }])
    await rotateAll(deps)
    t.ok((await rowsOf(db)).length > 3)
    t.same(deps.alarms.list(), [])
  },
)

t.test('many replicas at once do each act once', async (t) => {
  const { db } = await testDatabase(t)
  const clock = testClock()
  const keyring = testKeyring()
  await makeMesh(db, keyring, { now: clock.now(), settings: SECONDS })
  clock.set(new Date(clock.now().getTime() + 31_000))
  await Promise.all(Array.from({ length: 5 }, () => rotateAll(rotation(db, keyring, clock))))
  const prepared = (await rowsOf(db)).filter(({ state }) => state === 'prepared')
  t.same(
    prepared.map(({ kind }) => kind),
    ['jwt'],
  )
  const active = (await rowsOf(db)).filter(({ state }) => state === 'active')
  t.equal(active.length, 3)
})

t.test(
  'a trust domain whose keys cannot be opened is alarmed and does not keep the others from rotating',
  async (t) => {
    const { db } = await testDatabase(t)
    const clock = testClock()
    const keyring = testKeyring()
    await makeMesh(db, testKeyring(), { meshId: 'lost', now: clock.now(), settings: SECONDS })
    await makeMesh(db, keyring, { meshId: 'acme', now: clock.now(), settings: SECONDS })
    clock.set(new Date(clock.now().getTime() + 31_000))
    const deps = rotation(db, keyring, clock)
    await rotateAll(deps)
    t.match(deps.alarms.list(), [{ code: 'authority.stuck', object: 'lost.example' }])
    const made = await db
      .selectFrom('authority')
      .select(['trust_domain', 'kind'])
      .where('state', '=', 'prepared')
      .orderBy('trust_domain')
      .orderBy('kind')
      .execute()
    t.same(
      made.map((row) => `${row.trust_domain} ${row.kind}`),
      ['acme.example jwt', 'acme.example x509_intermediate', 'lost.example jwt'],
      'what needs no old key is done for it, too',
    )
  },
)

t.test(
  'every CA of three generations has a subject of its own and the ID of its trust domain',
  async (t) => {
    const { db } = await testDatabase(t)
    const clock = testClock()
    const keyring = testKeyring()
    const { domain } = await makeMesh(db, keyring, { now: clock.now(), settings: SECONDS })
    const deps = rotation(db, keyring, clock)
    const subjects = new Set<string>()
    for (let second = 0; second < 150; second += 5) {
      clock.set(new Date(clock.now().getTime() + 5000))
      await rotateAll(deps)
    }
    for (const row of await rowsOf(db)) {
      if (row.certificate === null) continue
      const certificate = readCertificate(row.certificate)
      t.same(certificate.uriSans, [`spiffe://${domain.name}`])
      subjects.add(certificate.subject.toString('hex'))
    }
    const cas = (await rowsOf(db)).filter((row) => row.certificate !== null)
    t.equal(subjects.size, cas.length, 'every CA has a subject of its own')
  },
)
