import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { constants, type ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import { Server as TlsServer, type TLSSocket } from 'node:tls'

/** How long a stop waits for requests in hand; a client that never finishes its request cannot hold it up longer. */
const DRAIN_LIMIT_MS = 7000

/**
 * Follows the connections of a server, so that its stop waits for requests in hand and for nothing else.
 *
 * Node's own `closeIdleConnections` leaves connections that have not sent a request yet, and those whose
 * request ends during the stop; browsers open the first kind ahead of need. HTTP/2 connections are left to
 * Fastify, which ends them with GOAWAY.
 */
export class Connections {
  /** Open connections, with the requests in hand on each. */
  readonly #open = new Map<Socket, number>()
  /** Connections in the middle of their TLS handshake, by remote address. */
  readonly #shaking = new Map<string, Socket>()
  #ending = false

  constructor(server: Server) {
    if (server instanceof TlsServer) {
      server.on('connection', (socket: Socket) => this.#shake(socket))
      server.on('secureConnection', (socket: TLSSocket) => this.#opened(socket))
    } else {
      server.on('connection', (socket: Socket) => this.#opened(socket))
    }
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      this.#count(request.socket, 1)
      response.once('close', () => this.#count(request.socket, -1))
    })
  }

  /**
   * Ends every connection without a request in hand now, and each other one when its last request is answered,
   * at the latest after seven seconds.
   */
  end(): void {
    this.#ending = true
    for (const socket of this.#shaking.values()) socket.destroy()
    for (const [socket, requests] of this.#open) if (requests === 0) socket.destroy()
    const overdue = (): void => this.#open.forEach((_, socket) => socket.destroy())
    setTimeout(overdue, DRAIN_LIMIT_MS).unref()
  }

  #shake(socket: Socket): void {
    const address = addressOf(socket)
    this.#shaking.set(address, socket)
    socket.once('close', () => this.#shaking.delete(address))
  }

  #opened(socket: Socket | TLSSocket): void {
    this.#shaking.delete(addressOf(socket))
    if ('alpnProtocol' in socket && socket.alpnProtocol === 'h2') return
    this.#open.set(socket, 0)
    socket.once('close', () => this.#open.delete(socket))
    if (this.#ending) socket.destroy()
  }

  #count(socket: Socket, change: number): void {
    const before = this.#open.get(socket)
    if (before === undefined) return
    this.#open.set(socket, before + change)
    if (this.#ending && before + change === 0) socket.destroySoon()
  }
}

/**
 * Cuts every HTTP/2 stream that is still open after this long.
 *
 * Node's request timeout is for HTTP/1.1 only, and closing an idle HTTP/2 connection waits for its open streams, so
 * one request without an end would hold its connection for ever.
 */
export function limitStreams(server: Server, limitMs: number): void {
  server.on('stream', (stream: ServerHttp2Stream) => {
    const overdue = setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), limitMs)
    stream.once('close', () => clearTimeout(overdue))
  })
}

function addressOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`
}
