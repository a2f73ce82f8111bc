import { type Test } from 'tap'
import { Signers } from '../../src/authority/signers.ts'
import { CurrentBundles } from '../../src/bundle/current.ts'
import { systemClock } from '../../src/clock.ts'
import { inTransaction } from '../../src/db/connect.ts'
import { type Resolve } from '../../src/http/outbound-connect.ts'
import { createCsr } from '../../src/pki/csr.ts'
import { generateKeyPair } from '../../src/pki/key-pair.ts'
import { createJoinToken } from '../../src/registry/join-tokens.ts'
import { type IssueDeps } from '../../src/svid/deps.ts'
import { REATTEST_AFTER_SECONDS } from '../../src/svid/evidence.ts'
import { issueX509 } from '../../src/svid/issue-x509.ts'
import { OwnBundles } from '../../src/svid/own-bundles.ts'
import { IssuanceUsage } from '../../src/svid/issuance-usage.ts'
import { RateLimiter } from '../../src/svid/rate-limit.ts'
import { IssuedReader, IssuedWriter } from '../../src/svid/record-issued.ts'
import { clockFromNow, type FederationApp, federationApp } from '../federation/federation-app.ts'
import { quiet, testDatabase } from './database.ts'
import { HostilePeer } from './hostile-peer.ts'
import { makeMesh, testKeyring } from './meshes.ts'

/** A service with two peers: one that is told to misbehave, and a healthy one beside it. */
export interface Stage {
  readonly app: FederationApp
  /** `globex.example`, relationship `globex`. */
  readonly peer: HostilePeer
  /** `initech.example`, relationship `initech`. */
  readonly healthy: HostilePeer
  /** Issues an X509-SVID by a fresh join token and tells which domains' bundles came with it. */
  readonly issue: () => Promise<readonly string[]>
}

export interface StageOptions {
  /** What the egress policy opens; default exactly the two peers' ports on localhost. */
  readonly egressAllow?: (peers: { peer: HostilePeer; healthy: HostilePeer }) => readonly string[]
  readonly resolve?: Resolve
  /** The host under which the misbehaving peer is known. */
  readonly host?: string
  readonly trustDomain?: string
}

/** Total time of a fetch on this stage: long for a good peer, short for a test. */
export const TOTAL_MS = 1500

const MESH = '/meshes/acme/relationships'

/** Builds the stage, both peers fetched once and in force. */
export async function hostileStage(t: Test, options: StageOptions = {}): Promise<Stage> {
  const peer = await HostilePeer.open(t, options.trustDomain ?? 'globex.example')
  const healthy = await HostilePeer.open(t, 'initech.example')
  const database = await testDatabase(t)
  const clock = clockFromNow()
  const keyring = testKeyring()
  await makeMesh(database.db, keyring, { now: clock.now() })
  const app = await federationApp(t, {
    database,
    clock,
    totalMs: TOTAL_MS,
    egressAllow: options.egressAllow?.({ peer, healthy }) ?? [
      `localhost:${peer.port}`,
      `localhost:${healthy.port}`,
    ],
    ...(options.resolve === undefined ? {} : { resolve: options.resolve }),
  })
  await federate(app, 'globex', peer, options.host)
  await federate(app, 'initech', healthy)
  await app.poll()
  const changes = { on: () => undefined, silentMs: 0 }
  const current = new CurrentBundles({
    db: database.db,
    changes,
    clock,
    log: quiet,
    staleSeconds: 3600,
  })
  await current.start()
  const deps: IssueDeps = {
    db: database.db,
    now: clock.db,
    clock,
    signers: new Signers({ db: database.db, keyring, clock, changes }),
    bundles: new OwnBundles(current),
    peers: app.peerBundles,
    writer: new IssuedWriter(database.db),
    reader: new IssuedReader(database.db),
    usage: new IssuanceUsage(systemClock),
    limiter: new RateLimiter({ clock: systemClock }),
    reattestAfterSeconds: REATTEST_AFTER_SECONDS,
  }
  return { app, peer, healthy, issue: () => issueOne(app, deps) }
}

/** Federates the app's mesh with a peer over https_spiffe. */
export async function federate(
  app: FederationApp,
  name: string,
  peer: HostilePeer,
  host?: string,
): Promise<void> {
  const made = await app.call('POST', MESH, {
    body: {
      name,
      domains: [
        {
          trustDomain: peer.trustDomain,
          source: 'https_spiffe',
          endpointUrl: peer.at('/bundle', host),
          endpointSpiffeId: peer.endpointId,
          bundle: new TextDecoder().decode(peer.document),
        },
      ],
    },
  })
  if (made.status !== 201) throw new Error(JSON.stringify(made.body))
}

let sources = 0

async function issueOne(app: FederationApp, deps: IssueDeps): Promise<readonly string[]> {
  const { token } = await inTransaction(deps.db, (trx) =>
    createJoinToken(trx, app.meshId, {
      wanted: { spiffeId: '/web', address: 'localhost:8444' },
      context: { actor: 'tester', now: app.clock.now() },
    }),
  )
  const source = `10.1.${(sources += 1) >> 8}.${sources & 255}`
  const issued = await issueX509(deps, {
    csr: createCsr(generateKeyPair()),
    evidence: { token, source },
  })
  return issued.federated.bundles.map(({ trustDomain }) => trustDomain).toSorted()
}
