import { setTimeout as delay } from 'node:timers/promises'
import { cpuSeconds } from './children.ts'
import { median, type Scale } from './harness.ts'
import { type Load, type Loaded, type Target } from './https-load.ts'

/** A server process and the request that it is loaded with. */
export interface LoadedServer {
  readonly pid: number
  readonly target: Target
}

/** Requests that a server answers per second of its CPU, and per second of the clock. */
export interface ServerTurns {
  /** One turn, answered in requests per second of the server's CPU. */
  readonly turn: () => Promise<number>
  /** Requests per second of the clock, median of all turns. */
  readonly wall: () => number
}

/**
 * Prepares turns of load on a server: warmed up, and with what it uses while nobody asks it anything measured, which
 * is not the cost of requests.
 *
 * Per second of CPU, because load generator, server and database share the machine: what the others take has no say.
 */
export async function serverTurns(
  scale: Scale,
  { pid, target }: LoadedServer,
  manner: {
    readonly connections: number
    readonly load: (target: Target, load: Load) => Promise<Loaded>
  },
): Promise<ServerTurns> {
  const { connections, load } = manner
  await load(target, { connections, seconds: scale.seconds / 2 })
  await delay(scale.seconds * 250)
  const before = cpuSeconds(pid)
  await delay(scale.seconds * 1000)
  const idle = (cpuSeconds(pid) - before) / scale.seconds
  const walls: number[] = []
  return {
    wall: () => median(walls),
    turn: async () => {
      const begun = cpuSeconds(pid)
      const { requests, seconds } = await load(target, { connections, seconds: scale.seconds })
      walls.push(requests / seconds)
      const used = cpuSeconds(pid) - begun - idle * seconds
      return requests / Math.max(used, 0.01)
    },
  }
}
