import { Resolver } from 'node:dns/promises'
import { type Clock } from '../clock.ts'
import { ServiceError } from '../errors.ts'

/** One address of a name. */
export interface Address {
  readonly address: string
  readonly family: number
}

/** Resolves a name to all its addresses. */
export type Resolve = (host: string) => Promise<readonly Address[]>

/** Bounds of look-ups; the defaults are {@link LOOKUP_LIMITS}. */
export interface LookupLimits {
  /** Look-ups that may hold a thread of the machine's resolver at once. */
  readonly running: number
  /** How long the machine's resolver is waited for alone, and then the other one. */
  readonly firstMs: number
  readonly secondMs: number
  /** How long addresses may stand in for an answer that does not come (RFC 8767 §5: one to three days). */
  readonly keptMs: number
  /** Most names whose addresses are remembered. */
  readonly names: number
}

/**
 * Twelve of the sixteen threads that Node gives to look-ups where it has 32 (`UV_THREADPOOL_SIZE`), and half the time
 * that a connection may take.
 */
export const LOOKUP_LIMITS: LookupLimits = {
  running: 12,
  firstMs: 1000,
  secondMs: 1500,
  keptMs: 86_400_000,
  names: 100_000,
}

/** What {@link Lookups} needs. */
export interface LookupOptions {
  /** The machine's resolver, which may hang for long and cannot be stopped. */
  readonly machine: Resolve
  /** Asks the name servers without holding a thread, but knows no `/etc/hosts`. */
  readonly other?: Resolve | undefined
  readonly clock: Clock
  readonly limits?: Partial<LookupLimits>
}

/** Asks the machine's name servers, or those given, over the network, bounded in time. */
export function resolveByNetwork(timeoutMs: number, servers?: readonly string[]): Resolve {
  const resolver = new Resolver({ timeout: timeoutMs, tries: 1 })
  if (servers !== undefined) resolver.setServers(servers)
  return async (host) => {
    const found = await Promise.allSettled([
      resolver.resolve4(host).then((all) => all.map((address) => ({ address, family: 4 }))),
      resolver.resolve6(host).then((all) => all.map((address) => ({ address, family: 6 }))),
    ])
    const addresses = found.flatMap((one) => (one.status === 'fulfilled' ? one.value : []))
    if (addresses.length === 0) throw noAnswer(host)
    return addresses
  }
}

/**
 * Looks names up so that those whose servers hang hold up nobody else's.
 *
 * The machine's resolver blocks a thread for as long as a name server is silent, long after its caller has given up.
 * So it is asked for each name once at a time and for few names at a time; who gets no answer from it soon asks
 * the name servers directly, and where they are silent as well, the addresses of the last answer go on. What is said for certain, as
 * that there is no such name, counts at once.
 */
export class Lookups {
  readonly #options: LookupOptions
  readonly #limits: LookupLimits
  readonly #asked = new Map<string, Promise<readonly Address[]>>()
  readonly #known = new Map<string, { readonly all: readonly Address[]; readonly atMs: number }>()
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(options: LookupOptions) {
    this.#options = options
    this.#limits = { ...LOOKUP_LIMITS, ...options.limits }
  }

  /** All addresses of a name. Throws what the resolver says, and PEER_UNREACHABLE when nobody answers. */
  async resolve(host: string): Promise<readonly Address[]> {
    const machine = this.#ask(host)
    try {
      return await within(machine, this.#limits.firstMs, host)
    } catch (error) {
      if (!isUncertain(error)) throw error
      return this.#resolveOtherwise(host, { machine, error })
    }
  }

  async #resolveOtherwise(
    host: string,
    { machine, error }: { readonly machine: Promise<readonly Address[]>; readonly error: unknown },
  ): Promise<readonly Address[]> {
    let refusal: Error | undefined
    const still = machine.catch((later: unknown) => {
      if (later instanceof Error && !isUncertain(later)) refusal = later
      throw later
    })
    try {
      const either = Promise.any([still, this.#askOther(host)])
      return await within(either, this.#limits.secondMs, host)
    } catch {
      if (refusal !== undefined) throw refusal
      const known = this.#lastKnown(host)
      if (known === undefined) throw error
      return known
    }
  }

  /** One question to the machine for all who ask about this name meanwhile. */
  #ask(host: string): Promise<readonly Address[]> {
    const present = this.#asked.get(host)
    if (present !== undefined) return present
    const asked = this.#askMachine(host).finally(() => this.#asked.delete(host))
    asked.catch(() => undefined)
    this.#asked.set(host, asked)
    return asked
  }

  async #askMachine(host: string): Promise<readonly Address[]> {
    const { clock, machine } = this.#options
    const sinceMs = clock.monotonicMs()
    if (this.#running >= this.#limits.running) {
      await new Promise<void>((turn) => this.#waiting.push(turn))
    } else this.#running += 1
    try {
      // Nobody waits any more for what queued this long.
      const lateMs = clock.monotonicMs() - sinceMs
      if (lateMs > this.#limits.firstMs + this.#limits.secondMs) throw noAnswer(host)
      return this.#keep(host, await machine(host))
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#running -= 1
      else next()
    }
  }

  async #askOther(host: string): Promise<readonly Address[]> {
    const { other } = this.#options
    if (other === undefined) throw noAnswer(host)
    return this.#keep(host, await other(host))
  }

  #keep(host: string, all: readonly Address[]): readonly Address[] {
    if (all.length === 0) return all
    this.#known.delete(host)
    this.#known.set(host, { all, atMs: this.#options.clock.monotonicMs() })
    const [oldest] = this.#known.keys()
    if (this.#known.size > this.#limits.names && oldest !== undefined) this.#known.delete(oldest)
    return all
  }

  #lastKnown(host: string): readonly Address[] | undefined {
    const known = this.#known.get(host)
    if (known === undefined) return undefined
    const ageMs = this.#options.clock.monotonicMs() - known.atMs
    return ageMs <= this.#limits.keptMs ? known.all : undefined
  }
}

/** Rejects with {@link noAnswer} when the answer takes longer. */
function within<T>(answer: Promise<T>, ms: number, host: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(noAnswer(host)), ms)
    void answer.then(resolve, reject).finally(() => clearTimeout(late))
  })
}

function noAnswer(host: string): ServiceError {
  return new ServiceError('PEER_UNREACHABLE', `no name server answered about ${host} in time`)
}

// EAI_AGAIN: the resolver itself had no answer; it is no word about the name.
function isUncertain(error: unknown): boolean {
  if (error instanceof ServiceError) return true
  return error instanceof Error && 'code' in error && error.code === 'EAI_AGAIN'
}
