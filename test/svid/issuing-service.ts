import { request as httpsRequest } from 'node:https'
import { type AddressInfo } from 'node:net'
import { type Test } from 'tap'
import { findEndpointIssuer } from '../../src/authority/endpoint-issuer.ts'
import {
  issueEndpointSvid,
  keyPemOf,
  openEndpointIssuer,
} from '../../src/authority/endpoint-svid.ts'
import { Signers } from '../../src/authority/signers.ts'
import { CurrentBundles } from '../../src/bundle/current.ts'
import { type Database, inTransaction } from '../../src/db/connect.ts'
import { type MeshId, parseMeshId } from '../../src/db/ids.ts'
import { type Keyring } from '../../src/db/keyring.ts'
import { PeerBundles } from '../../src/federation/peer-bundle/peer-bundles.ts'
import { type App, createApp } from '../../src/http/listener.ts'
import { createLogger } from '../../src/http/log.ts'
import { createMetrics } from '../../src/http/metrics.ts'
import { SniContexts } from '../../src/http/tls.ts'
import { splitPem, toPem } from '../../src/pki/certificate.ts'
import { createCsr } from '../../src/pki/csr.ts'
import { exportPrivateKey, generateKeyPair, type KeyPair } from '../../src/pki/key-pair.ts'
import { createJoinToken, type NewJoinToken } from '../../src/registry/join-tokens.ts'
import { workloadEndpointId } from '../../src/spiffe/spiffe-id.ts'
import { parseTrustDomain, type TrustDomain } from '../../src/spiffe/trust-domain.ts'
import { type X509AnswerView } from '../../src/svid/api.ts'
import { Callers } from '../../src/svid/caller.ts'
import { type IssueDeps } from '../../src/svid/deps.ts'
import { REATTEST_AFTER_SECONDS } from '../../src/svid/evidence.ts'
import { type IdentifyDeps } from '../../src/svid/identify.ts'
import { OwnBundles } from '../../src/svid/own-bundles.ts'
import { IssuanceUsage } from '../../src/svid/issuance-usage.ts'
import { RateLimiter } from '../../src/svid/rate-limit.ts'
import { IssuedReader, IssuedWriter } from '../../src/svid/record-issued.ts'
import { svidRoutes } from '../../src/svid/routes.ts'
import { type TestClock, testClock } from '../support/clock.ts'
import { quiet, testDatabase } from '../support/database.ts'
import { makeMesh, testKeyring } from '../support/meshes.ts'

/** A workload: its key and, once it has one, its SVID. */
export interface Workload {
  readonly keys: KeyPair
  readonly chain?: string
}

export interface WorkloadAnswer {
  readonly status: number
  // oxlint-disable-next-line typescript/no-explicit-any -- tests look into answers of many shapes
  readonly body: any
  readonly text: string
  readonly headers: Record<string, string | string[] | undefined>
}

export interface CallOptions {
  readonly body?: object
  /** Shows this SVID and proves its key. */
  readonly as?: { readonly keys: KeyPair; readonly chain: string }
  readonly headers?: Record<string, string>
  readonly port?: number
}

/** The workload listener over real TLS, with meshes in a database of its own. */
export interface IssuingService {
  readonly database: Database
  readonly clock: TestClock
  readonly keyring: Keyring
  readonly meshId: MeshId
  readonly trustDomain: TrustDomain
  readonly deps: IssueDeps
  readonly port: number
  readonly metrics: ReturnType<typeof createMetrics>
  readonly lines: readonly string[]
  readonly call: (method: string, path: string, options?: CallOptions) => Promise<WorkloadAnswer>
  /** A join token for a path. */
  readonly token: (path?: string, wanted?: Partial<NewJoinToken>) => Promise<string>
  /** An X509-SVID by a fresh join token. */
  readonly join: (
    path?: string,
  ) => Promise<{ keys: KeyPair; chain: string; answer: X509AnswerView }>
  /** Reads bundles and authorities again, as a change would make it. */
  readonly reload: () => Promise<void>
}

export interface IssuingOptions {
  readonly deps?: (deps: IssueDeps) => IssueDeps
  readonly settings?: Record<string, number>
  readonly mostAudiences?: number
  /** More routes under `/v1`, which are told how to find out who asks. */
  readonly mount?: (app: App, who: IdentifyDeps) => void
}

