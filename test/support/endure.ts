import { type Test } from 'tap'
import { type RelationshipDomainView } from '../../src/federation/api.ts'
import { MAX_SEQUENCE } from '../../src/spiffe/bundle.ts'
import { type HostilePeer } from './hostile-peer.ts'
import { type Stage } from './hostile-stage.ts'

/** One way in which a peer misbehaves, and what comes of it. */
export interface HostileCase {
  /** A sentence. */
  readonly title: string
  /** Tells the peer what to do at the next poll; it stays so until told otherwise. */
  readonly arrange: (peer: HostilePeer, stage: Stage) => unknown
  /** What the poll says: the error, or the warnings of a document that was taken. */
  readonly says: RegExp
  /** Refused, with the stored bundle as it was; or taken, with the same authorities in force as before. */
  readonly outcome?: 'refused' | 'taken'
  /** The poll lasts until a limit ends it; the healthy peer must be done long before. */
  readonly hangs?: boolean
  /** What else must hold afterwards. */
  readonly afterwards?: (t: Test, stage: Stage) => unknown
}

let sequence = 1n

/**
 * Polls the misbehaving peer once and shows what else went on meanwhile: the healthy peer's new bundle arrived,
 * SVIDs were issued during the poll and after it, and what was stored of the misbehaving peer is as before.
 */
export async function endure(t: Test, stage: Stage, hostile: HostileCase): Promise<void> {
  const { app, peer, healthy, issue } = stage
  const before = await factsOf(stage)
  sequence += 1n
  healthy.document = healthy.bundle(sequence)
  await hostile.arrange(peer, stage)
  app.lines.length = 0
  await app.clock.advance(300_000)
  await app.database.db.updateTable('poll').set({ next_at: app.clock.now() }).execute()
  const polling = app.poll()
  t.same(await issue(), ['globex.example', 'initech.example'], 'issuing during the poll')
  await polling
  checkHealthy(t, stage, await domainOf(stage, 'initech'), hostile)
  t.same(await issue(), ['globex.example', 'initech.example'], 'issuing after the poll')
  const after = await factsOf(stage)
  t.same(after.roots, before.roots, 'the same authorities are in force')
  t.equal(after.state, 'active')
  if (hostile.outcome === 'taken') checkTaken(t, stage, { hostile, domain: after.domain })
  else checkRefused(t, { hostile, before: before.domain, after: after.domain })
  await hostile.afterwards?.(t, stage)
}

/** Runs a table of cases, then shows that the peer is taken again once it behaves. */
export async function endureAll(
  t: Test,
  stage: Stage,
  cases: readonly HostileCase[],
): Promise<void> {
  for (const hostile of cases) await t.test(hostile.title, (t) => endure(t, stage, hostile))
  await t.test('and when the peer behaves again it is taken again', async (t) => {
    const { peer } = stage
    const arrange = async (): Promise<void> => {
      peer.credential = await peer.root.issue({ uris: [peer.endpointId] })
      peer.onConnection = peer.good()
      peer.document = peer.bundle(MAX_SEQUENCE)
    }
    await endure(t, stage, { title: '', arrange, says: /^$/, outcome: 'taken' })
  })
}

interface Facts {
  readonly state: string
  readonly domain: RelationshipDomainView
  readonly roots: readonly string[]
}

async function factsOf(stage: Stage): Promise<Facts> {
  const { app, peer } = stage
  const { state } = await app.show('globex')
  const inForce = (await app.peerBundles.of(app.meshId)).get(peer.trustDomain)
  const roots = (inForce?.bundle.x509Authorities ?? []).map(({ certificate }) =>
    Buffer.from(certificate).toString('base64'),
  )
  return { state, domain: await domainOf(stage, 'globex'), roots }
}

async function domainOf({ app }: Stage, name: string): Promise<RelationshipDomainView> {
  const [domain] = (await app.show(name)).domains
  if (domain === undefined) throw new Error(`${name} has no domain`)
  return domain
}

function checkHealthy(
  t: Test,
  { app }: Stage,
  domain: RelationshipDomainView,
  { hangs = false }: HostileCase,
): void {
  t.match(domain, { bundle: { sequence: String(sequence) }, poll: { lastError: null } })
  if (!hangs) return
  const polled = app.lines
    .filter(({ event }) => event === 'federation.fetched')
    .map(({ relationship }) => relationship)
  t.same(polled, ['initech', 'globex'], 'the healthy peer did not wait')
}

function checkTaken(
  t: Test,
  { app }: Stage,
  { hostile, domain }: { hostile: HostileCase; domain: RelationshipDomainView },
): void {
  const line = app.lines.find(
    ({ event, relationship }) => event === 'federation.fetched' && relationship === 'globex',
  )
  t.match(line?.['reason'] ?? '', hostile.says)
  t.match(domain.poll, { failures: 0, lastError: null })
}

function checkRefused(
  t: Test,
  {
    hostile,
    before,
    after,
  }: {
    hostile: HostileCase
    before: RelationshipDomainView
    after: RelationshipDomainView
  },
): void {
  t.match(after.poll, { lastError: hostile.says })
  t.same(
    { ...after.bundle, ageSeconds: 0 },
    { ...before.bundle, ageSeconds: 0 },
    'the stored bundle is as before',
  )
  t.equal(after.poll?.failures, (before.poll?.failures ?? 0) + 1)
}
