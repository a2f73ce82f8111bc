import { constants } from 'node:crypto'
import { type AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { connect, createServer, type Server, type TLSSocket } from 'node:tls'
import { type VerifiedX509Svid } from '../src/pki/verify-chain.ts'
import { type SpiffeId } from '../src/spiffe/spiffe-id.ts'
import { type Bundles, checkPeer } from './peer-check.ts'
import { type Identity, type Workload } from './workload.ts'

/** One call that went through: whom each side saw. */
export interface Call {
  readonly clientSaw: SpiffeId
  readonly serverSaw: SpiffeId
  /** The chain of the caller's certificate, as the server checked it. */
  readonly caller: VerifiedX509Svid
}

/** A caller: what it presents, and the bundles it checks the server with. */
export interface Caller {
  readonly identity: Pick<Identity, 'cert' | 'key'>
  readonly bundles: Bundles
}

const TIMEOUT_MS = 5000

/** A workload that answers calls over mutual TLS and remembers whom it saw and whom it refused. */
export class CallServer {
  readonly #workload: Workload
  readonly #server: Server
  readonly #callers = new Map<number, VerifiedX509Svid>()
  #refusal: string | undefined
  #refusals = 0

  constructor(workload: Workload) {
    this.#workload = workload
    const { cert, key } = workload.identity
    this.#server = createServer(
      {
        cert,
        key,
        requestCert: true,
        rejectUnauthorized: false, // checked in #answer, against the bundle of the caller's trust domain only
        secureOptions: constants.SSL_OP_NO_TICKET,
      },
      (socket) => this.#answer(socket),
    )
    this.#server.on('tlsClientError', () => undefined)
    workload.onRenewed = (identity) =>
      this.#server.setSecureContext({ cert: identity.cert, key: identity.key })
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** The ID of the workload that answers here. */
  get id(): SpiffeId {
    return this.#workload.id
  }

  /** Why the last refused caller was refused. */
  get refusal(): string | undefined {
    return this.#refusal
  }

  /** How many callers were refused. */
  get refusals(): number {
    return this.#refusals
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
  }

  close(): void {
    this.#server.close()
  }

  /** Whom the server saw at the other end of the connection from this local port. */
  callerOn(port: number): VerifiedX509Svid | undefined {
    const caller = this.#callers.get(port)
    this.#callers.delete(port)
    return caller
  }

  #answer(socket: TLSSocket): void {
    socket.on('error', () => undefined)
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy())
    try {
      const caller = checkPeer(socket, this.#workload.bundles)
      if (socket.remotePort !== undefined) this.#callers.set(socket.remotePort, caller)
      socket.end(`hello ${caller.id}`)
    } catch (error) {
      this.#refusals += 1
      this.#refusal = error instanceof Error ? error.message : String(error)
      socket.destroy()
    }
  }
}

/** Calls a server over mutual TLS; throws when either side refuses the other. */
export async function call(caller: Caller, server: CallServer): Promise<Call> {
  const socket = connect({
    host: '127.0.0.1',
    port: server.port,
    cert: caller.identity.cert,
    key: caller.identity.key,
    rejectUnauthorized: false, // checked below, against the bundle of the server's trust domain only
  })
  socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error('no answer in time')))
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve)
      socket.once('error', reject)
      socket.once('close', () => reject(new Error('the other side closed the connection')))
    })
    const { id } = checkPeer(socket, caller.bundles)
    if (id !== server.id) throw new Error(`the server is ${id}, wanted ${server.id}`)
    const port = socket.localPort ?? 0
    const answer = await text(socket)
    const seen = server.callerOn(port)
    if (!answer.startsWith('hello ') || seen === undefined)
      throw new Error('the server refused the call')
    return { clientSaw: id, serverSaw: seen.id, caller: seen }
  } finally {
    socket.destroy()
  }
}

/** What a series of calls came to. */
export interface Tally {
  ok: number
  readonly failures: string[]
  /** Calls by the serial number of the anchor that the server found above the caller. */
  readonly byRoot: Map<string, number>
}

/**
 * Calls a server at a fixed pace, each time on a connection of its own, while something else happens; answers
 * what the calls came to, and what the rest found.
 */
export async function underCalls<T>(
  { caller, server, perSecond = 20 }: { caller: Caller; server: CallServer; perSecond?: number },
  meanwhile: (tally: Tally) => Promise<T>,
): Promise<{ tally: Tally; found: T }> {
  const tally: Tally = { ok: 0, failures: [], byRoot: new Map() }
  const open = new Set<Promise<void>>()
  const timer = setInterval(() => {
    const running = countCall(caller, server, tally).finally(() => open.delete(running))
    open.add(running)
  }, 1000 / perSecond)
  try {
    return { tally, found: await meanwhile(tally) }
  } finally {
    clearInterval(timer)
    await Promise.all(open)
  }
}

async function countCall(caller: Caller, server: CallServer, tally: Tally): Promise<void> {
  try {
    const { caller: seen } = await call(caller, server)
    const root = seen.anchor.serial
    tally.ok += 1
    tally.byRoot.set(root, (tally.byRoot.get(root) ?? 0) + 1)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    tally.failures.push(`${reason} (server: ${server.refusal ?? 'no complaint'})`)
  }
}
