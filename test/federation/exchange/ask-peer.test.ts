import { createHash } from 'node:crypto'
import { type IncomingMessage, type ServerResponse } from 'node:http'
import t, { type Test } from 'tap'
import { bumpChange } from '../../../src/db/changes.ts'
import { inTransaction } from '../../../src/db/connect.ts'
import { DistrustedKeys } from '../../../src/federation/trust/distrusted-keys.ts'
import { OurSide } from '../../../src/federation/invite/our-side.ts'
import { openExchange } from '../../../src/federation/exchange/open-exchange.ts'
import { verifyPeerCall } from '../../../src/federation/exchange/peer-call-token.ts'
import { generateKeyPair, keyId, publicJwk } from '../../../src/pki/key-pair.ts'
import { exchangeId } from '../../../src/spiffe/spiffe-id.ts'
import { parseTrustDomain } from '../../../src/spiffe/trust-domain.ts'
import { behave, type Behaviour, FakePeer } from '../../support/fake-peer.ts'
import { federationApp } from '../federation-app.ts'

const ours = parseTrustDomain('acme.example')

const status = (change: object = {}): string =>
  JSON.stringify({ trustDomain: 'globex.example', consent: 'given', bundles: [], ...change })

/** Answers questions with this, and polls as ever. */
const answers =
  (peer: FakePeer, body: string | Behaviour, code = 200): Behaviour =>
  (request, response) => {
    if (request.url === '/bundle') behave.serve(peer)(request, response)
    else if (typeof body === 'string') json(response, code, body)
    else body(request, response)
  }

const json = (response: ServerResponse, code: number, body: string): void => {
  response.writeHead(code, { 'content-type': 'application/json' }).end(body)
}

const withPeer = async (t: Pick<Test, 'teardown'>) => {
  const fed = await federationApp(t, { totalMs: 800 })
  const peer = await FakePeer.open(t, 'globex.example')
  await fed.addPeer(peer)
  await fed.poll()
  const { db } = fed.database
  await inTransaction(db, async (trx) => {
    const exchange = {
      their_consent: 'given',
      their_exchange_id: exchangeId(peer.trustDomain),
      their_exchange_url: peer.at('/prefix/federation/v1'),
    } as const
    await trx.updateTable('relationship').set(exchange).execute()
    await bumpChange(trx, fed.meshId, 'relationship')
  })
  const keys = generateKeyPair()
  const kid = keyId(keys.publicKey)
  const signer = { authorityId: '', kid, privateKey: keys.privateKey, notAfter: new Date(8e15) }
  const changed: string[] = []
  const exchange = openExchange({
    database: fed.database,
    changes: fed.changes,
    clock: fed.clock,
    now: fed.clock.db,
    log: { info: () => undefined, error: () => undefined },
    metrics: fed.metrics,
    owner: 'replica-1',
    pollMinSeconds: 60,
    random: () => 0,
    outbound: fed.outbound,
    anchors: fed.relationshipRoutes.anchors,
    distrusted: new DistrustedKeys(fed.changes),
    signers: { jwt: async () => signer },
    peerBundles: { invalidate: (meshId) => void changed.push(meshId) },
    scheduler: fed.scheduler,
    side: new OurSide({ publicUrl: 'https://localhost:8443', secret: new Uint8Array(32) }),
  })
  const ask = async (): Promise<void> => {
    await exchange.asks.look()
    await exchange.asks.idle()
  }
  const dueNow = () => db.updateTable('peer_exchange').set({ next_at: fed.clock.now() }).execute()
  const row = () => db.selectFrom('peer_exchange').selectAll().executeTakeFirstOrThrow()
  const standing = async () => {
    const { state, ourConsent, theirConsent } = await fed.show()
    return { state, ourConsent, theirConsent }
  }
  const bundle = {
    trustDomain: ours,
    sequence: 1n,
    refreshHintSeconds: undefined,
    x509Authorities: [],
    jwtAuthorities: [{ kid, jwk: publicJwk(keys.publicKey) }],
  }
  return { fed, peer, exchange, ask, dueNow, row, standing, bundle, changed, db }
}

const active = { state: 'active', ourConsent: 'given', theirConsent: 'given' }

