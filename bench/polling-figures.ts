import { availableParallelism, loadavg } from 'node:os'
import { type Figure, quantile, round } from './harness.ts'
import { type Usage, type Watched } from './watch-polling.ts'

/** What a bare fetch of a peer with a fresh client costs, in seconds. */
export interface BareFetch {
  readonly clientCpuSeconds: number
  readonly peerCpuSeconds: number
}

/** One run: so many relationships, watched for some time. */
export interface PollingRun {
  readonly count: number
  readonly hintSeconds: number
  readonly floor: BareFetch
  /** The service before there was anything to poll. */
  readonly idle: Usage
  readonly watched: Watched
  /** When each of the watched peers was due, in Unix milliseconds. */
  readonly due: readonly number[]
}

/** What an unchanged poll cost the database. */
export interface DatabaseCost {
  readonly statements: number
  readonly bytes: number
}

/** Connections that the service has open at once at most: its two pools. */
const POOLS = 512 + 64

/** What the database had to do for one poll, what it does all the time taken off. */
export function databaseCost({ idle, watched }: PollingRun): DatabaseCost {
  const polls = watched.arrivals.length
  const rest = watched.wallSeconds / idle.wallSeconds
  return {
    statements: (watched.statements - idle.statements * rest) / polls,
    bytes: (watched.bytes - idle.bytes * rest) / polls,
  }
}

/** All figures of a run; `first` is what the database had to do in the run with the fewest relationships. */
export function* figuresOf(run: PollingRun, first: DatabaseCost): Iterable<Figure> {
  if (run.watched.arrivals.length === 0) throw new Error('no poll arrived at any peer')
  yield cpuFigure(run)
  yield latenessFigure(run)
  yield databaseFigure(run, first)
  yield memoryFigure(run)
  yield connectionsFigure(run)
  yield handshakeFigure(run)
}

function cpuFigure({ count, idle, watched, floor }: PollingRun): Figure {
  const polls = watched.arrivals.length
  const rest = (idle.cpuSeconds / idle.wallSeconds) * watched.wallSeconds
  const perPoll = (watched.cpuSeconds - rest) / polls
  return {
    bench: `polling ${count} cpu`,
    value: round(perPoll * 1000),
    unit: 'ms of CPU per poll',
    baseline: round(floor.clientCpuSeconds * 1000),
    ratio: round(perPoll / floor.clientCpuSeconds),
    goal: 'ratio <= 2',
    polls,
    coresUsed: round(watched.cpuSeconds / watched.wallSeconds),
    load: round(loadavg()[0] ?? 0),
  }
}

function latenessFigure({ count, hintSeconds, watched, due }: PollingRun): Figure {
  const first = new Map<number, number>()
  for (const [peer, atMs] of watched.arrivals) if (!first.has(peer)) first.set(peer, atMs)
  const late = due.flatMap((dueMs, peer) =>
    dueMs > watched.endedMs
      ? []
      : [Math.max(0, (first.get(peer) ?? watched.endedMs) - dueMs) / 1000],
  )
  const p99 = quantile(late, 0.99)
  return {
    bench: `polling ${count} lateness`,
    value: round(p99),
    unit: 's late at the 99th percentile',
    baseline: hintSeconds,
    ratio: round(p99 / hintSeconds),
    ...(count <= 10_000 ? { goal: 'ratio <= 0.05' } : {}),
    median: round(quantile(late, 0.5)),
    due: late.length,
  }
}

function databaseFigure(run: PollingRun, first: DatabaseCost): Figure {
  const { statements, bytes } = databaseCost(run)
  return {
    bench: `polling ${run.count} database`,
    value: round(statements),
    unit: 'statements per unchanged poll',
    baseline: round(first.statements),
    ratio: round(statements / first.statements),
    goal: 'ratio <= 1.1',
    bytes: round(bytes),
    bytesRatio: round(bytes / first.bytes),
  }
}

function memoryFigure({ count, idle, watched }: PollingRun): Figure {
  const more = watched.residentBytes - idle.residentBytes
  return {
    bench: `polling ${count} memory`,
    value: round(watched.residentBytes / 1e6),
    unit: 'MB resident',
    baseline: round(idle.residentBytes / 1e6),
    ratio: round(watched.residentBytes / idle.residentBytes),
    bytesPerRelationship: round(more / count),
  }
}

function connectionsFigure({ count, idle, watched }: PollingRun): Figure {
  const most = watched.openFiles - idle.openFiles
  return {
    bench: `polling ${count} connections`,
    value: most,
    unit: 'connections at once, at most',
    baseline: POOLS,
    ratio: round(most / POOLS),
    goal: 'ratio <= 1',
    perRelationship: round(most / count),
  }
}

/**
 * Handshakes that are asked for against those that a bare client and the peers could do on this machine if they had
 * it for themselves.
 */
function handshakeFigure({ count, hintSeconds, floor }: PollingRun): Figure {
  const cores = availableParallelism()
  const { clientCpuSeconds: client, peerCpuSeconds: peer } = floor
  const possible = Math.min(1 / client, 1 / peer, cores / (client + peer))
  const wanted = count / hintSeconds
  return {
    bench: `polling ${count} handshakes`,
    value: round(wanted),
    unit: 'TLS handshakes per second wanted',
    baseline: round(possible),
    ratio: round(wanted / possible),
    cores,
    ...(wanted > possible / 2
      ? { limit: `a bare client and the peers together do ${round(possible)} on ${cores} cores` }
      : {}),
  }
}
