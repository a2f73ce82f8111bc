import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { endureAll, type HostileCase } from '../../support/endure.ts'
import { answerOf, drip } from '../../support/hostile-peer.ts'
import { hostileStage, TOTAL_MS } from '../../support/hostile-stage.ts'

const TOO_SLOW =
  /no complete answer from localhost:\d+ within 1\.5 s|no connection to .* within 1\.5 s/
const HEAD = 'HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n'

/** A TLS 1.2 record that announces a ServerHello of 122 bytes, and the first few of them. */
const HALF_HELLO = Buffer.concat([Buffer.from('160303007a020000760303', 'hex'), randomBytes(20)])

const CASES: readonly HostileCase[] = [
  {
    title: 'a peer that accepts TCP and says nothing',
    arrange: (peer) => (peer.onConnection = () => undefined),
    says: TOO_SLOW,
    hangs: true,
  },
  {
    title: 'half a ServerHello, then silence',
    arrange: (peer) =>
      (peer.onConnection = (socket) => void socket.once('data', () => socket.write(HALF_HELLO))),
    says: TOO_SLOW,
    hangs: true,
  },
  {
    title: 'a ServerHello one byte at a time',
    arrange: (peer) => (peer.onConnection = (socket) => drip(socket, HALF_HELLO, 100)),
    says: TOO_SLOW,
    hangs: true,
  },
  {
    title: 'TLS, then no answer to the request',
    arrange: (peer) => peer.answers(() => undefined),
    says: TOO_SLOW,
    hangs: true,
  },
  {
    title: 'headers one byte at a time',
    arrange: (peer) => peer.answers((socket) => drip(socket, `${HEAD}x: ${'y'.repeat(1000)}`)),
    says: TOO_SLOW,
    hangs: true,
  },
  {
    title: 'a body one byte at a time',
    arrange: (peer) =>
      peer.answers((socket) => {
        socket.write(`${HEAD}\r\n`)
        drip(socket, 'x'.repeat(1000))
      }),
    says: TOO_SLOW,
    hangs: true,
  },
  {
    title: 'a chunked body, one byte a chunk',
    arrange: (peer) =>
      peer.answers((socket) => {
        socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n')
        drip(socket, '1\r\nx\r\n'.repeat(200), 20)
      }),
    says: TOO_SLOW,
    hangs: true,
  },
  {
    title: 'a whole answer but its last byte',
    arrange: (peer) =>
      peer.answers((socket) => {
        const answer = answerOf(peer.bundle(9n))
        socket.write(answer.subarray(0, -1))
      }),
    says: TOO_SLOW,
    hangs: true,
  },
  {
    title: 'redirects that each take most of the time allowed for all',
    arrange: (peer) => {
      let hop = 0
      peer.answers((socket) => {
        setTimeout(() => {
          socket.end(
            `HTTP/1.1 302 Found\r\nlocation: /hop${(hop += 1)}\r\ncontent-length: 0\r\n\r\n`,
          )
        }, TOTAL_MS * 0.4)
      })
    },
    says: TOO_SLOW,
    hangs: true,
  },
  {
    title: 'an answer after we hung up',
    arrange: (peer) =>
      peer.answers((socket) => {
        setTimeout(() => void socket.end(answerOf(peer.bundle(99n))), TOTAL_MS + 100)
      }),
    says: TOO_SLOW,
    hangs: true,
    afterwards: () => delay(300),
  },
  {
    title: 'a late answer changed nothing',
    arrange: (peer) => peer.answers((socket) => socket.end('HTTP/1.1 503 Busy\r\n\r\n')),
    says: /answered 503, wanted 200/,
  },
]

t.test('a peer that is slow at any stage is left, and nobody waits for it', async (t) => {
  await endureAll(t, await hostileStage(t), CASES)
})

t.test(
  'while a peer hangs its relationship is ended and others are changed at once (spire: all wait for it)',
  async (t) => {
    const { app, peer, healthy } = await hostileStage(t)
    const asked = Promise.withResolvers<void>()
    peer.answers(() => asked.resolve())
    await app.clock.advance(300_000)
    const polling = app.poll()
    await asked.promise
    app.lines.length = 0
    const RELATIONSHIPS = '/meshes/acme/relationships'
    const act = (method: 'POST' | 'PATCH' | 'DELETE', path: string, body?: object) =>
      app.call(method, `${RELATIONSHIPS}/${path}`, {
        ifMatch: '*',
        ...(body === undefined ? {} : { body }),
      })
    const changed = await act('PATCH', 'initech', { note: 'changed meanwhile' })
    const ended = await act('POST', 'globex/terminate')
    const deleted = await act('DELETE', 'globex')
    t.same([changed.status, ended.status, deleted.status], [200, 200, 200])
    const polled = app.lines.filter(({ event }) => event === 'federation.fetched')
    t.notOk(
      polled.some(({ relationship }) => relationship === 'globex'),
      'and the hanging poll had not ended yet',
    )
    await polling
    t.equal((await app.call('GET', `${RELATIONSHIPS}/globex`)).status, 404)
    t.match(await app.show('initech'), { health: 'ok', note: 'changed meanwhile' })
    t.ok(healthy.heads.length > 0)
  },
)
