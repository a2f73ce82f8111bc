import { X509Certificate } from 'node:crypto'
import t from 'tap'
import { endure, endureAll, type HostileCase } from '../../support/endure.ts'
import { FakeAuthority } from '../../support/fake-peer.ts'
import { ecJwk, exampleKey } from '../../support/bundles.ts'
import { type HostilePeer } from '../../support/hostile-peer.ts'
import { hostileStage, type Stage } from '../../support/hostile-stage.ts'

let made = 1n

/** Serves the good document, under a new sequence, with these entries before its own. */
const withEntries =
  (entries: (peer: HostilePeer, stage: Stage) => unknown) =>
  async (peer: HostilePeer, stage: Stage): Promise<void> => {
    const more = [await entries(peer, stage)].flat()
    const document = JSON.parse(new TextDecoder().decode(peer.bundle(undefined)))
    const keys = JSON.stringify([...more, ...document.keys])
    peer.serves(`{"spiffe_sequence":${(made += 1n)},"spiffe_refresh_hint":300,"keys":${keys}}`)
  }

/** Serves the good document with this hint, under a new sequence. */
const withHint = (hint: string) => (peer: HostilePeer) => {
  const good = new TextDecoder().decode(peer.bundle((made += 1n)))
  peer.serves(good.replace(/"spiffe_refresh_hint":\d+/, `"spiffe_refresh_hint":${hint}`))
}

const entryOf = (der: Uint8Array): object => ({
  use: 'x509-svid',
  ...new X509Certificate(der).publicKey.export({ format: 'jwk' }),
  x5c: [Buffer.from(der).toString('base64')],
})
const derOf = ({ cert }: { readonly cert: string }): Uint8Array => new X509Certificate(cert).raw

/** Our own keys, as our own bundle shows them. */
const ownKeys = async ({ app }: Stage): Promise<{ use: string }[]> => {
  const row = await app.database.db
    .selectFrom('bundle_revision')
    .select('document')
    .orderBy('sequence', 'desc')
    .executeTakeFirstOrThrow()
  return JSON.parse(new TextDecoder().decode(row.document)).keys
}

const taken = (title: string, arrange: HostileCase['arrange'], says: RegExp): HostileCase => ({
  title,
  arrange,
  says,
  outcome: 'taken',
})

const ODD: readonly HostileCase[] = [
  taken(
    'a key of a use that nobody knows (spire: one fails the whole bundle)',
    withEntries(() => exampleKey('jwt-svid', { use: 'future-svid' })),
    /has the unknown use "future-svid"/,
  ),
  taken(
    'a key without use (spire: one fails the whole bundle)',
    withEntries(() => ({ ...ecJwk(), kid: 'x' })),
    /has no use/,
  ),
  taken(
    'a key of a type and curve from the future',
    withEntries(() => [
      { use: 'x509-svid', kty: 'AKP', alg: 'ML-DSA-65', pub: 'AAAA' },
      { use: 'jwt-svid', kid: 'y', ...ecJwk(), crv: 'P-9000' },
    ]),
    /key 0 of globex\.example .*key 1 of globex\.example/,
  ),
  taken(
    'an authority that is no CA (spire: authorities are not checked)',
    withEntries(async (peer) => entryOf(derOf(await peer.root.issue({ uris: [peer.endpointId] })))),
    /holds a certificate that is no CA/,
  ),
  taken(
    'an authority whose JWK is another key than its certificate’s',
    withEntries(async () => ({
      ...entryOf((await FakeAuthority.root('globex.example')).der),
      ...ecJwk(),
    })),
    /JWK that is not the key of its certificate/,
  ),
  taken(
    'an authority with rubbish for a certificate',
    withEntries(() => ({ use: 'x509-svid', ...ecJwk(), x5c: ['AAAA'] })),
    /key 0 of globex\.example/,
  ),
  taken(
    'entries that are no objects, and members named __proto__',
    withEntries(() => [null, 7, [], JSON.parse('{"__proto__":{"use":"x509-svid"}}')]),
    /is no JSON object.*has no use/,
  ),
  taken(
    'a private key among the public ones is not kept',
    withEntries(() => ({ use: 'jwt-svid', kid: 'z', kty: 'oct', k: 'c2VjcmV0' })),
    /key 0 of globex\.example/,
  ),
  taken(
    'a JWT key named __proto__',
    withEntries(() => ({ use: 'jwt-svid', kid: '__proto__', ...ecJwk() })),
    /^$/,
  ),
  taken('a hint of 0', withHint('0'), /^$/),
  taken('a negative hint', withHint('-300'), /^$/),
  {
    ...taken('a hint of 10^30', withHint(`1${'0'.repeat(30)}`), /^$/),
    afterwards: async (t, { app }) => {
      const [domain] = (await app.show('globex')).domains
      t.equal(domain?.poll?.intervalSeconds, 300, 'it counts as none')
    },
  },
  taken('a hint of a second is polled at our own pace', withHint('1'), /^$/),
]

const OURS: readonly HostileCase[] = [
  taken(
    'a peer that publishes our root as its own is not validated by our key',
    withEntries(async (_peer, stage) => ownKeys(stage)),
    /has an authority with our own key sha256:[0-9a-f]{64}, which is not used/,
  ),
  {
    title: 'and our JWT keys are none of its own either',
    arrange: () => undefined,
    says: /^$/,
    outcome: 'taken',
    afterwards: async (t, { app, peer }) => {
      const held = (await app.peerBundles.of(app.meshId)).get(peer.trustDomain)
      t.same(held?.bundle.jwtAuthorities, [])
      const sent = new TextDecoder().decode(held?.document)
      for (const key of await ownKeys({ app } as Stage)) t.notMatch(sent, JSON.stringify(key))
    },
  },
]

t.test('odd keys and hints are passed over one by one, and the good ones stay', async (t) => {
  const stage = await hostileStage(t)
  made = 1n
  await endureAll(t, stage, ODD)
})

t.test('keys of ours that a peer publishes are trusted of it by nobody', async (t) => {
  const stage = await hostileStage(t)
  made = 1n
  for (const hostile of OURS) await t.test(hostile.title, (t) => endure(t, stage, hostile))
  await t.test('a peer with nothing but our keys has no authority left', async (t) => {
    const { app, peer } = stage
    const keys = JSON.stringify(await ownKeys(stage))
    peer.serves(`{"spiffe_sequence":${(made += 1n)},"keys":${keys}}`)
    await app.pollLater()
    t.match(await app.show('globex'), { health: 'needs-bootstrap' })
    const held = (await app.peerBundles.of(app.meshId)).get(peer.trustDomain)
    t.same([held?.bundle.x509Authorities, held?.bundle.jwtAuthorities], [[], []])
    t.same(await stage.issue(), ['globex.example', 'initech.example'])
  })
})
