import { type Test } from 'tap'
import { offerRoutes } from '../../src/catalog/offer-routes.ts'
import { serviceRoutes } from '../../src/catalog/routes.ts'
import { bumpChange } from '../../src/db/changes.ts'
import { type Db, inTransaction } from '../../src/db/connect.ts'
import { type MeshId, newId, parseMeshId } from '../../src/db/ids.ts'
import { type RelationshipState } from '../../src/db/schema.ts'
import { type DbClock } from '../../src/db/time.ts'
import { createApp } from '../../src/http/listener.ts'
import { createLogger } from '../../src/http/log.ts'
import { createMetrics } from '../../src/http/metrics.ts'
import { createMesh } from '../../src/mesh/create-mesh.ts'
import { bindingRoutes } from '../../src/policy/binding/binding-routes.ts'
import { explainRoutes } from '../../src/policy/explain/explain-routes.ts'
import { seedPosture } from '../../src/policy/change/posture.ts'
import { ruleRoutes } from '../../src/policy/change/rule-routes.ts'
import { Snapshots } from '../../src/policy/snapshot/snapshots.ts'
import { parseEndpointUrl } from '../../src/spiffe/endpoint-profile.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'
import { testClock } from '../support/clock.ts'
import { testDatabase } from '../support/database.ts'
import { addBundle } from './peer-bundle.ts'
import { trustDeps } from './explain/trust-deps.ts'

/** An answer of a test app; `body` is its JSON. */
export interface Answer {
  readonly status: number
  // oxlint-disable-next-line typescript/no-explicit-any -- tests look into answers of many shapes
  readonly body: any
  readonly headers: Readonly<Record<string, unknown>>
}

/** The routes of catalogue and policy on a database of their own, with the clock that decides. */
export interface PolicyApp {
  readonly db: Db
  readonly clock: ReturnType<typeof testClock>
  readonly snapshots: Snapshots
  readonly call: (
    method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
    url: string,
    options?: CallOptions,
  ) => Promise<Answer>
  /** Listens on loopback and answers with the base URL. */
  readonly listen: () => Promise<string>
}

/** What a call may carry. */
export interface CallOptions {
  readonly body?: object
  readonly ifMatch?: string
}

/** The routes of catalogue and policy under `/v1`, called by `tester`. */
export async function policyApp(t: Pick<Test, 'teardown'>): Promise<PolicyApp> {
  const { db } = await testDatabase(t)
  const clock = testClock()
  const log = createLogger({ level: 'error' }, { write: () => undefined })
  const snapshots = new Snapshots({ db, log })
  const app = createApp({ name: 'admin', log, metrics: createMetrics() })
  app.decorateRequest('principal')
  app.addHook('onRequest', async (request) => {
    request.principal = {
      name: 'tester',
      tokenId: '',
      label: 'tester',
      expiresAt: undefined,
      grants: [{ id: '', role: 'platform-admin', scope: { kind: 'everything' } }],
    }
  })
  const options = { db, now: clock.db, snapshots, prefix: '/v1' }
  app.register(serviceRoutes, options)
  app.register(offerRoutes, options)
  app.register(ruleRoutes, options)
  app.register(bindingRoutes, options)
  app.register(explainRoutes, { ...options, ...trustDeps() })
  t.teardown(() => app.close())
  return {
    db,
    clock,
    snapshots,
    listen: () => app.listen({ port: 0, host: '127.0.0.1' }),
    call: async (method, url, { body, ifMatch } = {}) => {
      const headers = ifMatch === undefined ? {} : { 'if-match': ifMatch }
      const answer = await app.inject({
        method,
        url: `/v1${url}`,
        headers,
        ...(body && { payload: body }),
      })
      return { status: answer.statusCode, body: answer.json(), headers: answer.headers }
    },
  }
}

/** Makes a mesh `<name>` with trust domain `<name>.example` and its seeded posture. */
export async function addMesh(db: Db, name: string, now: DbClock): Promise<MeshId> {
  const meshId = parseMeshId(name)
  const deps = {
    publicUrl: 'https://localhost:8443',
    defaultSettings: {},
    hasWebCertificate: false,
    founders: [seedPosture],
  }
  await inTransaction(db, async (trx) => {
    const context = { actor: 'tester', now: await now(trx) }
    await createMesh(trx, deps, {
      wanted: { meshId, trustDomain: parseTrustDomain(`${name}.example`) },
      context,
    })
  })
  return meshId
}

/** A relationship `<name>` with trust domain `<domain>`, in a state, as federation stores it; a pending one has no bundle. */
export async function addRelationship(
  db: Db,
  meshId: MeshId,
  one: { readonly name: string; readonly domain?: string; readonly state?: RelationshipState },
): Promise<string> {
  const id = newId()
  await db
    .insertInto('relationship')
    .values({
      mesh_id: meshId,
      id,
      name: one.name,
      peer_mesh_name: null,
      our_consent: 'given',
      their_consent: 'assumed',
      state: one.state ?? 'active',
      change_policy: 'auto',
      hint_min_seconds: null,
      hint_max_seconds: null,
      note: null,
      created_at: new Date(0),
      activated_at: null,
      terminated_at: null,
    })
    .execute()
  await db
    .insertInto('relationship_domain')
    .values({
      mesh_id: meshId,
      relationship_id: id,
      trust_domain: parseTrustDomain(one.domain ?? `${one.name}.example`),
      source: 'https_web',
      endpoint_url: parseEndpointUrl(`https://${one.name}.example/bundle`),
      endpoint_spiffe_id: null,
      reader_id: null,
    })
    .execute()
  const trustDomain = parseTrustDomain(one.domain ?? `${one.name}.example`)
  if (one.state !== 'pending') {
    await addBundle(db, meshId, { relationshipId: id, trustDomain, now: new Date(0) })
  }
  return id
}

/** Puts a relationship into another state, as federation would: the row, and a bump of its topic. */
export async function setState(
  db: Db,
  meshId: MeshId,
  name: string,
  state: RelationshipState,
): Promise<void> {
  await db
    .updateTable('relationship')
    .set({ state })
    .where('mesh_id', '=', meshId)
    .where('name', '=', name)
    .execute()
  await bump(db, meshId)
}

async function bump(db: Db, meshId: MeshId): Promise<void> {
  await inTransaction(db, (trx) => bumpChange(trx, meshId, 'relationship'))
}
