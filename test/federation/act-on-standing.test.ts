import t from 'tap'
import { FakePeer } from '../support/fake-peer.ts'
import { federationApp } from './federation-app.ts'

const GLOBEX = '/meshes/acme/relationships/globex'

async function active(t: Parameters<typeof federationApp>[0]) {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  await app.addPeer(peer)
  await app.poll()
  const act = (what: string, body: object = {}) =>
    app.call('POST', `${GLOBEX}/${what}`, { body, ifMatch: '*' })
  return { app, peer, act }
}

t.test(
  'suspending withholds the bundles at once, polls go on, and resuming gives them back',
  async (t) => {
    const { app, peer, act } = await active(t)
    t.equal((await app.peerBundles.of(app.meshId)).size, 1)
    const { status, body } = await act('suspend', { reason: 'an incident at their side' })
    t.equal(status, 200)
    t.match(body, {
      relationship: {
        state: 'suspended',
        standingReason: 'an incident at their side',
        waitingFor: ['our operator, who suspended it'],
        health: 'ok',
        generation: '2',
      },
      next: ['entente federation resume globex'],
    })
    t.equal((await app.peerBundles.of(app.meshId)).size, 0)
    t.match(await app.peerBundles.missing(app.meshId), [
      { reason: 'relationship globex is suspended and waits for our operator, who suspended it' },
    ])
    peer.document = peer.bundle(2n)
    await app.pollLater()
    t.match((await app.show()).domains[0], { bundle: { sequence: '2' } }, 'polls go on')
    t.equal((await app.peerBundles.of(app.meshId)).size, 0, 'and change nothing for workloads')
    t.match((await act('resume')).body.relationship, { state: 'active', standingReason: null })
    const [inForce] = (await app.peerBundles.of(app.meshId)).values()
    t.equal(inForce?.sequence, 2n)
  },
)

t.test('withdrawing our consent suspends until it is given again', async (t) => {
  const { app, act } = await active(t)
  t.match((await act('withdraw')).body, {
    relationship: {
      state: 'suspended',
      ourConsent: 'withdrawn',
      waitingFor: ['our consent, which we withdrew'],
    },
    next: ['entente federation approve globex', 'entente federation terminate globex'],
  })
  t.equal((await act('resume')).status, 409, 'it is not suspended by our operator')
  t.match((await act('approve')).body.relationship, { state: 'active', ourConsent: 'given' })
  t.equal((await app.peerBundles.of(app.meshId)).size, 1)
})

t.test('an approval shows the authorities that it makes trusted', async (t) => {
  const { app, act } = await active(t)
  await act('withdraw')
  const dry = await app.call('POST', `${GLOBEX}/approve?dryRun=true`, { body: {} })
  const [shown] = dry.body.peerAuthorities
  t.match(shown, {
    trustDomain: 'globex.example',
    bundleDigest: (await app.show()).domains[0]?.bundle?.digest,
    authorities: [{ kind: 'x509', publicKeySha256: /^[0-9a-f]{64}$/, kid: null }],
  })
  t.equal((await app.show()).state, 'suspended', 'a dry run changes nothing')
})

t.test('a refused act names what is allowed; a stale one changes nothing', async (t) => {
  const { app, act } = await active(t)
  const refused = await act('resume')
  t.match(refused.body, {
    status: 409,
    code: 'CONFLICT',
    detail:
      'relationship globex is active, so "resume" is refused; allowed are: withdraw, suspend, terminate',
  })
  const suspend = (ifMatch?: string) =>
    app.call('POST', `${GLOBEX}/suspend`, {
      body: {},
      ...(ifMatch === undefined ? {} : { ifMatch }),
    })
  t.equal((await suspend()).status, 428)
  t.equal((await suspend('"v1"')).status, 412)
  t.equal((await app.show()).state, 'active')
  t.equal((await suspend('"v2"')).status, 200)
})

t.test('the dry run of suspending lists what would break, as terminating does', async (t) => {
  const { app } = await active(t)
  const dry = await app.call('POST', `${GLOBEX}/suspend?dryRun=true`)
  t.match(dry.body.effects, [
    { kind: 'trust-domain', name: 'globex.example', effect: /no longer accepted/ },
  ])
  t.same(dry.body.next, ['entente federation suspend globex'])
})

t.test('every act leaves one audit record with what was before and after', async (t) => {
  const { app, act } = await active(t)
  await act('suspend', { reason: 'drill' })
  await act('resume')
  await act('withdraw')
  await act('approve')
  await act('terminate', { reason: 'contract ended' })
  const rows = await app.database.db
    .selectFrom('audit_record')
    .select(['action', 'body'])
    .where('action', 'like', 'relationship.%')
    .execute()
  const told = new Map(
    rows.map(({ action, body }) => [action, JSON.parse(Buffer.from(body).toString())]),
  )
  t.same([...told.keys()].toSorted(), [
    'relationship.activate',
    'relationship.approve',
    'relationship.create',
    'relationship.resume',
    'relationship.suspend',
    'relationship.terminate',
    'relationship.withdraw',
  ])
  t.match(told.get('relationship.suspend'), {
    body: { stateBefore: 'active', state: 'suspended', onHold: true, reason: 'drill' },
  })
  t.match(told.get('relationship.approve').body.peerAuthorities, [
    { publicKeys: [/^[0-9a-f]{64}$/] },
  ])
  t.equal((await app.show()).standingReason, 'contract ended')
})

t.test('a fetch that began before a suspension is thrown away', async (t) => {
  const { app, peer, act } = await active(t)
  let release: (() => void) | undefined
  const { behaviour } = peer
  const arrived = new Promise<void>((resolve) => {
    peer.behaviour = (request, response) => {
      release = () => behaviour(request, response)
      resolve()
    }
  })
  peer.document = peer.bundle(2n)
  const polled = app.pollLater()
  await arrived
  await act('suspend')
  release?.()
  await polled
  t.equal((await app.show()).domains[0]?.bundle?.sequence, '1')
  peer.behaviour = behaviour
  await app.pollLater(2)
  t.equal(
    (await app.show()).domains[0]?.bundle?.sequence,
    '2',
    'and made again at once, not when its lease has run out',
  )
})

t.test(
  'FE-41 a late fetch of an ended relationship never lands in the one made again',
  async (t) => {
    const { app, peer, act } = await active(t)
    let release: (() => void) | undefined
    const { behaviour } = peer
    const arrived = new Promise<void>((resolve) => {
      peer.behaviour = (request, response) => {
        release = () => behaviour(request, response)
        resolve()
      }
    })
    peer.document = peer.bundle(7n)
    const polled = app.pollLater()
    await arrived
    await act('terminate')
    t.equal((await app.call('DELETE', GLOBEX, { ifMatch: '*' })).status, 200)
    peer.document = peer.bundle(3n)
    t.equal((await app.addPeer(peer)).status, 201)
    peer.document = peer.bundle(7n)
    release?.()
    await polled
    t.match(await app.show(), {
      state: 'pending',
      domains: [{ bundle: { sequence: '3', origin: 'manual' }, poll: { lastSuccessAt: null } }],
    })
  },
)
