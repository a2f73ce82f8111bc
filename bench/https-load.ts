import { connect, type TLSSocket } from 'node:tls'

/** Who a client says it is. */
export interface ClientIdentity {
  /** PEM: the certificate and those above it. */
  readonly cert: string
  /** PEM. */
  readonly key: string
}

/** One request, sent again and again. */
export interface Target {
  readonly port: number
  readonly servername: string
  /** All bytes of head and body. */
  readonly request: string
  /** Shown in turn, one a connection. */
  readonly identities?: readonly ClientIdentity[]
}

/** How much of it. */
export interface Load {
  /** Connections at the same moment, each with one request in flight. */
  readonly connections: number
  readonly seconds: number
}

/** What a load did. */
export interface Loaded {
  readonly requests: number
  readonly seconds: number
}

/** A request without a body, or with a JSON one. */
export function requestText(
  about: {
    readonly method: string
    readonly host: string
    readonly path: string
    readonly body?: object
  },
  connection: 'close' | 'keep-alive',
): string {
  const lines = [
    `${about.method} ${about.path} HTTP/1.1`,
    `Host: ${about.host}`,
    `Connection: ${connection}`,
  ]
  const body = about.body === undefined ? '' : JSON.stringify(about.body)
  if (body !== '')
    lines.push('Content-Type: application/json', `Content-Length: ${Buffer.byteLength(body)}`)
  return `${lines.join('\r\n')}\r\n\r\n${body}`
}

/**
 * Sends the request again and again over kept connections.
 *
 * The client is as lean as it gets, a socket that counts bytes, so that the server is what is measured. Every
 * answer must begin with 200.
 */
export async function loadKept(target: Target, load: Load): Promise<Loaded> {
  const opening = Array.from({ length: load.connections }, (_, index) => open(target, index))
  const sockets = await Promise.all(opening)
  const begun = performance.now()
  const end = begun + load.seconds * 1000
  const counts = await Promise.all(sockets.map((socket) => pump(socket, target.request, end)))
  const seconds = (performance.now() - begun) / 1000
  for (const socket of sockets) socket.destroy()
  return { requests: counts.reduce((sum, count) => sum + count, 0), seconds }
}

/** Sends the request again and again, each time over a new TLS connection. */
export async function loadFresh(target: Target, load: Load): Promise<Loaded> {
  const begun = performance.now()
  const end = begun + load.seconds * 1000
  const worker = async (_: unknown, index: number): Promise<number> => {
    let count = 0
    for (; performance.now() < end; count += 1) await sendOnce(target, index)
    return count
  }
  const counts = await Promise.all(Array.from({ length: load.connections }).map(worker))
  return {
    requests: counts.reduce((sum, count) => sum + count, 0),
    seconds: (performance.now() - begun) / 1000,
  }
}

/** One request over a connection of its own; answers with all bytes of head and body, which must begin with 200. */
export async function sendOnce(target: Target, index = 0): Promise<Buffer> {
  const socket = await open(target, index)
  return new Promise((resolve, reject) => {
    let whole: Buffer = Buffer.alloc(0)
    socket.once('error', reject)
    socket.once('close', () => reject(new Error(`the server closed after ${whole.length} bytes`)))
    socket.on('data', (chunk: Buffer) => {
      whole = whole.length === 0 ? chunk : Buffer.concat([whole, chunk])
      if (whole.length < answerLength(whole)) return
      resolve(whole)
      socket.destroy()
    })
    socket.write(target.request)
  })
}

async function pump(socket: TLSSocket, request: string, end: number): Promise<number> {
  return new Promise((resolve, reject) => {
    let count = 0
    let missing = 0
    let pending: Buffer | undefined
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the server closed a kept connection')))
    const receive = (chunk: Buffer): void => {
      if (missing === 0) {
        pending = pending === undefined ? chunk : Buffer.concat([pending, chunk])
        const length = answerLength(pending)
        if (length === Infinity) return
        missing = length - pending.length
        pending = undefined
      } else missing -= chunk.length
      if (missing > 0) return
      count += 1
      if (performance.now() >= end) resolve(count)
      else socket.write(request)
    }
    socket.on('data', (chunk: Buffer) => {
      try {
        receive(chunk)
      } catch (error) {
        reject(error)
      }
    })
    socket.write(request)
  })
}

// Who the server is was checked elsewhere; here a client that checks would only slow the load down.
function open(target: Target, index: number): Promise<TLSSocket> {
  const { port, servername, identities = [] } = target
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: '127.0.0.1',
      port,
      servername,
      rejectUnauthorized: false,
      ...identities[index % Math.max(1, identities.length)],
    })
    socket.setNoDelay(true)
    socket.once('error', reject)
    socket.once('secureConnect', () => {
      socket.off('error', reject)
      resolve(socket)
    })
  })
}

/** Length of the whole answer once its head is there, else infinity. */
function answerLength(bytes: Buffer): number {
  const head = bytes.indexOf('\r\n\r\n')
  if (head === -1) return Infinity
  const text = bytes.toString('latin1', 0, head)
  if (!text.startsWith('HTTP/1.1 200'))
    throw new Error(`an answer began with ${bytes.toString('latin1', 0, 800)}`)
  const [, length = '0'] = /\r\ncontent-length: (\d+)/i.exec(text) ?? []
  return head + 4 + Number(length)
}
