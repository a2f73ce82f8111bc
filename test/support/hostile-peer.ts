import { createHash } from 'node:crypto'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { createSecureContext, TLSSocket, type TLSSocketOptions } from 'node:tls'
import { type EndpointUrl } from '../../src/spiffe/endpoint-profile.ts'
import { bundleEndpointId, type SpiffeId } from '../../src/spiffe/spiffe-id.ts'
import { parseTrustDomain, type TrustDomain } from '../../src/spiffe/trust-domain.ts'
import { type Teardown } from './database.ts'
import { bundleOf, type Credential, FakeAuthority } from './fake-peer.ts'

/** What happens to a connection as soon as TCP has accepted it. */
export type OnConnection = (socket: Socket) => void

/** What happens after TLS, when the head of the first request has arrived. */
export type OnRequest = (socket: TLSSocket, head: string) => void

/**
 * A bundle endpoint made of bare sockets, so that a test decides about every byte below and above TLS.
 *
 * Its port, trust domain and root stay; what it does with the next connection is `onConnection`.
 */
export class HostilePeer {
  readonly trustDomain: TrustDomain
  readonly endpointId: SpiffeId
  readonly root: FakeAuthority
  /** Heads of the requests that arrived, the newest last. */
  readonly heads: string[] = []
  /** Connections that were accepted. */
  connections = 0
  document: Uint8Array
  credential: Credential
  onConnection: OnConnection
  readonly #server: Server
  readonly #open = new Set<Socket>()

  private constructor(
    server: Server,
    about: { trustDomain: string; root: FakeAuthority; credential: Credential },
  ) {
    this.#server = server
    this.root = about.root
    this.trustDomain = parseTrustDomain(about.trustDomain)
    this.endpointId = bundleEndpointId(this.trustDomain)
    this.credential = about.credential
    this.document = this.bundle(1n)
    this.onConnection = this.good()
  }

  /** Opens a peer on loopback that behaves: a good SVID, sequence 1, hint 300. */
  static async open(t: Teardown, trustDomain: string): Promise<HostilePeer> {
    const root = await FakeAuthority.root(trustDomain)
    const uris = [bundleEndpointId(parseTrustDomain(trustDomain))]
    const credential = await root.issue({ uris })
    const server = createServer()
    const peer = new HostilePeer(server, { trustDomain, root, credential })
    server.on('connection', (socket) => peer.#accept(socket))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.teardown(() => peer.close())
    return peer
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** A URL of this peer under any host name; the default resolves to loopback. */
  at(path: string, host = 'localhost'): EndpointUrl {
    return `https://${host}:${this.port}${path}` as EndpointUrl
  }

  /** A bundle of this peer. */
  bundle(
    sequence: bigint | undefined,
    about: { hint?: number | undefined; roots?: readonly FakeAuthority[] } = {},
  ): Uint8Array {
    const { roots = [this.root] } = about
    return bundleOf(this.trustDomain, {
      sequence,
      hint: 'hint' in about ? about.hint : 300,
      roots,
    })
  }

  /** Good behaviour: TLS, then the document with its ETag, or 304. */
  good(): OnConnection {
    return this.overTls((socket, head) => {
      const etag = `"${createHash('sha256').update(this.document).digest('hex').slice(0, 16)}"`
      if (head.includes(`if-none-match: ${etag}`)) {
        socket.end(`HTTP/1.1 304 Not Modified\r\netag: ${etag}\r\n\r\n`)
      } else socket.end(answerOf(this.document, `etag: ${etag}`))
    })
  }

  /** A proper handshake with this credential, then `onRequest` for the first request. */
  overTls(onRequest: OnRequest, options: TLSSocketOptions = {}): OnConnection {
    const known = new Map<Credential, ReturnType<typeof createSecureContext>>()
    return (socket) => {
      const context = known.get(this.credential) ?? createSecureContext(this.credential)
      known.set(this.credential, context)
      const secure = new TLSSocket(socket, {
        isServer: true,
        secureContext: context,
        ...options,
      })
      secure.on('error', () => socket.destroy())
      let head = ''
      secure.on('data', (part: Buffer) => {
        const had = head.includes('\r\n\r\n')
        head += part.toString('latin1')
        if (had || !head.includes('\r\n\r\n')) return
        this.heads.push(head)
        onRequest(secure, head)
      })
    }
  }

  /** Answers every request with this document. */
  serves(document: Uint8Array | string, ...headers: readonly string[]): void {
    this.answers((socket) => socket.end(answerOf(document, ...headers)))
  }

  /** Answers every request in this way, after a proper handshake. */
  answers(onRequest: OnRequest): void {
    this.onConnection = this.overTls(onRequest)
  }

  close(): Promise<void> {
    for (const socket of this.#open) socket.destroy()
    return new Promise((resolve) => {
      this.#server.close(() => resolve())
    })
  }

  #accept(socket: Socket): void {
    this.connections += 1
    this.#open.add(socket)
    socket.on('close', () => this.#open.delete(socket))
    socket.on('error', () => socket.destroy())
    this.onConnection(socket)
  }
}

/** The bytes of a complete 200 answer. */
export function answerOf(document: Uint8Array | string, ...headers: readonly string[]): Buffer {
  const body = Buffer.from(document)
  const lines = ['HTTP/1.1 200 OK', `content-length: ${body.length}`, ...headers, '', '']
  return Buffer.concat([Buffer.from(lines.join('\r\n')), body])
}

/** Writes as fast as the other side reads, until it hangs up. */
export function flood(socket: Socket, block: Buffer | string): void {
  const more = (): void => {
    while (!socket.destroyed && socket.writable && socket.write(block));
  }
  socket.on('drain', more)
  more()
}

/** Writes one byte after the other until the text ends or the other side hangs up. */
export function drip(socket: Socket, text: string | Buffer, everyMs = 50): void {
  const bytes = Buffer.from(text)
  let at = 0
  const timer = setInterval(() => {
    if (at < bytes.length) socket.write(bytes.subarray(at, (at += 1)))
  }, everyMs)
  socket.on('close', () => clearInterval(timer))
}
