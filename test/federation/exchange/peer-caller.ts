import { createHash, type KeyObject, randomBytes, sign } from 'node:crypto'
import { type Test } from 'tap'
import { Changes } from '../../../src/db/changes.ts'
import { type Database, inTransaction } from '../../../src/db/connect.ts'
import { type MeshId, parseMeshId } from '../../../src/db/ids.ts'
import { createRelationship } from '../../../src/federation/create-relationship.ts'
import { DistrustedKeys } from '../../../src/federation/trust/distrusted-keys.ts'
import { exchangeRoutes } from '../../../src/federation/exchange/exchange-routes.ts'
import { NoticeDesk } from '../../../src/federation/exchange/notice-desk.ts'
import { OurSide } from '../../../src/federation/invite/our-side.ts'
import { PeerCallKeys } from '../../../src/federation/exchange/peer-call-keys.ts'
import { PeerLimits } from '../../../src/federation/exchange/peer-limits.ts'
import { takeNotice } from '../../../src/federation/exchange/take-notice.ts'
import { type App, createApp } from '../../../src/http/listener.ts'
import { createLogger } from '../../../src/http/log.ts'
import { createMetrics } from '../../../src/http/metrics.ts'
import { generateKeyPair, keyId, publicJwk } from '../../../src/pki/key-pair.ts'
import { type Bundle, writeBundle } from '../../../src/spiffe/bundle.ts'
import { exchangeId } from '../../../src/spiffe/spiffe-id.ts'
import { parseTrustDomain } from '../../../src/spiffe/trust-domain.ts'
import { systemClock } from '../../../src/clock.ts'
import { type TestClock } from '../../support/clock.ts'
import { testDatabase } from '../../support/database.ts'
import { makeMesh, testKeyring } from '../../support/meshes.ts'
import { clockFromNow } from '../federation-app.ts'

const nothing = async (): Promise<undefined> => undefined

/** The receiving side of peer calls: real SQL, real routes, a clock that is told. */
export interface Receiver {
  readonly app: App
  readonly database: Database
  readonly clock: TestClock
  readonly metrics: ReturnType<typeof createMetrics>
  readonly lines: Record<string, unknown>[]
  readonly desk: NoticeDesk
  /** How often due polls and asks were to be looked at. */
  kicks(): number
}

/** A receiver with the meshes `acme` and `beta`. */
export async function openReceiver(t: Pick<Test, 'teardown'>): Promise<Receiver> {
  const database = await testDatabase(t)
  const clock = clockFromNow()
  const lines: Record<string, unknown>[] = []
  const log = createLogger(
    { level: 'info' },
    { write: (line) => void lines.push(JSON.parse(line)) },
  )
  const metrics = createMetrics()
  const changes = new Changes({ database, clock: systemClock, log })
  const { db } = database
  for (const meshId of ['acme', 'beta']) {
    await makeMesh(db, testKeyring(), { meshId, now: clock.now() })
  }
  const keys = new PeerCallKeys(new DistrustedKeys(changes))
  const limits = new PeerLimits(clock)
  let kicks = 0
  const kick = (): void => void (kicks += 1)
  const taking = { db, clock, keys, limits, metrics, now: clock.db, kick }
  const desk = new NoticeDesk({
    take: (arrived, notice) => takeNotice(taking, arrived, notice),
    log,
  })
  const app = createApp({ name: 'federation', log, metrics })
  app.register(exchangeRoutes, {
    db,
    clock,
    keys,
    limits,
    side: new OurSide({ publicUrl: 'https://localhost:8443', secret: new Uint8Array(32) }),
    metrics,
    log,
    takeLater: (arrived, notice) => desk.add(arrived, notice),
  })
  t.teardown(() => app.close())
  return { app, database, clock, metrics, lines, desk, kicks: () => kicks }
}

/** A peer that signs tokens, right or wrong. */
export class Caller {
  readonly name: string
  readonly keys = generateKeyPair()
  readonly kid = keyId(this.keys.publicKey)

  constructor(name: string) {
    this.name = name
  }

  get trustDomain() {
    return parseTrustDomain(`${this.name}.example`)
  }

  get id() {
    return exchangeId(this.trustDomain)
  }

  /** Its bundle: its JWT key, and the X.509 authorities given. */
  bundle(x509Authorities: Bundle['x509Authorities'] = []): Uint8Array {
    return writeBundle({
      trustDomain: this.trustDomain,
      sequence: 1n,
      refreshHintSeconds: 300,
      x509Authorities,
      jwtAuthorities: [{ kid: this.kid, jwk: publicJwk(this.keys.publicKey) }],
    })
  }

  /** A token for a call, as it must be but for the changes. */
  token(call: TokenWish, now: Date): string {
    const seconds = Math.floor(now.getTime() / 1000)
    const { method = 'GET', path = '/federation/v1/relationship', body = '' } = call
    const claims = {
      sub: this.id,
      aud: ['spiffe://acme.example/entente/exchange'],
      iat: seconds,
      exp: seconds + 60,
      jti: randomBytes(16).toString('base64url'),
      entente_call: {
        method,
        path,
        bodySha256: createHash('sha256').update(body).digest('base64url'),
      },
      ...call.claims,
    }
    const header = { alg: 'ES256', kid: this.kid, typ: 'JWT', ...call.header }
    return signed(header, claims, call.by ?? this.keys.privateKey)
  }
}

export interface TokenWish {
  readonly method?: string
  readonly path?: string
  readonly body?: string
  readonly claims?: object
  readonly header?: object
  readonly by?: KeyObject
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

function signed(header: object, claims: object, key: KeyObject): string {
  const input = `${encode(header)}.${encode(claims)}`
  const signer = { key, dsaEncoding: 'ieee-p1363' as const }
  return `${input}.${sign('sha256', Buffer.from(input), signer).toString('base64url')}`
}

/** Makes a mesh of a receiver know a caller as an Entente peer, with the bundle given or its own. */
export async function befriend(
  { database, clock }: Receiver,
  caller: Caller,
  about: { readonly mesh?: string; readonly bundle?: Uint8Array; readonly exchange?: boolean } = {},
): Promise<{ readonly meshId: MeshId; readonly id: string }> {
  const meshId = parseMeshId(about.mesh ?? 'acme')
  const { db } = database
  const bundle = new TextDecoder().decode(about.bundle ?? caller.bundle())
  const { id } = await inTransaction(db, (trx) =>
    createRelationship(trx, meshId, {
      draft: {
        name: caller.name,
        domains: [{ trustDomain: caller.trustDomain, source: 'static', bundle }],
      },
      context: { actor: 'test', now: clock.now() },
      readers: {
        create: async (trx, mesh, { relationshipId }) => {
          await nothing()
          void [trx, mesh]
          return relationshipId
        },
        urls: async () => () => '',
        relayUrls: async () => () => '',
        ownEndpoints: async () => [],
        remove: nothing,
      },
    }),
  )
  if (about.exchange ?? true) {
    await db
      .updateTable('relationship')
      .set({
        their_exchange_id: caller.id,
        their_exchange_url: 'https://localhost:1/federation/v1',
      })
      .where('id', '=', id)
      .execute()
    await db
      .insertInto('peer_exchange')
      .values({
        mesh_id: meshId,
        relationship_id: id,
        next_at: new Date(clock.now().getTime() + 3e5),
      })
      .execute()
  }
  return { meshId, id }
}

/** One GET of the status with a token. */
export async function askWith({ app }: Receiver, token: string | undefined) {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const answer = await app.inject({ url: '/federation/v1/relationship', headers })
  return { status: answer.statusCode, body: answer.json(), headers: answer.headers }
}
