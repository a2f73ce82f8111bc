import { randomBytes } from 'node:crypto'
import tap, { type Test } from 'tap'
import { systemClock } from '../../src/clock.ts'
import { Changes } from '../../src/db/changes.ts'
import { type Database } from '../../src/db/connect.ts'
import { type MeshId, parseMeshId } from '../../src/db/ids.ts'
import { doctorRoutes } from '../../src/federation/doctor/doctor-routes.ts'
import { instructionRoutes } from '../../src/federation/instructions/instruction-routes.ts'
import { distrustRoutes } from '../../src/federation/trust/distrust-routes.ts'
import { egressRoutes } from '../../src/federation/egress/egress-routes.ts'
import { type RelationshipFounder } from '../../src/federation/hooks.ts'
import { type Federation, openFederation } from '../../src/federation/open-federation.ts'
import { peerBundleRoutes } from '../../src/federation/peer-bundle/peer-bundle-routes.ts'
import { peerReadersOf } from '../../src/federation/peer-readers.ts'
import { relationshipActRoutes } from '../../src/federation/relationship-act-routes.ts'
import { relationshipRoutes } from '../../src/federation/relationship-routes.ts'
import { proposalRoutes } from '../../src/federation/proposal/proposal-routes.ts'
import { standingRoutes } from '../../src/federation/standing-routes.ts'
import { trustRoutes } from '../../src/federation/trust/trust-routes.ts'
import { revisionRoutes } from '../../src/federation/peer-bundle/revision-routes.ts'
import { type RelationshipView } from '../../src/federation/api.ts'
import { Alarms } from '../../src/http/alarms.ts'
import { type App, createApp } from '../../src/http/listener.ts'
import { createLogger } from '../../src/http/log.ts'
import { createMetrics } from '../../src/http/metrics.ts'
import { type Resolve } from '../../src/http/outbound-connect.ts'
import { type TestClock, testClock } from '../support/clock.ts'
import { testDatabase } from '../support/database.ts'
import { type FakeAuthority, type FakePeer } from '../support/fake-peer.ts'
import { makeMesh, testKeyring } from '../support/meshes.ts'

/** An answer of the test app; `body` is its JSON. */
export interface Answer {
  readonly status: number
  // oxlint-disable-next-line typescript/no-explicit-any -- tests look into answers of many shapes
  readonly body: any
  readonly headers: Readonly<Record<string, unknown>>
}

export interface CallOptions {
  readonly body?: object
  readonly ifMatch?: string
}

/** Federation of one service on a database of its own: real SQL, real TLS, a clock that is told. */
export interface FederationApp extends Federation {
  readonly database: Database
  readonly changes: Changes
  readonly clock: TestClock
  readonly meshId: MeshId
  /** Log lines, parsed. */
  readonly lines: Record<string, unknown>[]
  readonly alarms: Alarms
  readonly metrics: ReturnType<typeof createMetrics>
  readonly call: (
    method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
    url: string,
    options?: CallOptions,
  ) => Promise<Answer>
  readonly listen: () => Promise<string>
  /** Makes a relationship with a peer over https_spiffe. */
  readonly addPeer: (peer: FakePeer, change?: object) => Promise<Answer>
  readonly show: (name?: string) => Promise<RelationshipView>
  /** Claims what is due and waits until it was polled. */
  readonly poll: () => Promise<void>
  /** Moves the clock past the next poll of every domain, and polls. */
  readonly pollLater: (seconds?: number) => Promise<void>
}

export interface FederationAppOptions {
  readonly database?: Database
  readonly clock?: TestClock
  readonly owner?: string
  readonly webRoots?: readonly FakeAuthority[]
  readonly redirects?: 'follow' | 'refuse'
  readonly pollMinSeconds?: number
  readonly totalMs?: number
  readonly egressAllow?: readonly string[]
  readonly resolve?: Resolve
  /** Further routes under /v1. */
  readonly mount?: (
    v1: App,
    app: Pick<
      FederationApp,
      'database' | 'clock' | 'outbound' | 'relationshipRoutes' | 'peerGroupRoutes'
    >,
  ) => void
  readonly founders?: readonly RelationshipFounder[]
}

/** A clock of tests that begins now, since the certificates of fake peers are checked by OpenSSL too. */
export function clockFromNow(): TestClock {
  return testClock(new Date(Math.floor(systemClock.now().getTime() / 1000) * 1000))
}

let shared: Promise<Database> | undefined

/** The database of this test file, emptied: opening one costs more than most tests. */
async function emptyDatabase(): Promise<Database> {
  shared ??= testDatabase(tap)
  const database = await shared
  const { db } = database
  await db.deleteFrom('mesh').execute()
  await db.deleteFrom('egress_rule').execute()
  await db.deleteFrom('audit_record').execute()
  return database
}