t.test(
  'a peer is asked over TLS to its pinned endpoint, with a token for exactly that question',
  async (t) => {
    const { fed, peer, ask, row, bundle } = await withPeer(t)
    let seen: IncomingMessage | undefined
    peer.behaviour = answers(peer, (request, response) => {
      seen = request
      json(response, 200, status())
    })
    await ask()
    t.equal(seen?.url, '/prefix/federation/v1/relationship')
    const token = seen?.headers.authorization?.replace('Bearer ', '') ?? ''
    const call = {
      method: 'GET',
      path: '/federation/v1/relationship',
      body: new Uint8Array(),
    } as const
    const parties = { from: exchangeId(ours), to: exchangeId(peer.trustDomain) }
    const verified = verifyPeerCall(token, call, { ...parties, bundle, now: fed.clock.now() })
    t.match(verified.jti, /^[\w-]{22}$/)
    t.match(await row(), { failures: 0, last_error: null, told: { consent: 'given' } })
  },
)

t.test('it is asked again at the rhythm of its polls', async (t) => {
  const { fed, peer, ask, row } = await withPeer(t)
  let asked = 0
  peer.behaviour = answers(peer, (_request, response) => {
    asked += 1
    json(response, 200, status())
  })
  await ask()
  await ask()
  t.equal(asked, 1)
  t.equal((await row()).next_at.getTime() - fed.clock.now().getTime(), 300_000)
  await fed.clock.advance(300_000)
  await ask()
  t.equal(asked, 2)
})

t.test(
  'an answer that the peer withdrew suspends, and one that it consents again resumes',
  async (t) => {
    const { fed, peer, ask, standing, changed } = await withPeer(t)
    t.same(await standing(), active)
    peer.behaviour = answers(peer, status({ consent: 'withdrawn' }))
    await ask()
    t.match(await standing(), { state: 'suspended', theirConsent: 'withdrawn' })
    t.match(await fed.show(), { standingReason: 'the peer has withdrawn its consent' })
    t.same(changed, ['acme'])
    await fed.clock.advance(300_000)
    await ask()
    t.same(changed, ['acme'], 'the same answer again changes nothing')
    peer.behaviour = answers(peer, status({ consent: 'given' }))
    await fed.clock.advance(300_000)
    await ask()
    t.same(await standing(), active)
  },
)

t.test('a peer that only waits for an approval consents no more', async (t) => {
  const { peer, ask, standing } = await withPeer(t)
  peer.behaviour = answers(peer, status({ consent: 'pending' }))
  await ask()
  t.match(await standing(), { state: 'suspended', theirConsent: 'withdrawn' })
})

t.test(
  'no answer, a refusal or nonsense changes nothing: one failed question closes no export',
  async (t) => {
    const { peer, ask, dueNow, standing, row } = await withPeer(t)
    const cases: Record<string, Behaviour> = {
      'answers 401': answers(peer, '{}', 401),
      'answers 403 with a status': answers(peer, status({ consent: 'withdrawn' }), 403),
      'answers 500': answers(peer, status({ consent: 'withdrawn' }), 500),
      redirects: answers(peer, behave.redirect('https://localhost/elsewhere')),
      cuts: answers(peer, behave.cut()),
      'never answers': answers(peer, behave.silent()),
      'never ends': answers(peer, behave.endless()),
      drips: answers(peer, behave.drip(50)),
      'no JSON': answers(peer, 'withdrawn'),
      'an empty object': answers(peer, '{}'),
      'a consent that we do not know': answers(peer, status({ consent: 'terminated' })),
      'a consent twice': answers(peer, '{"consent":"given","consent":"withdrawn"}'),
      'of another domain': answers(
        peer,
        status({ trustDomain: 'initech.example', consent: 'withdrawn' }),
      ),
      'of too many domains': answers(
        peer,
        status({
          consent: 'withdrawn',
          bundles: Array.from({ length: 65 }, () => ({ trustDomain: 'a.example', sequence: '1' })),
        }),
      ),
      'parameters with another digest': answers(
        peer,
        status({
          consent: 'withdrawn',
          parameters: {
            digest: sha256('x'),
            domains: [],
            exchange: { id: 'spiffe://globex.example/entente/exchange', url: 'https://x/' },
          },
        }),
      ),
      'deeper than anything': answers(peer, `${'['.repeat(500)}${']'.repeat(500)}`),
    }
    let failures = 0
    for (const [what, behaviour] of Object.entries(cases)) {
      peer.behaviour = behaviour
      await dueNow()
      await ask()
      failures += 1
      t.same(await standing(), active, what)
      t.match(await row(), { failures, last_error: /./ }, what)
    }
    await peer.presentId('spiffe://globex.example/somebody/else')
    peer.behaviour = answers(peer, status({ consent: 'withdrawn' }))
    await dueNow()
    await ask()
    t.same(await standing(), active, 'who is not the pinned endpoint is not heard')
    await peer.presentId(peer.endpointId)
    await dueNow()
    await ask()
    t.match(await standing(), { state: 'suspended' }, 'and the peer itself is')
  },
)

