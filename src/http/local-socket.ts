import { chmodSync, rmSync } from 'node:fs'
import { type Server, createServer } from 'node:http'
import { relative, resolve } from 'node:path'
import { Connections } from './connections.ts'
import type { App } from './listener.ts'

/** A listener's second door on this machine. */
export interface LocalSocket {
  readonly path: string
  /** Takes no more connections, and resolves when the requests in hand are answered. */
  close(): Promise<void>
}

/** The kernel's limit of a socket's path, with its final zero byte (unix(7)). */
const MAX_PATH_BYTES = 107
const MAX_CONNECTIONS = 256

/**
 * Lets an app also answer on a Unix socket that only its owner may open (0600), with the limits of its listener.
 *
 * Answers undefined when the path is too long for a socket, also as seen from the working folder.
 */
export async function listenOnSocket(app: App, path: string): Promise<LocalSocket | undefined> {
  const short = shortest(path)
  if (Buffer.byteLength(short) > MAX_PATH_BYTES) return undefined
  rmSync(short, { force: true })
  const server = createServer((request, response) => app.routing(request, response))
  const connections = new Connections(server)
  limitLike(app.server, server)
  await new Promise<void>((done, fail) => {
    server.once('error', fail)
    server.listen(short, done)
  })
  chmodSync(short, 0o600)
  const close = async (): Promise<void> => {
    const closed = new Promise<void>((done) => {
      server.close(() => done())
    })
    connections.end()
    await closed
  }
  return { path, close }
}

function limitLike(listener: Server, server: Server): void {
  server.headersTimeout = listener.headersTimeout
  server.requestTimeout = listener.requestTimeout
  server.keepAliveTimeout = listener.keepAliveTimeout
  server.maxConnections = MAX_CONNECTIONS
}

function shortest(path: string): string {
  const absolute = resolve(path)
  const seen = relative('.', absolute)
  return seen.length < absolute.length ? seen : absolute
}
