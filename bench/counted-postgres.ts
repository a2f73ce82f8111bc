import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** What a process exchanged with its database. */
export interface DatabaseTraffic {
  readonly statements: number
  /** In both directions. */
  readonly bytes: number
}

/** A way to a Postgres that counts what passes. */
export interface CountedPostgres {
  readonly url: string
  /** Since it was opened. */
  traffic(): DatabaseTraffic
  close(): void
}

/** Opens a link on loopback to the server of this URL; what passes is read and handed on, nothing is held back. */
export async function countPostgres(url: string): Promise<CountedPostgres> {
  const real = new URL(url)
  const counts = { statements: 0, bytes: 0 }
  const open = new Set<Socket>()
  const link = createServer((near) => {
    const far = connect(Number(real.port), real.hostname)
    const statements = statementCounter()
    near.on('data', (chunk: Buffer) => (counts.statements += statements(chunk)))
    join(near, far)
    join(far, near)
  }).listen(0, '127.0.0.1')
  function join(from: Socket, to: Socket): void {
    open.add(from)
    from.setNoDelay(true)
    from.on('data', (chunk: Buffer) => (counts.bytes += chunk.length))
    from.on('error', () => undefined)
    from.on('close', () => {
      open.delete(from)
      to.destroy()
    })
    from.pipe(to)
  }
  await once(link, 'listening')
  const counted = new URL(url)
  counted.port = String((link.address() as AddressInfo).port)
  return {
    url: counted.href,
    traffic: () => ({ ...counts }),
    close: () => {
      link.close()
      for (const socket of open) socket.destroy()
    },
  }
}

/** Messages that make a server run something: Query and Execute. */
const RUNS = new Set(['Q', 'E'].map((type) => type.charCodeAt(0)))

/**
 * Counts statements in the stream of a client, however it is cut into chunks. Each message is a type and its length;
 * only the first, which opens the session, has no type (PostgreSQL documentation, "Message Formats").
 */
function statementCounter(): (chunk: Buffer) => number {
  let head = Buffer.alloc(0)
  let toSkip = 0
  let started = false
  return (chunk) => {
    let found = 0
    let rest = chunk
    while (rest.length > 0) {
      if (toSkip > 0) {
        const skipped = Math.min(toSkip, rest.length)
        toSkip -= skipped
        rest = rest.subarray(skipped)
        continue
      }
      const typed = started ? 1 : 0
      const missing = typed + 4 - head.length
      head = Buffer.concat([head, rest.subarray(0, missing)])
      rest = rest.subarray(missing)
      if (head.length < typed + 4) break
      if (started && RUNS.has(head[0] ?? 0)) found += 1
      toSkip = head.readUInt32BE(typed) - 4
      started = true
      head = Buffer.alloc(0)
    }
    return found
  }
}
