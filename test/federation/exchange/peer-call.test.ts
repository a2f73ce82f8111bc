import {
  createHash,
  createHmac,
  generateKeyPairSync,
  KeyObject,
  randomBytes,
  X509Certificate,
} from 'node:crypto'
import t, { type Test } from 'tap'
import { changeStanding } from '../../../src/federation/change-standing.ts'
import { lockRelationshipById } from '../../../src/federation/store.ts'
import { inTransaction } from '../../../src/db/connect.ts'
import { deleteEndedJtis } from '../../../src/federation/exchange/peer-call-store.ts'
import { publicKeySha256, spkiOf } from '../../../src/pki/key-pair.ts'
import { readCertificate } from '../../../src/pki/certificate.ts'
import { FakeAuthority } from '../../support/fake-peer.ts'
import {
  askWith,
  befriend,
  Caller,
  openReceiver,
  type Receiver,
  type TokenWish,
} from './peer-caller.ts'

const withoutInstance = ({ status, body, headers }: Awaited<ReturnType<typeof askWith>>) => {
  const { instance: _instance, ...problem } = body
  return { status, problem, challenge: headers['www-authenticate'] }
}

const refusedAs = async (
  t: Tap,
  receiver: Receiver,
  tokens: Record<string, string | undefined>,
) => {
  const nobody = withoutInstance(await askWith(receiver, undefined))
  t.equal(nobody.status, 401)
  t.match(nobody.problem, { code: 'AUTHENTICATION_REQUIRED' })
  for (const [what, token] of Object.entries(tokens)) {
    t.same(withoutInstance(await askWith(receiver, token)), nobody, what)
  }
}

type Tap = Pick<Test, 'equal' | 'match' | 'same'>

t.test(
  'a peer is answered, once per token, and told our consent and our sequences (galadriel: what was signed could be replayed)',
  async (t) => {
    const receiver = await openReceiver(t)
    const globex = new Caller('globex')
    await befriend(receiver, globex)
    const token = globex.token({}, receiver.clock.now())
    const first = await askWith(receiver, token)
    t.equal(first.status, 200)
    t.match(first.body, {
      trustDomain: 'acme.example',
      consent: 'given',
      bundles: [{ trustDomain: 'acme.example', sequence: /^\d+$/ }],
    })
    t.equal(first.headers['cache-control'], 'no-store')
    await refusedAs(t, receiver, { 'the same token again': token })
  },
)

const call = (change: object) => ({
  method: 'GET',
  path: '/federation/v1/relationship',
  bodySha256: createHash('sha256').update('').digest('base64url'),
  ...change,
})