export async function issuingService(
  t: Test,
  options: IssuingOptions = {},
): Promise<IssuingService> {
  const database = await testDatabase(t)
  const { db } = database
  const clock = testClock()
  const keyring = testKeyring()
  await makeMesh(db, keyring, { now: clock.now(), settings: options.settings })
  const meshId = parseMeshId('acme')
  const trustDomain = parseTrustDomain('acme.example')
  const changes = { on: () => undefined, silentMs: 0 }
  const current = new CurrentBundles({ db, changes, clock, log: quiet, staleSeconds: 3600 })
  const signers = new Signers({ db, keyring, clock, changes })
  const bundles = new OwnBundles(current)
  const reload = async (): Promise<void> => {
    signers.forget(meshId)
    await current.start()
  }
  await reload()
  const made: IssueDeps = {
    db,
    now: clock.db,
    clock,
    signers,
    bundles,
    peers: new PeerBundles(db, changes),
    writer: new IssuedWriter(db),
    reader: new IssuedReader(db),
    usage: new IssuanceUsage(clock),
    limiter: new RateLimiter({ clock }),
    reattestAfterSeconds: REATTEST_AFTER_SECONDS,
  }
  const deps = options.deps?.(made) ?? made
  const lines: string[] = []
  const log = createLogger({ level: 'info' }, { write: (line) => void lines.push(line) })
  const metrics = createMetrics()
  const contexts = new SniContexts()
  const tls = contexts.serverOptions('asked')
  const app = createApp({ name: 'workload', log, metrics, tls, http2: true })
  const { mostAudiences } = options
  const callers = new Callers(bundles, clock)
  app.register(async (v1: App) => options.mount?.(v1, { deps, callers }), { prefix: '/v1' })
  app.register(svidRoutes, {
    prefix: '/v1',
    deps,
    callers,
    metrics,
    ...(mostAudiences === undefined ? {} : { mostAudiences }),
  })
  const server = { db, keyring, clock, meshId, trustDomain }
  contexts.replaceAll(new Map([[trustDomain, await endpointPair(server)]]))
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  const { port } = app.server.address() as AddressInfo
  const call: IssuingService['call'] = (method, path, given = {}) =>
    callWorkload({ port, trustDomain, method, path, ...given })
  const token: IssuingService['token'] = async (path = '/web', wanted = {}) => {
    const created = await inTransaction(db, (trx) =>
      createJoinToken(trx, meshId, {
        wanted: { spiffeId: path, address: `127.0.0.1:${port}`, ...wanted },
        context: { actor: 'tester', now: clock.now() },
      }),
    )
    return created.token
  }
  const join: IssuingService['join'] = async (path) => {
    const keys = generateKeyPair()
    const body = { csr: csrOf(keys), token: await token(path) }
    const { status, body: answer, text } = await call('POST', '/svids/x509', { body })
    if (status !== 200) throw new Error(`join failed: ${text}`)
    return {
      keys,
      chain: (answer as X509AnswerView).certificateChain,
      answer: answer as X509AnswerView,
    }
  }
  return {
    database,
    clock,
    keyring,
    meshId,
    trustDomain,
    deps,
    port,
    metrics,
    lines,
    call,
    token,
    join,
    reload,
  }
}

/** A CSR for a key, as PEM. */
export function csrOf(keys: KeyPair): string {
  return toPem(createCsr(keys), 'CERTIFICATE REQUEST')
}

/** DER of a PEM chain. */
export function chainOf(pem: string): Uint8Array[] {
  return splitPem(pem)
}

async function endpointPair(of: {
  db: Database['db']
  keyring: Keyring
  clock: TestClock
  meshId: MeshId
  trustDomain: TrustDomain
}): Promise<{ cert: string; key: string }> {
  const { db, keyring, clock, meshId, trustDomain } = of
  const now = clock.now()
  const from = await openEndpointIssuer(
    db,
    await findEndpointIssuer(db, meshId, { trustDomain, now }),
    keyring,
  )
  const id = workloadEndpointId(trustDomain)
  const svid = issueEndpointSvid(from, { id, dnsNames: [], seconds: 86_400, now })
  const chain = [svid.certificate, svid.intermediate, svid.root]
  return { cert: chain.map((der) => toPem(der)).join(''), key: keyPemOf(svid) }
}

/** One request over a connection of its own, its TLS client as careless as a test may be. */
export function callWorkload(
  given: CallOptions & {
    readonly port: number
    readonly trustDomain: string
    readonly method: string
    readonly path: string
  },
): Promise<WorkloadAnswer> {
  const { as, body } = given
  const payload = body === undefined ? undefined : JSON.stringify(body)
  return new Promise((resolve, reject) => {
    const request = httpsRequest(
      {
        host: '127.0.0.1',
        port: given.port,
        servername: given.trustDomain,
        rejectUnauthorized: false,
        agent: false,
        method: given.method,
        path: `/v1${given.path}`,
        headers: {
          ...(payload === undefined ? {} : { 'content-type': 'application/json' }),
          ...given.headers,
        },
        ...(as === undefined ? {} : { cert: as.chain, key: keyPem(as.keys) }),
      },
      (response) => {
        const parts: Buffer[] = []
        response.on('data', (part: Buffer) => parts.push(part))
        response.on('end', () => {
          const text = Buffer.concat(parts).toString()
          const parsed: unknown = text.startsWith('{') ? JSON.parse(text) : undefined
          const { statusCode: status = 0, headers } = response
          resolve({ status, text, headers, body: parsed })
        })
      },
    )
    request.on('error', reject)
    request.end(payload)
  })
}

/** A private key as PEM. */
export function keyPem(keys: KeyPair): string {
  return toPem(exportPrivateKey(keys.privateKey), 'PRIVATE KEY')
}
