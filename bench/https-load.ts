import { connect, type TLSSocket } from 'node:tls'

/** What is fetched, and how. */
export interface Load {
  readonly port: number
  readonly path: string
  /** Connections at the same moment. */
  readonly connections: number
  readonly seconds: number
}

/** What a load did. */
export interface Loaded {
  readonly requests: number
  readonly seconds: number
}

/**
 * Fetches one path again and again over kept connections, each with one request in flight.
 *
 * The client is as lean as it gets, a socket that counts bytes, so that the server is what is measured. Every
 * answer must be as long as the first and begin with 200.
 */
export async function loadKept(load: Load): Promise<Loaded> {
  const expected = (await fetchOnce(load, 'keep-alive')).length
  const sockets = await Promise.all(Array.from({ length: load.connections }, () => open(load.port)))
  const begun = performance.now()
  const end = begun + load.seconds * 1000
  const counts = await Promise.all(sockets.map((socket) => pump(socket, { load, expected, end })))
  const seconds = (performance.now() - begun) / 1000
  for (const socket of sockets) socket.destroy()
  return { requests: counts.reduce((sum, count) => sum + count, 0), seconds }
}

/** Fetches one path again and again, each time over a new TLS connection. */
export async function loadFresh(load: Load): Promise<Loaded> {
  const begun = performance.now()
  const end = begun + load.seconds * 1000
  const worker = async (): Promise<number> => {
    let count = 0
    for (; performance.now() < end; count += 1) await fetchOnce(load, 'close')
    return count
  }
  const counts = await Promise.all(Array.from({ length: load.connections }, worker))
  return {
    requests: counts.reduce((sum, count) => sum + count, 0),
    seconds: (performance.now() - begun) / 1000,
  }
}

/** One fetch over a connection of its own; answers with all bytes of head and body. */
export async function fetchOnce(
  { port, path }: Pick<Load, 'port' | 'path'>,
  connection: 'close' | 'keep-alive',
): Promise<Buffer> {
  const socket = await open(port)
  socket.write(requestOf(port, path, connection))
  const chunks: Buffer[] = []
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.once('close', () => resolve(Buffer.concat(chunks)))
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      const whole = Buffer.concat(chunks)
      if (whole.length >= lengthOf(whole)) socket.destroy()
    })
  })
}

interface Pumping {
  readonly load: Load
  readonly expected: number
  readonly end: number
}

async function pump(socket: TLSSocket, { load, expected, end }: Pumping): Promise<number> {
  const request = requestOf(load.port, load.path, 'keep-alive')
  return new Promise((resolve, reject) => {
    let count = 0
    let received = 0
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the server closed a kept connection')))
    socket.on('data', (chunk: Buffer) => {
      if (received === 0 && chunk.toString('latin1', 0, 12) !== 'HTTP/1.1 200') {
        reject(new Error(`an answer began with ${JSON.stringify(chunk.toString('latin1', 0, 40))}`))
        return
      }
      received += chunk.length
      if (received < expected) return
      received -= expected
      count += 1
      if (performance.now() >= end) resolve(count)
      else socket.write(request)
    })
    socket.write(request)
  })
}

// Who the server is was checked elsewhere; here a client that checks would only slow the load down.
function open(port: number): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: '127.0.0.1',
      port,
      servername: 'localhost',
      rejectUnauthorized: false,
    })
    socket.setNoDelay(true)
    socket.once('error', reject)
    socket.once('secureConnect', () => {
      socket.off('error', reject)
      resolve(socket)
    })
  })
}

function requestOf(port: number, path: string, connection: 'close' | 'keep-alive'): string {
  return `GET ${path} HTTP/1.1\r\nHost: localhost:${port}\r\nConnection: ${connection}\r\n\r\n`
}

/** Length of the whole answer once its head is there, else infinity. */
function lengthOf(bytes: Buffer): number {
  const head = bytes.indexOf('\r\n\r\n')
  if (head === -1) return Infinity
  const [, length] = /\r\ncontent-length: (\d+)/i.exec(bytes.toString('latin1', 0, head)) ?? []
  return length === undefined ? Infinity : head + 4 + Number(length)
}
