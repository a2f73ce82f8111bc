import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, get, type Server } from 'node:http'
import { connect as connectHttp2, constants, createSecureServer } from 'node:http2'
import { type AddressInfo, type Socket, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { connect as connectTls } from 'node:tls'
import t, { type Test } from 'tap'
import { limitStreams } from '../../src/http/connections.ts'
import { type App, createApp } from '../../src/http/listener.ts'
import { listenOnSocket } from '../../src/http/local-socket.ts'
import { createLogger } from '../../src/http/log.ts'
import { createMetrics } from '../../src/http/metrics.ts'
import { createRoot } from '../../src/pki/ca-certificate.ts'
import { toPem } from '../../src/pki/certificate.ts'
import { generateKeyPair } from '../../src/pki/key-pair.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'

interface Slow {
  readonly app: App
  readonly port: number
  /** Resolves when a request is in hand; its answer waits for `finish`. */
  readonly begun: Promise<void>
  readonly finish: () => void
}

async function slowApp(t: Test, tls?: { cert: string; key: string }): Promise<Slow> {
  const app = createApp({
    name: 'federation',
    log: createLogger({ level: 'silent' }),
    metrics: createMetrics(),
    ...(tls === undefined ? {} : { tls }),
  })
  const begin = Promise.withResolvers<void>()
  const answer = Promise.withResolvers<string>()
  app.get('/slow', () => {
    begin.resolve()
    return answer.promise
  })
  app.get('/quick', () => 'quick')
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  const { port } = app.server.address() as AddressInfo
  return { app, port, begun: begin.promise, finish: () => answer.resolve('finished') }
}

/** Resolves when a connection has ended, also by a reset. */
function closed(socket: Socket): Promise<void> {
  socket.on('error', () => undefined)
  return new Promise((resolve) => {
    socket.once('close', () => resolve())
  })
}

/** Any certificate with its key; nobody checks it here. */
function anyCertificate(): { cert: string; key: string } {
  const keys = generateKeyPair()
  const root = createRoot({
    trustDomain: parseTrustDomain('acme.example'),
    keys,
    notBefore: new Date('2020-01-01T00:00:00Z'),
    notAfter: new Date('2050-01-01T00:00:00Z'),
  })
  const key = keys.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
  return { cert: toPem(root), key }
}

async function millisecondsOf(work: Promise<unknown>): Promise<number> {
  const begin = performance.now()
  await work
  return performance.now() - begin
}

t.test('a stop waits for the request in hand and then ends its kept connection', async (t) => {
  const { app, port, begun, finish } = await slowApp(t)
  const agent = new Agent({ keepAlive: true })
  t.teardown(() => agent.destroy())
  const asked = new Promise<string>((resolve, reject) => {
    get({ port, host: '127.0.0.1', path: '/slow', agent }, (answer) => resolve(text(answer))).on(
      'error',
      reject,
    )
  })
  await begun
  const closing = app.close()
  setTimeout(finish, 300)
  t.equal(await asked, 'finished')
  t.ok((await millisecondsOf(closing)) < 1000)
})

t.test('connections that never sent a request do not hold up a stop', async (t) => {
  const { app, port } = await slowApp(t)
  const silent = connect(port, '127.0.0.1')
  const half = connect(port, '127.0.0.1')
  await Promise.all([once(silent, 'connect'), once(half, 'connect')])
  half.write('GET /quick HTTP/1.1\r\nhost:')
  const ends = [silent, half].map(closed)
  t.ok((await millisecondsOf(app.close())) < 1000)
  await Promise.all(ends)
})

t.test('nor do those in the middle of a TLS handshake, or idle after it', async (t) => {
  const { app, port, begun, finish } = await slowApp(t, anyCertificate())
  const unshaken = connect(port, '127.0.0.1')
  const shaken = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
  const busy = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
  await Promise.all([
    once(unshaken, 'connect'),
    once(shaken, 'secureConnect'),
    once(busy, 'secureConnect'),
  ])
  const ends = [unshaken, shaken].map(closed)
  busy.write('GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n')
  await begun
  const closing = app.close()
  await Promise.all(ends)
  finish()
  t.match(await text(busy), /^HTTP\/1.1 200 [^]*finished$/)
  t.ok((await millisecondsOf(closing)) < 1000)
})

t.test('a local socket answers like its listener; a long path is no failure', async (t) => {
  const { app } = await slowApp(t)
  const folder = mkdtempSync(join(tmpdir(), 'entente-socket-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  t.equal(await listenOnSocket(app, join('/tmp', 'x'.repeat(110))), undefined)
  const path = join(folder, 's')
  const socket = await listenOnSocket(app, path)
  const idle = connect(path)
  await once(idle, 'connect')
  const asking = connect(path)
  asking.write('GET /quick HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n')
  t.match(await text(asking), /quick$/)
  t.ok((await millisecondsOf(socket?.close() ?? Promise.reject(new Error('none')))) < 1000)
})

t.test('an HTTP/2 request that never ends is cut, and one that was answered is not', async (t) => {
  const server = createSecureServer(anyCertificate(), (request, response) => {
    request.resume().on('end', () => response.end('ok'))
  })
  limitStreams(server as unknown as Server, 300)
  server.on('stream', (stream) => stream.on('error', () => undefined))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const session = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false })
  t.teardown(() => {
    session.destroy()
    server.close()
  })
  const ended = (method: string) => {
    const stream = session.request({ ':method': method, ':path': '/' }, { endStream: false })
    stream.on('error', () => undefined).resume()
    if (method === 'GET') stream.end()
    return once(stream, 'close').then(() => stream.rstCode)
  }
  t.equal(await ended('GET'), constants.NGHTTP2_NO_ERROR)
  t.equal(await ended('POST'), constants.NGHTTP2_CANCEL)
})

t.test('every listener limits how long a request may take to arrive', async (t) => {
  for (const http2 of [false, true]) {
    const app = createApp({
      name: 'workload',
      log: createLogger({ level: 'silent' }),
      metrics: createMetrics(),
      tls: anyCertificate(),
      http2,
    })
    await app.ready()
    t.match(app.server, { headersTimeout: 10_000, requestTimeout: 30_000 }, `http2: ${http2}`)
    await app.close()
  }
})
