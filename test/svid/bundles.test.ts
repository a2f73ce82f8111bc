import t, { type Test } from 'tap'
import {
  type MissingBundle,
  type PeerBundle,
} from '../../src/federation/peer-bundle/peer-bundles.ts'
import { type Bundle, writeBundle } from '../../src/spiffe/bundle.ts'
import { parseBundleMap } from '../../src/spiffe/bundle-map.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'
import { type IssueDeps } from '../../src/svid/deps.ts'
import { IssuedReader, IssuedWriter } from '../../src/svid/record-issued.ts'
import { openDatabase } from '../../src/db/connect.ts'
import { quiet } from '../support/database.ts'
import { generateKeyPair, keyId, publicJwk } from '../../src/pki/key-pair.ts'
import { testAuthority } from '../support/authority.ts'
import { csrOf, issuingService } from './issuing-service.ts'

const peer = (name: string): PeerBundle => {
  const { root, rootKeys, trustDomain } = testAuthority(name)
  const bundle: Bundle = {
    trustDomain,
    sequence: 18_446_744_073_709_551_615n,
    refreshHintSeconds: 60,
    x509Authorities: [{ certificate: root, jwk: publicJwk(rootKeys.publicKey) }],
    jwtAuthorities: [{ kid: keyId(rootKeys.publicKey), jwk: publicJwk(rootKeys.publicKey) }],
  }
  const document = writeBundle(bundle)
  return {
    trustDomain,
    relationship: name.split('.')[0] ?? '',
    document,
    bundle,
    sequence: bundle.sequence,
  }
}
const globex = peer('globex.example')
const initech = peer('initech.example')
const waiting: MissingBundle = {
  relationship: 'hooli',
  trustDomain: parseTrustDomain('hooli.example'),
  reason: 'relationship hooli waits for a first bundle',
}

/** The service with two peers whose bundles are in force and one whose bundle is missing. */
const federated = async (t: Test) =>
  issuingService(t, {
    deps: (deps: IssueDeps) => ({
      ...deps,
      peers: {
        of: async () => new Map([globex, initech].map((one) => [one.trustDomain, one])),
        missing: async () => [waiting],
        groups: async () => new Map([['partners', new Set([globex.trustDomain])]]),
      },
    }),
  })

t.test(
  'FE-39 an SVID comes with one bundle per federated domain, each under its own name',
  async (t) => {
    const { join } = await federated(t)
    const { answer } = await join()
    t.same(
      answer.federatedBundles.map(({ trustDomain }) => trustDomain),
      ['globex.example', 'initech.example'],
    )
    t.equal(answer.federatedBundles[0]?.document, Buffer.from(globex.document).toString())
    t.equal(answer.federatedBundles[0]?.sequence, '18446744073709551615', 'BU-04')
    t.same(answer.missingBundles, [{ trustDomain: 'hooli.example', reason: waiting.reason }])
  },
)

t.test('an entry decides whose bundles its workloads are given', async (t) => {
  const { join, call, token, database } = await federated(t)
  const bundlesOf = async (federatesWith: unknown) => {
    await token('/web')
    await database.db
      .updateTable('entry')
      .set({ federates_with: JSON.stringify(federatesWith) })
      .execute()
    const { answer } = await join('/web')
    return [
      answer.federatedBundles.map(({ trustDomain }) => trustDomain),
      answer.missingBundles.map(({ trustDomain }) => trustDomain),
    ]
  }
  t.same(await bundlesOf('none'), [[], []])
  t.same(await bundlesOf(['globex.example']), [['globex.example'], []])
  t.same(await bundlesOf({ group: 'partners' }), [['globex.example'], []])
  t.same(await bundlesOf({ group: 'gone' }), [[], []], 'a group that is gone has no members')
  t.same(await bundlesOf(['hooli.example', 'stranger.example', 'acme.example']), [
    [],
    ['hooli.example', 'stranger.example'],
  ])
  const workload = await join('/web')
  const map = await call('GET', '/bundles', { as: workload })
  t.same([...parseBundleMap(Buffer.from(map.text)).keys()], ['acme.example'])
})

t.test(
  'BU-18 BU-20 BU-16 the bundle map holds the own and the federated bundles, without hints',
  async (t) => {
    const { join, call } = await federated(t)
    const as = await join()
    const answer = await call('GET', '/bundles', { as })
    t.equal(answer.status, 200)
    t.match(answer.headers['content-type'], 'application/json')
    t.equal(answer.headers['cache-control'], 'private, max-age=300')
    const bundles = parseBundleMap(Buffer.from(answer.text))
    t.same([...bundles.keys()], ['acme.example', 'globex.example', 'initech.example'])
    t.equal(bundles.get(globex.trustDomain)?.sequence, globex.sequence)
    t.notMatch(answer.text, 'refresh_hint')
    t.notMatch(answer.text, /"(d|p|q|k)":/, 'no private members')

    const again = await call('GET', '/bundles', {
      as,
      headers: { 'if-none-match': String(answer.headers['etag']) },
    })
    t.equal(again.status, 304)
    t.equal(again.text, '')
  },
)

t.test('bundles are for identities of ours only', async (t) => {
  const { call } = await federated(t)
  t.match(await call('GET', '/bundles'), { status: 401, body: { code: 'AUTHENTICATION_REQUIRED' } })
})

t.test(
  'while the database is away issuing answers 503 with Retry-After, and goes on by itself',
  async (t) => {
    const nowhere = await openDatabase({
      engine: 'postgres',
      url: 'postgres://127.0.0.1:1/none',
      maxConnections: 2,
      log: quiet,
    })
    t.teardown(() => nowhere.close())
    const [reader, writer] = [new IssuedReader(nowhere.db), new IssuedWriter(nowhere.db)]
    let isAway = false
    const { call, join, token } = await issuingService(t, {
      deps: (deps) => ({
        ...deps,
        get db() {
          return isAway ? nowhere.db : deps.db
        },
        reader: { find: (key) => (isAway ? reader : deps.reader).find(key) },
        writer: { add: (issued) => (isAway ? writer : deps.writer).add(issued) },
      }),
    })
    const as = await join()
    const secret = await token()
    const body = { csr: csrOf(generateKeyPair()) }
    isAway = true
    for (const answer of [
      await call('POST', '/svids/x509', { as, body }),
      await call('POST', '/svids/x509', { body: { ...body, token: secret } }),
      await call('POST', '/svids/jwt', { as, body: { audience: ['x'] } }),
      await call('GET', '/bundles', { as }),
    ]) {
      t.match(answer, {
        status: 503,
        body: { code: 'DATABASE_UNAVAILABLE' },
        headers: { 'retry-after': /^\d+$/, 'content-type': /^application\/problem\+json/ },
      })
    }
    isAway = false
    t.equal((await call('POST', '/svids/x509', { as, body })).status, 200)
    t.equal((await call('POST', '/svids/x509', { body: { ...body, token: secret } })).status, 200)
  },
)