/** Federation with one mesh, `acme`, that allows connections to localhost. */
export async function federationApp(
  t: Pick<Test, 'teardown'>,
  options: FederationAppOptions = {},
): Promise<FederationApp> {
  const database = options.database ?? (await emptyDatabase())
  const clock = options.clock ?? clockFromNow()
  const lines: Record<string, unknown>[] = []
  const log = createLogger(
    { level: 'info' },
    { write: (line) => void lines.push(JSON.parse(line)) },
  )
  const metrics = createMetrics()
  const alarms = new Alarms({ log, metrics })
  const changes = new Changes({ database, clock: systemClock, log })
  const federation = openFederation({
    database,
    changes,
    clock,
    now: clock.db,
    log,
    metrics,
    alarms,
    owner: options.owner ?? 'replica-1',
    pollMinSeconds: options.pollMinSeconds ?? 60,
    egressAllow: options.egressAllow ?? ['localhost'],
    extraRootsPem: (options.webRoots ?? []).map(({ pem }) => pem),
    redirects: options.redirects ?? 'follow',
    readers: peerReadersOf({ publicUrl: 'https://localhost:8443', secret: randomBytes(32) }),
    dependants: [],
    founders: options.founders ?? [],
    random: () => 0,
    limits: { connectMs: 1500, totalMs: options.totalMs ?? 5000 },
    ...(options.resolve === undefined ? {} : { resolve: options.resolve }),
  })
  const app = createApp({ name: 'admin', log, metrics })
  app.decorateRequest('principal')
  app.addHook('onRequest', async (request) => {
    request.principal = {
      name: 'tester',
      tokenId: '',
      label: 'tester',
      expiresAt: undefined,
      grants: [{ id: 'g', role: 'platform-admin', scope: { kind: 'everything' } }],
    }
  })
  app.register(relationshipRoutes, { ...federation.relationshipRoutes, prefix: '/v1' })
  app.register(relationshipActRoutes, { ...federation.relationshipRoutes, prefix: '/v1' })
  app.register(standingRoutes, { ...federation.relationshipRoutes, prefix: '/v1' })
  app.register(proposalRoutes, { ...federation.relationshipRoutes, prefix: '/v1' })
  app.register(peerBundleRoutes, { ...federation.peerBundleRoutes, prefix: '/v1' })
  app.register(revisionRoutes, { ...federation.relationshipRoutes, prefix: '/v1' })
  app.register(doctorRoutes, { ...federation.relationshipRoutes, prefix: '/v1' })
  app.register(instructionRoutes, { ...federation.relationshipRoutes, prefix: '/v1' })
  app.register(distrustRoutes, { ...federation.distrustRoutes, prefix: '/v1' })
  app.register(trustRoutes, { ...federation.peerBundleRoutes, prefix: '/v1' })
  app.register(egressRoutes, { ...federation.egressRoutes, prefix: '/v1' })
  const { mount } = options
  if (mount !== undefined) {
    const about = { ...federation, database, clock }
    app.register(async (v1: App) => mount(v1, about), { prefix: '/v1' })
  }
  const meshId = parseMeshId('acme')
  if (options.database === undefined) {
    await makeMesh(database.db, testKeyring(), { now: clock.now() })
  }
  await changes.start()
  t.teardown(async () => {
    await federation.scheduler.stop()
    await changes.stop()
    await app.close()
  })

  const call: FederationApp['call'] = async (method, url, { body, ifMatch } = {}) => {
    const headers = ifMatch === undefined ? {} : { 'if-match': ifMatch }
    const answer = await app.inject({
      method,
      url: `/v1${url}`,
      headers,
      ...(body === undefined ? {} : { body }),
    })
    const text = answer.body
    return {
      status: answer.statusCode,
      body: text === '' ? undefined : JSON.parse(text),
      headers: answer.headers,
    }
  }
  const poll = async (): Promise<void> => {
    await federation.scheduler.claim()
    await federation.scheduler.idle()
  }
  return {
    ...federation,
    database,
    changes,
    clock,
    meshId,
    lines,
    alarms,
    metrics,
    call,
    poll,
    listen: () => app.listen({ port: 0, host: '127.0.0.1' }),
    addPeer: (peer, change = {}) =>
      call('POST', '/meshes/acme/relationships', { body: spiffePeer(peer, change) }),
    show: async (name = 'globex') =>
      (await call('GET', `/meshes/acme/relationships/${name}`)).body as RelationshipView,
    pollLater: async (seconds = 300) => {
      await clock.advance(seconds * 1000)
      await poll()
    },
  }
}

/** The body that federates with a peer over https_spiffe. */
export function spiffePeer(peer: FakePeer, change: object = {}): Record<string, unknown> {
  return {
    name: 'globex',
    domains: [
      {
        trustDomain: peer.trustDomain,
        source: 'https_spiffe',
        endpointUrl: peer.url,
        endpointSpiffeId: peer.endpointId,
        bundle: new TextDecoder().decode(peer.document),
      },
    ],
    ...change,
  }
}
