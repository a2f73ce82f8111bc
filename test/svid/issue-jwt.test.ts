import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'
import t from 'tap'
import { verifyJwtSvid } from '../../src/pki/jwt-svid.ts'
import { parseBundle } from '../../src/spiffe/bundle.ts'
import { issuingService } from './issuing-service.ts'

const AUDIENCE = 'spiffe://globex.example/pay'

t.test(
  'JW-07 JW-10 a JWT-SVID by X509-SVID, which our bundle verifies, here and in jose',
  async (t) => {
    const { call, join, trustDomain, clock, database } = await issuingService(t)
    const workload = await join('/ns/shop/sa/cart')
    const answer = await call('POST', '/svids/jwt', {
      as: workload,
      body: { audience: [AUDIENCE] },
    })
    t.equal(answer.status, 200)
    t.equal(answer.headers['cache-control'], 'no-store')
    const { token, keyId, spiffeId, expiresAt } = answer.body
    t.equal(expiresAt, '2027-01-15T08:05:00.000Z', 'five minutes')
    const document = workload.answer.bundle.document
    const { bundle } = parseBundle(trustDomain, Buffer.from(document))
    const trust = { audience: [AUDIENCE], bundleOf: () => bundle, now: clock.now() }
    t.equal(verifyJwtSvid(token, trust).id, spiffeId)
    t.equal(spiffeId, 'spiffe://acme.example/ns/shop/sa/cart')

    const { keys } = JSON.parse(document) as JSONWebKeySet
    const jwt = keys.filter(({ use }) => use === 'jwt-svid').map((key) => ({ ...key, use: 'sig' }))
    t.same(
      jwt.map(({ kid }) => kid),
      [keyId],
      'the kid is that of a published entry',
    )
    const keySet = createLocalJWKSet({ keys: jwt })
    const { payload } = await jwtVerify(token, keySet, {
      audience: AUDIENCE,
      currentDate: clock.now(),
    })
    t.equal(payload.sub, spiffeId)
    const row = await database.db
      .selectFrom('svid_issued')
      .selectAll()
      .where('kind', '=', 'jwt')
      .executeTakeFirstOrThrow()
    t.match(row, { serial: payload.jti, spiffe_id: spiffeId, public_key_sha256: null })
  },
)

t.test('JW-11 without an audience, or with an empty one, there is no token', async (t) => {
  const { call, join } = await issuingService(t)
  const as = await join()
  for (const body of [
    {},
    { audience: [] },
    { audience: [''] },
    { audience: 'x' },
    { audience: [7] },
  ]) {
    t.equal((await call('POST', '/svids/jwt', { as, body })).status, 400, JSON.stringify(body))
  }
})

t.test('JW-14 one audience per token, unless the operator allows several', async (t) => {
  const strict = await issuingService(t)
  const body = { audience: [AUDIENCE, 'spiffe://globex.example/other'] }
  t.match(await strict.call('POST', '/svids/jwt', { as: await strict.join(), body }), {
    status: 400,
    body: { code: 'INVALID_REQUEST', errors: [{ pointer: '/audience' }] },
  })
  const lax = await issuingService(t, { mostAudiences: 2 })
  t.equal((await lax.call('POST', '/svids/jwt', { as: await lax.join(), body })).status, 200)
})

t.test('JW-15 a token never outlives the key that signs it', async (t) => {
  const { call, join, database } = await issuingService(t)
  await database.db
    .updateTable('authority')
    .set({ not_after: new Date('2027-01-15T08:01:40Z') })
    .where('kind', '=', 'jwt')
    .execute()
  const answer = await call('POST', '/svids/jwt', {
    as: await join(),
    body: { audience: [AUDIENCE] },
  })
  t.equal(answer.body.expiresAt, '2027-01-15T08:01:40.000Z')
})

t.test('a join token is no evidence for a JWT-SVID, nor is nothing', async (t) => {
  const { call, token } = await issuingService(t)
  const body = { audience: [AUDIENCE] }
  t.match(await call('POST', '/svids/jwt', { body }), {
    status: 401,
    body: { code: 'AUTHENTICATION_REQUIRED' },
  })
  const withToken = { ...body, token: await token() }
  t.equal((await call('POST', '/svids/jwt', { body: withToken })).status, 400)
})