t.test('whatever is wrong with a token, the answer is the same', async (t) => {
  const receiver = await openReceiver(t)
  const globex = new Caller('globex')
  const umbrella = new Caller('umbrella')
  await befriend(receiver, globex)
  const now = receiver.clock.now()
  const seconds = Math.floor(now.getTime() / 1000)
  const made = (wish: TokenWish) => globex.token(wish, now)
  const claims = (change: object) => made({ claims: change })
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  const [header = '', payload = ''] = made({}).split('.')
  const unsecured = Buffer.from(JSON.stringify({ alg: 'none', kid: globex.kid })).toString(
    'base64url',
  )
  const symmetric = Buffer.from(JSON.stringify({ alg: 'HS256', kid: globex.kid })).toString(
    'base64url',
  )
  const mac = createHmac('sha256', spkiOf(globex.keys.publicKey)).update(`${symmetric}.${payload}`)
  await refusedAs(t, receiver, {
    'no token at all': 'x',
    'two parts': `${header}.${payload}`,
    'by a key that is not in the bundle': made({ by: other }),
    'by a key under another kid': made({ header: { kid: 'another' }, by: other }),
    'a kid that the bundle does not have': made({ header: { kid: 'another' } }),
    'without a kid': made({ header: { kid: undefined } }),
    'by somebody whom we do not know': umbrella.token({}, now),
    'by somebody else in the name of a peer': umbrella.token({ claims: { sub: globex.id } }, now),
    'another identity of the peer': claims({
      sub: 'spiffe://globex.example/entente/bundle-endpoint',
    }),
    'a workload of the peer': claims({ sub: 'spiffe://globex.example/ns/a/sa/b' }),
    'another audience of ours': claims({ aud: ['spiffe://acme.example/entente/bundle-endpoint'] }),
    'the trust domain as audience': claims({ aud: ['spiffe://acme.example'] }),
    'an audience beside ours': claims({
      aud: ['spiffe://acme.example/entente/exchange', 'spiffe://initech.example/entente/exchange'],
    }),
    'no audience': claims({ aud: [] }),
    'another mesh of this service': claims({ aud: ['spiffe://beta.example/entente/exchange'] }),
    'a mesh that is not here': claims({ aud: ['spiffe://initech.example/entente/exchange'] }),
    'no exp': claims({ exp: undefined }),
    'no iat': claims({ iat: undefined }),
    'a life of 61 seconds': claims({ exp: seconds + 61 }),
    'a life of a year': claims({ exp: seconds + 31_536_000 }),
    'over since 11 seconds': claims({ iat: seconds - 71, exp: seconds - 11 }),
    'issued in a minute': claims({ iat: seconds + 60, exp: seconds + 120 }),
    'an iat that is no whole number': claims({ iat: seconds + 0.5 }),
    'no jti': claims({ jti: undefined }),
    'a short jti': claims({ jti: 'abc' }),
    'a jti that is no text': claims({ jti: 1_234_567_890_123_456 }),
    'a jti of a kilobyte': claims({ jti: randomBytes(700).toString('base64url') }),
    'no call': claims({ entente_call: undefined }),
    'another method': claims({ entente_call: call({ method: 'POST' }) }),
    'another path': claims({ entente_call: call({ path: '/federation/v1/notices' }) }),
    'a path with a query': claims({
      entente_call: call({ path: '/federation/v1/relationship?a=b' }),
    }),
    'another body': claims({
      entente_call: call({ bodySha256: createHash('sha256').update('x').digest('base64url') }),
    }),
    'alg none': `${unsecured}.${payload}.`,
    'alg none with a signature': `${unsecured}.${payload}.AAAA`,
    'alg HS256 under the public key': `${symmetric}.${payload}.${mac.digest('base64url')}`,
    'a header parameter that means something': made({ header: { crit: ['b64'], b64: false } }),
    'longer than any token': claims({ filler: 'x'.repeat(5000) }),
  })
  t.equal((await askWith(receiver, made({}))).status, 200, 'and a good one is taken')
  const reasons = receiver.lines.filter(({ event }) => event === 'peer-call.refused')
  t.ok(reasons.length > 30, 'the log has the reasons')
  t.notOk(JSON.stringify(receiver.lines).includes('eyJ'), 'and no token')
})

t.test('two Authorization headers, or another scheme, are none', async (t) => {
  const receiver = await openReceiver(t)
  const globex = new Caller('globex')
  await befriend(receiver, globex)
  const token = () => globex.token({}, receiver.clock.now())
  const url = '/federation/v1/relationship'
  for (const authorization of [[`Bearer ${token()}`, 'Bearer x'], `Basic ${token()}`, 'Bearer']) {
    const headers = { authorization } as Record<string, string>
    t.equal((await receiver.app.inject({ url, headers })).statusCode, 401)
  }
})

t.test('a key of an X.509 authority signs no peer call, under its own kid or any', async (t) => {
  const receiver = await openReceiver(t)
  const globex = new Caller('globex')
  const root = await FakeAuthority.root('globex.example')
  const by = KeyObject.from(root.keys.privateKey)
  await befriend(receiver, globex, { bundle: globex.bundle([entryOf(root)]) })
  const now = receiver.clock.now()
  const kid = Buffer.from(publicKeySha256(readCertificate(root.der).spki)).toString('hex')
  await refusedAs(t, receiver, {
    'its own kid': globex.token({ header: { kid }, by }, now),
    'the kid of the JWT key': globex.token({ by }, now),
  })
  t.equal((await askWith(receiver, globex.token({}, now))).status, 200)
})

t.test('a bundle whose X.509 authorities have all ended authenticates no call', async (t) => {
  const receiver = await openReceiver(t)
  const globex = new Caller('globex')
  const hour = 3_600_000
  const now = receiver.clock.now()
  const root = await FakeAuthority.root('globex.example', {
    notAfter: new Date(now.getTime() + hour),
  })
  await befriend(receiver, globex, { bundle: globex.bundle([entryOf(root)]) })
  t.equal((await askWith(receiver, globex.token({}, receiver.clock.now()))).status, 200)
  await receiver.clock.advance(2 * hour)
  await refusedAs(t, receiver, { ended: globex.token({}, receiver.clock.now()) })
})

