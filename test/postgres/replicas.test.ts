import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { POSTGRES_URL, testPostgresUrl } from '../support/database.ts'
import { FakePeer } from '../support/fake-peer.ts'
import {
  type ServiceProcess,
  adminCall,
  bundleAnswer,
  postgresEnvironment,
  startProcess,
} from '../support/process.ts'
import { untilTrue } from '../support/until.ts'
import { testFolder } from '../support/test-folder.ts'

const server = POSTGRES_URL
const skip = server === undefined && 'needs ENTENTE_TEST_DATABASE_URL (a PostgreSQL server)'

/** The peers' hint in seconds: long enough that start-up noise does not count, short enough for a test. */
const HINT = 4

async function addPeer(service: ServiceProcess, token: string, peer: FakePeer) {
  peer.document = peer.bundle(1n, { hint: HINT })
  return adminCall(service, {
    method: 'POST',
    path: '/meshes/acme/relationships',
    token,
    body: {
      name: peer.trustDomain.replace('.example', ''),
      domains: [
        {
          trustDomain: peer.trustDomain,
          source: 'https_spiffe',
          endpointUrl: peer.url,
          endpointSpiffeId: peer.endpointId,
          bundle: Buffer.from(peer.document).toString('utf8'),
        },
      ],
    },
  })
}

t.test(
  'three replicas on one database share polls, serve the same bundle, and take over from a killed one',
  { skip, timeout: 180_000 },
  async (t) => {
    if (server === undefined) return
    const environment = {
      ...postgresEnvironment(testFolder(t), await testPostgresUrl(t, server)),
      ENTENTE_POLL_MIN_SECONDS: '1',
      ENTENTE_EGRESS_ALLOW: 'localhost',
    }
    const token = readFileSync(environment.ENTENTE_ADMIN_TOKEN_FILE, 'utf8').trim()
    const replicas = await Promise.all([1, 2, 3].map(() => startProcess(t, environment)))
    const [first, second] = replicas
    if (!first || !second) throw new Error('three were started')
    const body = { meshId: 'acme', trustDomain: 'acme.example' }
    const made = await adminCall(first, { method: 'POST', path: '/meshes', token, body })
    t.equal(made.status, 201)
    for (const replica of replicas) {
      t.ok(
        await untilTrue(async () => (await bundleAnswer(replica, 'acme.example')).status === 200),
        'a mesh made on one replica is served by all',
      )
    }
    const answers = await Promise.all(replicas.map((one) => bundleAnswer(one, 'acme.example')))
    t.equal(
      new Set(answers.map((one) => one.text)).size,
      1,
      'and its bytes are the same everywhere',
    )

    const peers = await Promise.all(
      [0, 1, 2, 3, 4, 5].map((i) => FakePeer.open(t, `peer-${i}.example`)),
    )
    for (const [i, peer] of peers.entries()) {
      const added = await addPeer(replicas[i % 3] ?? first, token, peer)
      t.equal(added.status, 201, `${peer.trustDomain} is added`)
    }
    t.ok(
      await untilTrue(async () => peers.every((peer) => peer.requests.length >= 1)),
      'all were polled',
    )
    const before = peers.map((peer) => peer.requests.length)
    await delay(3 * HINT * 1000)
    const polls = peers.map((peer, i) => peer.requests.length - (before[i] ?? 0))
    t.ok(
      polls.every((count) => count >= 2 && count <= 4),
      `each peer was polled once an interval by all replicas together: ${polls.join(' ')}`,
    )

    second.kill('SIGKILL')
    await second.ended()
    const atKill = peers.map((peer) => peer.requests.length)
    t.ok(
      await untilTrue(async () =>
        peers.every((peer, i) => peer.requests.length > (atKill[i] ?? 0) + 1),
      ),
      'every peer is polled on by those that live',
    )
  },
)