t.test('an answer about another generation of the relationship is thrown away', async (t) => {
  const { peer, ask, standing, db } = await withPeer(t)
  peer.behaviour = answers(peer, (_request, response) => {
    void db
      .updateTable('relationship')
      .set((eb) => ({ generation: eb('generation', '+', 1n) }))
      .execute()
      .then(() => json(response, 200, status({ consent: 'withdrawn' })))
  })
  await ask()
  t.same(await standing(), active)
})

t.test(
  'a newer sequence in the answer has the bundle polled early, once per five seconds',
  async (t) => {
    const { fed, peer, ask } = await withPeer(t)
    const bundles = [{ trustDomain: 'globex.example', sequence: '2' }]
    peer.behaviour = answers(peer, status({ bundles }))
    peer.document = peer.bundle(2n, { hint: 299 })
    await ask()
    await fed.poll()
    t.match((await fed.show()).domains[0], { bundle: { sequence: '2' } })
  },
)

t.test(
  'nobody is asked once the relationship has ended, and its end is told to the endpoint as it was',
  async (t) => {
    const { fed, peer, exchange, ask, db } = await withPeer(t)
    const bodies: string[] = []
    peer.behaviour = answers(peer, (request, response) => {
      let body = ''
      request.on('data', (chunk: Buffer) => (body += chunk.toString()))
      request.on('end', () => {
        bodies.push(body)
        response.writeHead(202).end()
      })
    })
    await ask()
    bodies.length = 0
    await fed.call('POST', '/meshes/acme/relationships/globex/terminate', {
      ifMatch: '*',
      body: { reason: 'merged' },
    })
    t.equal((await db.selectFrom('peer_exchange').selectAll().execute()).length, 0)
    await exchange.notices.look()
    await exchange.notices.idle()
    t.same(
      bodies.map((body) => JSON.parse(body)),
      [{ kind: 'termination', trustDomain: 'acme.example', reason: 'merged' }],
    )
    t.equal((await db.selectFrom('peer_notice').selectAll().execute()).length, 0)
    await fed.clock.advance(600_000)
    await ask()
    t.equal(bodies.length, 1)
  },
)

t.test(
  'a notice that is not taken is tried again for an hour, also by another process, then dropped',
  async (t) => {
    const { fed, peer, exchange, db } = await withPeer(t)
    peer.behaviour = answers(peer, '', 503)
    await fed.call('POST', '/meshes/acme/relationships/globex/withdraw', { ifMatch: '*', body: {} })
    const waiting = () =>
      db.selectFrom('peer_notice').selectAll().where('kind', '=', 'relationship').execute()
    const turn = async () => {
      await exchange.notices.look()
      await exchange.notices.idle()
    }
    await turn()
    t.match(await waiting(), [{ attempts: 1, last_error: 'the peer answered 503' }])
    await turn()
    t.match(await waiting(), [{ attempts: 1 }], 'not before its time')
    await db
      .updateTable('peer_notice')
      .set({ owner: 'killed', lease_until: new Date(fed.clock.now().getTime() + 30_000) })
      .execute()
    await fed.clock.advance(31_000)
    await turn()
    t.match(await waiting(), [{ attempts: 2 }], 'what a killed replica had in hand is taken over')
    let turns = 0
    while ((await waiting()).length > 0 && turns < 60) {
      await fed.clock.advance(300_000)
      await turn()
      turns += 1
    }
    t.ok(turns >= 10 && turns <= 13, `given up after an hour: ${turns} more turns of five minutes`)
    peer.behaviour = answers(peer, '', 202)
  },
)

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
