import { createSecureContext, type TLSSocket } from 'node:tls'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { endureAll, type HostileCase } from '../../support/endure.ts'
import { FakeAuthority } from '../../support/fake-peer.ts'
import { answerOf, type HostilePeer } from '../../support/hostile-peer.ts'
import { hostileStage, type Stage } from '../../support/hostile-stage.ts'

const HANDSHAKE = /the TLS handshake with localhost:\d+ failed|cut the connection/
const seconds = (count: number): Date =>
  new Date(Math.floor(performance.timeOrigin + performance.now()) + count * 1000)

/** Proper TLS with a leaf of the peer's root that says this. */
const presents =
  (wish: (peer: HostilePeer) => Parameters<FakeAuthority['issue']>[0]) =>
  async (peer: HostilePeer): Promise<void> => {
    peer.credential = await peer.root.issue(wish(peer))
    peer.onConnection = peer.good()
  }

/** TLS as OpenSSL lets nobody speak it today. */
const speaks = (options: Parameters<typeof createSecureContext>[0]) => (peer: HostilePeer) => {
  const secureContext = createSecureContext({ ...peer.credential, ...options })
  peer.onConnection = peer.overTls(() => undefined, { secureContext })
}

/** No request may have been sent to a server that was not authenticated. */
const sentNothing = (t: Test, { peer }: Stage): void => {
  t.same(peer.heads.splice(0), [], 'no byte of a request arrived')
}

const refusedFirst = (cases: readonly HostileCase[]): readonly HostileCase[] =>
  cases.map((one) => ({ afterwards: sentNothing, ...one }))

/** Whether any connection resumed a session, as the server saw it. */
const resumed: boolean[] = []
const remembers = (socket: TLSSocket): void => void resumed.push(socket.isSessionReused())
const ticketKeys = Buffer.alloc(48, 7)
const resumable = async (
  peer: HostilePeer,
  maxVersion: 'TLSv1.2' | 'TLSv1.3',
  id: string = peer.endpointId,
): Promise<void> => {
  peer.credential = await peer.root.issue({ uris: [id] })
  const secureContext = createSecureContext({ ...peer.credential, ticketKeys, maxVersion })
  peer.onConnection = peer.overTls(
    (socket) => {
      remembers(socket)
      socket.end(answerOf(peer.document))
    },
    { secureContext },
  )
}

/** The first two run by the true time, which OpenSSL goes by; the tests' clock is set to it. */
const VERSIONS: readonly HostileCase[] = [
  {
    title: 'a certificate of two seconds is good while it lasts',
    arrange: async (peer, { app }) => {
      app.clock.set(seconds(-300))
      await presents(() => ({ uris: [peer.endpointId], notAfter: seconds(2) }))(peer)
    },
    says: /^$/,
    outcome: 'taken',
    afterwards: () => delay(2000),
  },
  {
    title: 'a certificate that ended between two polls',
    arrange: (peer, { app }) => {
      peer.heads.length = 0
      app.clock.set(seconds(-300))
    },
    says: /a certificate presented by localhost:\d+ has expired/,
    afterwards: sentNothing,
  },
  ...refusedFirst([
    {
      title: 'TLS 1.1',
      arrange: speaks({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' }),
      says: HANDSHAKE,
    },
    {
      title: 'no certificate at all',
      arrange: (peer) => {
        const secureContext = createSecureContext({
          ciphers: 'aNULL:@SECLEVEL=0',
          maxVersion: 'TLSv1.2',
        })
        peer.onConnection = peer.overTls(() => undefined, { secureContext })
      },
      says: HANDSHAKE,
    },
    {
      title: 'a cipher without encryption',
      arrange: speaks({ ciphers: 'eNULL:@SECLEVEL=0', maxVersion: 'TLSv1.2' }),
      says: HANDSHAKE,
    },
    {
      title: 'plain HTTP where TLS belongs',
      arrange: (peer) => (peer.onConnection = (socket) => void socket.end(answerOf(peer.document))),
      says: HANDSHAKE,
    },
  ]),
  {
    title: 'a session is offered for resumption under TLS 1.2 and is not taken up',
    arrange: (peer) => resumable(peer, 'TLSv1.2'),
    says: /^$/,
    outcome: 'taken',
  },
  {
    title: 'a session is offered for resumption under TLS 1.3 and is not taken up',
    arrange: (peer) => resumable(peer, 'TLSv1.3'),
    says: /^$/,
    outcome: 'taken',
    afterwards: (t) => t.same(resumed, [false, false]),
  },
  {
    title: 'another ID on the second connection, behind the session of the first',
    arrange: async (peer) => {
      peer.heads.length = 0
      await resumable(peer, 'TLSv1.3', `spiffe://${peer.trustDomain}/other`)
    },
    says: /shows SPIFFE ID spiffe:\/\/globex\.example\/other/,
    afterwards: sentNothing,
  },
  {
    title: 'a server that demands a client certificate, which FE-13 forbids it',
    arrange: async (peer) => {
      peer.credential = await peer.root.issue({ uris: [peer.endpointId] })
      peer.onConnection = peer.overTls((socket) => socket.end(answerOf(peer.bundle(9n))), {
        requestCert: true,
        rejectUnauthorized: true,
      })
    },
    says: /TLS handshake|cut the connection|the connection to localhost/,
  },
  {
    title: 'junk certificates behind the chain change nothing',
    arrange: async (peer, { healthy }) => {
      const { key, cert } = await peer.root.issue({ uris: [peer.endpointId] })
      const junk = await FakeAuthority.root('junk.example')
      const more = [healthy.root, junk, peer.root].map(({ pem }) => pem).join('\n')
      peer.credential = { key, cert: `${cert}\n${more}\n` }
      peer.onConnection = peer.good()
    },
    says: /^$/,
    outcome: 'taken',
  },
  {
    title: 'a certificate that by our clock ended between two polls',
    arrange: async (peer, { app }) => {
      peer.heads.length = 0
      const hour = app.clock.now().getTime() + 3_600_000
      await presents(() => ({ uris: [peer.endpointId], notAfter: new Date(hour) }))(peer)
      await app.clock.advance(3_600_000)
    },
    says: /no valid X509-SVID: .*certificate ended at/,
    afterwards: sentNothing,
  },
]

t.test('FE-21 TLS that is old, empty, resumed or out of date is refused', async (t) => {
  const stage = await hostileStage(t)
  stage.peer.heads.length = 0
  await endureAll(t, stage, VERSIONS)
})