t.test('a distrusted JWT key authenticates no call', async (t) => {
  const receiver = await openReceiver(t)
  const globex = new Caller('globex')
  const { meshId } = await befriend(receiver, globex)
  await receiver.database.db
    .insertInto('distrusted_key')
    .values({
      mesh_id: meshId,
      id: '7b0c2f0e-6e2c-4c3e-8a44-0d8d7d3f9a11',
      public_key_sha256: publicKeySha256(spkiOf(globex.keys.publicKey)),
      note: null,
      since: receiver.clock.now(),
      by: 'test',
      lifted_at: null,
      lifted_by: null,
    })
    .execute()
  await refusedAs(t, receiver, { distrusted: globex.token({}, receiver.clock.now()) })
})

t.test(
  'a token for one mesh says nothing to another mesh of the service that knows the same peer',
  async (t) => {
    const receiver = await openReceiver(t)
    const globex = new Caller('globex')
    await befriend(receiver, globex)
    await befriend(receiver, globex, { mesh: 'beta' })
    const now = receiver.clock.now()
    const jti = randomBytes(16).toString('base64url')
    const toBeta = { aud: ['spiffe://beta.example/entente/exchange'] }
    const beta = await askWith(receiver, globex.token({ claims: { ...toBeta, jti } }, now))
    t.match(beta.body, { trustDomain: 'beta.example' })
    const acme = await askWith(receiver, globex.token({ claims: { jti } }, now))
    t.match(acme.body, { trustDomain: 'acme.example' }, 'each relationship counts its own numbers')
  },
)

t.test(
  'a suspended relationship may ask and is not told of our hold; a terminated one is nobody',
  async (t) => {
    const receiver = await openReceiver(t)
    const globex = new Caller('globex')
    const { meshId, id } = await befriend(receiver, globex)
    const change = (event: 'suspend' | 'withdraw' | 'terminate') =>
      inTransaction(receiver.database.db, async (trx) => {
        const before = await lockRelationshipById(trx, meshId, id)
        const context = { actor: 'test', now: receiver.clock.now() }
        if (before !== undefined) await changeStanding(trx, before, { event, context })
      })
    const ask = () => askWith(receiver, globex.token({}, receiver.clock.now()))
    await change('suspend')
    t.match(await ask(), { status: 200, body: { consent: 'given' } })
    await change('withdraw')
    t.match(await ask(), { status: 200, body: { consent: 'withdrawn' } })
    await change('terminate')
    await refusedAs(t, receiver, { terminated: globex.token({}, receiver.clock.now()) })
  },
)

t.test(
  'a peer that does not speak Entente has no exchange identity, whatever its keys sign',
  async (t) => {
    const receiver = await openReceiver(t)
    const globex = new Caller('globex')
    await befriend(receiver, globex, { exchange: false })
    await refusedAs(t, receiver, { 'no Entente peer': globex.token({}, receiver.clock.now()) })
  },
)

t.test('one peer that asks too often waits, and others do not', async (t) => {
  const receiver = await openReceiver(t)
  const globex = new Caller('globex')
  const initech = new Caller('initech')
  await befriend(receiver, globex)
  await befriend(receiver, initech)
  const ask = (caller: Caller) => askWith(receiver, caller.token({}, receiver.clock.now()))
  for (let turn = 0; turn < 20; turn += 1) t.equal((await ask(globex)).status, 200)
  const over = await ask(globex)
  t.equal(over.status, 429)
  t.ok(Number(over.headers['retry-after']) >= 1)
  t.equal((await ask(initech)).status, 200)
  await receiver.clock.advance(1000)
  t.equal((await ask(globex)).status, 200)
})

t.test('two replicas take one token once', async (t) => {
  const receiver = await openReceiver(t)
  const globex = new Caller('globex')
  await befriend(receiver, globex)
  const token = globex.token({}, receiver.clock.now())
  const answers = await Promise.all(Array.from({ length: 5 }, () => askWith(receiver, token)))
  t.same(
    answers.map(({ status }) => status).toSorted((a, b) => a - b),
    [200, 401, 401, 401, 401],
  )
})

t.test('tokens that have ended are forgotten, others are not', async (t) => {
  const receiver = await openReceiver(t)
  const globex = new Caller('globex')
  await befriend(receiver, globex)
  const { db } = receiver.database
  await askWith(receiver, globex.token({}, receiver.clock.now()))
  t.equal(await deleteEndedJtis(db, receiver.clock.now()), 0)
  await receiver.clock.advance(361_000)
  t.equal(await deleteEndedJtis(db, receiver.clock.now()), 1)
})

/** An entry of a bundle for a root. */
function entryOf(root: FakeAuthority) {
  const { publicKey } = new X509Certificate(root.der)
  const { kty = '', crv = '', x = '', y = '' } = publicKey.export({ format: 'jwk' })
  return { certificate: root.der, jwk: { kty, crv, x, y } }
}
