import { gzipSync } from 'node:zlib'
import t from 'tap'
import { endureAll, type HostileCase } from '../../support/endure.ts'
import { answerOf, flood, type HostilePeer } from '../../support/hostile-peer.ts'
import { hostileStage } from '../../support/hostile-stage.ts'

/** Bytes that follow the request, then the end of the connection. */
const bytes =
  (...parts: readonly (string | Uint8Array)[]) =>
  (peer: HostilePeer): void =>
    peer.answers((socket) => {
      for (const part of parts) socket.write(part)
      socket.end()
    })

/** Bytes that are sent again and again. */
const endless =
  (head: string, block: string | Buffer) =>
  (peer: HostilePeer): void =>
    peer.answers((socket) => {
      socket.write(head)
      flood(socket, block)
    })

const OK = 'HTTP/1.1 200 OK\r\n'
const CHUNKED = `${OK}transfer-encoding: chunked\r\n\r\n`
const LARGE = /the answer of localhost:\d+ is larger than 1048576 bytes/
const NO_HTTP = /does not answer in HTTP\/1\.1/
const CUT = /cut the connection before the answer was complete/
const NOT_AS_LONG = /not as long as its Content-Length|does not answer in HTTP/
const BOMB = gzipSync(Buffer.alloc(64 * 1024 * 1024))
const DOCUMENT = '{"keys":[]}'

const LENGTHS: readonly HostileCase[] = [
  {
    title: 'an endless body (spire: no size cap)',
    arrange: endless(`${OK}\r\n`, Buffer.alloc(64 * 1024, ' ')),
    says: LARGE,
  },
  {
    title: 'an endless chunked body',
    arrange: endless(CHUNKED, `4000\r\n${' '.repeat(0x4000)}\r\n`),
    says: LARGE,
  },
  {
    title: 'a body of 1 MiB and one byte',
    arrange: (peer) => peer.serves(' '.repeat(1024 * 1024 + 1)),
    says: LARGE,
  },
  {
    title: 'a gzip bomb although plain bytes were asked for',
    arrange: (peer) => peer.serves(BOMB, 'content-encoding: gzip'),
    says: /content encoding "gzip" though none was asked for/,
  },
  {
    title: 'a gzip bomb that says nothing of gzip',
    arrange: (peer) => peer.serves(BOMB),
    says: /malformed: document is not UTF-8/,
  },
  {
    title: 'a transfer encoding of gzip',
    arrange: bytes(`${OK}transfer-encoding: gzip, chunked\r\n\r\n`, '3\r\nabc\r\n0\r\n\r\n'),
    says: /./,
  },
  {
    title: 'a Content-Length that is too long',
    arrange: bytes(`${OK}content-length: 100\r\n\r\n`, DOCUMENT),
    says: /cut the connection|not as long as its Content-Length/,
  },
  {
    title: 'a Content-Length that is too short',
    arrange: bytes(`${OK}content-length: 5\r\n\r\n`, DOCUMENT),
    says: /malformed|does not answer in HTTP/,
  },
  {
    title: 'two Content-Lengths',
    arrange: bytes(`${OK}content-length: 11\r\ncontent-length: 2\r\n\r\n`, DOCUMENT),
    says: NOT_AS_LONG,
  },
  {
    title: 'a Content-Length beside chunks',
    arrange: bytes(`${OK}content-length: 11\r\ntransfer-encoding: chunked\r\n\r\n`, DOCUMENT),
    says: NOT_AS_LONG,
  },
  {
    title: 'a negative Content-Length',
    arrange: bytes(`${OK}content-length: -1\r\n\r\n`, DOCUMENT),
    says: NO_HTTP,
  },
  {
    title: 'a Content-Length beyond 64 bits',
    arrange: bytes(`${OK}content-length: 99999999999999999999999\r\n\r\n`, DOCUMENT),
    says: NOT_AS_LONG,
  },
  {
    title: 'a Content-Length of a terabyte',
    arrange: bytes(`${OK}content-length: 1099511627776\r\n\r\n`, DOCUMENT),
    says: CUT,
  },
]

const WORDS: readonly HostileCase[] = [
  { title: 'chunks without sizes', arrange: bytes(CHUNKED, DOCUMENT), says: NO_HTTP },
  { title: 'a chunk of a negative size', arrange: bytes(CHUNKED, '-1\r\nx\r\n'), says: NO_HTTP },
  {
    title: 'a chunk size beyond 64 bits',
    arrange: bytes(CHUNKED, 'fffffffffffffffff\r\nx\r\n'),
    says: NO_HTTP,
  },
  { title: 'chunks without an end', arrange: bytes(CHUNKED, '2\r\n{}\r\n'), says: CUT },
  { title: 'HTTP/0.9', arrange: bytes(DOCUMENT), says: NO_HTTP },
  { title: 'a status line alone', arrange: bytes(OK), says: CUT },
  {
    title: 'an HTTP version from the future',
    arrange: bytes('HTTP/7.3 200 OK\r\n\r\n'),
    says: /./,
  },
  { title: 'a status of 999', arrange: bytes('HTTP/1.1 999 x\r\n\r\n'), says: /answered 999/ },
  {
    title: 'informational answers without end',
    arrange: endless('', 'HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n'),
    says: LARGE,
  },
  {
    title: 'a flood of 100 Continue',
    arrange: bytes('HTTP/1.1 100 Continue\r\n\r\n'.repeat(10_000)),
    says: /./,
  },
  {
    title: 'a switch to another protocol',
    arrange: bytes('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'),
    says: /./,
  },
  {
    title: 'headers without end',
    arrange: endless(OK, `x-${'y'.repeat(100)}: z\r\n`),
    says: /headers of localhost:\d+ are too large/,
  },
  {
    title: 'one header line without end',
    arrange: endless(`${OK}x: `, 'y'.repeat(1000)),
    says: /headers of localhost:\d+ are too large/,
  },
  {
    title: 'a chunk extension without end',
    arrange: endless(`${CHUNKED}1;`, 'y'.repeat(10_000)),
    says: LARGE,
  },
  {
    title: 'trailers without end',
    arrange: endless(`${CHUNKED}2\r\n{}\r\n0\r\n`, `x-${'y'.repeat(100)}: z\r\n`),
    says: /headers of localhost:\d+ are too large/,
  },
  {
    title: 'a NUL in a header',
    arrange: bytes(`${OK}x: a\0b\r\n\r\n`, DOCUMENT),
    says: NO_HTTP,
  },
  {
    title: 'an HTTP/2 preface',
    arrange: bytes(Buffer.from('000012040000000000000300000064000400100000', 'hex')),
    says: /./,
  },
]

