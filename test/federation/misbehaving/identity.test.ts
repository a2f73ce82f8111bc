import t, { type Test } from 'tap'
import { endureAll, type HostileCase } from '../../support/endure.ts'
import { FakeAuthority } from '../../support/fake-peer.ts'
import { type HostilePeer } from '../../support/hostile-peer.ts'
import { hostileStage, type Stage } from '../../support/hostile-stage.ts'

const NO_CHAIN = /does not chain to the stored bundle of the domain of spiffe:\/\/globex\.example/
const seconds = (count: number): Date =>
  new Date(Math.floor(performance.timeOrigin + performance.now()) + count * 1000)

/** Proper TLS with a leaf of the peer's root that says this. */
const presents =
  (wish: (peer: HostilePeer) => Parameters<FakeAuthority['issue']>[0]) =>
  async (peer: HostilePeer): Promise<void> => {
    peer.credential = await peer.root.issue(wish(peer))
    peer.onConnection = peer.good()
  }

const uris = (...made: readonly ((peer: HostilePeer) => string)[]) =>
  presents((peer) => ({ uris: made.map((one) => one(peer)) }))

/** No request may have been sent to a server that was not authenticated. */
const sentNothing = (t: Test, { peer }: Stage): void => {
  t.same(peer.heads.splice(0), [], 'no byte of a request arrived')
}

const refusedFirst = (cases: readonly HostileCase[]): readonly HostileCase[] =>
  cases.map((one) => ({ afterwards: sentNothing, ...one }))

const NAMES = refusedFirst([
  {
    title: 'the right root and another ID of the same domain',
    arrange: uris((peer) => `spiffe://${peer.trustDomain}/other`),
    says: /shows SPIFFE ID spiffe:\/\/globex\.example\/other, wanted/,
  },
  {
    title: 'the right root and an ID of another trust domain',
    arrange: uris(() => 'spiffe://initech.example/entente/bundle-endpoint'),
    says: /no bundle of the trust domain "initech\.example" is known here/,
  },
  {
    title: 'the right root and an ID of our own trust domain',
    arrange: uris(() => 'spiffe://acme.example/entente/bundle-endpoint'),
    says: /no bundle of the trust domain "acme\.example" is known here/,
  },
  {
    title: 'two URI SANs, the right one first',
    arrange: uris(
      (peer) => peer.endpointId,
      (peer) => `spiffe://${peer.trustDomain}/second`,
    ),
    says: /has 2 URI SANs, wanted exactly one/,
  },
  {
    title: 'two URI SANs, the right one last and the first no SPIFFE ID',
    arrange: uris(
      () => 'https://globex.example/',
      (peer) => peer.endpointId,
    ),
    says: /has 2 URI SANs/,
  },
  {
    title: 'the right URI SAN twice',
    arrange: uris(
      (peer) => peer.endpointId,
      (peer) => peer.endpointId,
    ),
    says: /has 2 URI SANs/,
  },
  {
    title: 'no URI SAN, but the right host name',
    arrange: presents(() => ({ dnsNames: ['localhost'] })),
    says: /has 0 URI SANs/,
  },
  {
    title: 'the right ID with a slash at its end',
    arrange: uris((peer) => `${peer.endpointId}/`),
    says: /SPIFFE ID/,
  },
  {
    title: 'the right ID in capitals',
    arrange: uris((peer) => peer.endpointId.toUpperCase()),
    says: /SPIFFE ID/,
  },
  {
    title: 'the right ID with a NUL behind it',
    arrange: uris((peer) => `${peer.endpointId}\0.evil.example`),
    says: /SPIFFE ID|cannot be read|URI/,
  },
  {
    title: 'the ID of the trust domain alone',
    arrange: uris((peer) => `spiffe://${peer.trustDomain}`),
    says: /has no path/,
  },
])

const foreign =
  (root: (stage: Stage) => FakeAuthority | Promise<FakeAuthority>) =>
  async (peer: HostilePeer, stage: Stage): Promise<void> => {
    const signer = await root(stage)
    peer.credential = await signer.issue({ uris: [peer.endpointId] })
    peer.onConnection = peer.good()
  }

const CHAINS = refusedFirst([
  {
    title: 'the right ID under the root of another federated domain (galadriel: no domain binding)',
    arrange: foreign(({ healthy }) => healthy.root),
    says: NO_CHAIN,
  },
  {
    title: 'the right ID under a root of the same name',
    arrange: foreign(() => FakeAuthority.root('globex.example')),
    says: NO_CHAIN,
  },
  {
    title: 'a leaf whose intermediate is not sent along',
    arrange: async (peer) => {
      const middle = await peer.root.intermediate(peer.trustDomain)
      const { key, cert } = await middle.issue({ uris: [peer.endpointId] })
      const end = '-----END CERTIFICATE-----'
      peer.credential = { key, cert: cert.slice(0, cert.indexOf(end) + end.length) }
      peer.onConnection = peer.good()
    },
    says: NO_CHAIN,
  },
  {
    title: 'a leaf that is a CA',
    arrange: presents((peer) => ({ uris: [peer.endpointId], isCa: true })),
    says: /certificate is a CA/,
  },
  {
    title: 'the root itself',
    arrange: async (peer) => {
      peer.credential = await peer.root.asLeaf()
      peer.onConnection = peer.good()
    },
    says: /cannot be used|is a CA|no path/,
  },
  {
    title: 'a certificate that has expired',
    arrange: presents((peer) => ({
      uris: [peer.endpointId],
      notBefore: seconds(-7200),
      notAfter: seconds(-3600),
    })),
    says: /a certificate presented by localhost:\d+ has expired/,
  },
  {
    title: 'a certificate that is not valid yet',
    arrange: presents((peer) => ({
      uris: [peer.endpointId],
      notBefore: seconds(90_000),
      notAfter: seconds(99_000),
    })),
    says: /is not valid yet/,
  },
  {
    title: 'a certificate with the key usage of nobody',
    arrange: presents((peer) => ({ uris: [peer.endpointId], keyUsages: 0x20 })),
    says: /without digitalSignature|cannot be used/,
  },
])

t.test('FE-21 names and chains that are not exactly the wanted ones are refused', async (t) => {
  const stage = await hostileStage(t)
  stage.peer.heads.length = 0
  await endureAll(t, stage, [...NAMES, ...CHAINS])
})