const CONNECTIONS: readonly HostileCase[] = [
  {
    title: 'a reset as soon as TCP is accepted',
    arrange: (peer) => (peer.onConnection = (socket) => void socket.resetAndDestroy()),
    says: CUT,
  },
  {
    title: 'a reset after the ClientHello',
    arrange: (peer) =>
      (peer.onConnection = (socket) => void socket.once('data', () => socket.resetAndDestroy())),
    says: CUT,
  },
  {
    title: 'a reset after TLS, when the request arrives',
    arrange: (peer) => {
      peer.onConnection = (socket) => peer.overTls(() => socket.resetAndDestroy())(socket)
    },
    says: CUT,
  },
  {
    title: 'a reset amid the headers',
    arrange: (peer) => {
      peer.onConnection = (socket) =>
        peer.overTls((secure) => {
          secure.write(OK, () => setTimeout(() => socket.resetAndDestroy(), 20))
        })(socket)
    },
    says: CUT,
  },
  {
    title: 'a reset amid the body',
    arrange: (peer) => {
      peer.onConnection = (socket) =>
        peer.overTls((secure) => {
          const answer = answerOf(peer.bundle(9n))
          const part = answer.subarray(0, answer.length / 2)
          secure.write(part, () => setTimeout(() => socket.resetAndDestroy(), 20))
        })(socket)
    },
    says: CUT,
  },
  {
    title: 'a second answer on the same connection counts for nothing',
    arrange: (peer) =>
      peer.answers((socket) => {
        socket.end(Buffer.concat([answerOf(peer.document), answerOf(peer.bundle(77n))]))
      }),
    says: /^$/,
    outcome: 'taken',
    afterwards: async (t, { app }) => {
      t.match(await app.show('globex'), { domains: [{ bundle: { sequence: '1' } }] })
    },
  },
  {
    title: 'a connection that is held open for more is not used again',
    arrange: (peer) => {
      peer.connections = 0
      peer.answers((socket) => socket.write(answerOf(peer.document, 'connection: keep-alive')))
    },
    says: /^$/,
    outcome: 'taken',
    afterwards: async (t, { app, peer }) => {
      await app.database.db.updateTable('poll').set({ next_at: app.clock.now() }).execute()
      await app.poll()
      t.equal(peer.connections, 2, 'one connection a poll')
    },
  },
]

const CACHES: readonly HostileCase[] = [
  {
    title: 'an ETag of 1 MB',
    arrange: (peer) => peer.serves(peer.document, `etag: "${'x'.repeat(1_000_000)}"`),
    says: /headers of localhost:\d+ are too large/,
  },
  {
    title: 'an ETag of 10 kB is not sent back',
    arrange: (peer) => peer.serves(peer.document, `etag: "${'x'.repeat(10_000)}"`),
    says: /^$/,
    outcome: 'taken',
  },
  {
    title: 'a 304 although nothing conditional was asked',
    arrange: bytes('HTTP/1.1 304 Not Modified\r\n\r\n'),
    says: /answered 304, wanted 200/,
  },
  {
    title: 'an ETag that would add a header',
    arrange: (peer) => peer.serves(peer.document, 'etag: "a" \t"b"'),
    says: /^$/,
    outcome: 'taken',
  },
  {
    title: 'an ordinary ETag',
    arrange: (peer) => peer.serves(peer.document, 'etag: "ours"'),
    says: /^$/,
    outcome: 'taken',
  },
  {
    title: 'a 304 about another ETag than the one that was sent',
    arrange: bytes('HTTP/1.1 304 Not Modified\r\netag: "theirs"\r\n\r\n'),
    says: /answered 304 about the ETag "theirs", asked about "ours"/,
    afterwards: (t, { peer }) => t.match(peer.heads.at(-1), /if-none-match: "ours"/),
  },
  {
    title: 'a 304 that weakens the ETag is a 304',
    arrange: bytes('HTTP/1.1 304 Not Modified\r\netag: W/"ours"\r\n\r\n'),
    says: /^$/,
    outcome: 'taken',
  },
]

t.test('answers that are no proper HTTP harm nobody', async (t) => {
  await endureAll(t, await hostileStage(t), [...LENGTHS, ...WORDS])
})

t.test('connections and caches that play tricks harm nobody', async (t) => {
  await endureAll(t, await hostileStage(t), [...CONNECTIONS, ...CACHES])
})
