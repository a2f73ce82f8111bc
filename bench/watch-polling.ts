import { setTimeout as delay } from 'node:timers/promises'
import { cpuSeconds, openFiles, type Part, residentBytes } from './children.ts'
import { type CountedPostgres, type DatabaseTraffic } from './counted-postgres.ts'
import { type ServiceProcess } from './service-process.ts'

/** A farm of peers in a process of its own. */
export type Farm = Part<{ port: number }>

/** A service and what it stands between. */
export interface PollingField {
  readonly service: ServiceProcess
  readonly farm: Farm
  readonly database: CountedPostgres
}

/** What a service used in a span of time. */
export interface Usage extends DatabaseTraffic {
  readonly cpuSeconds: number
  readonly wallSeconds: number
  /** Memory at the end. */
  readonly residentBytes: number
  /** Files and sockets, the most that were open at a time. */
  readonly openFiles: number
}

/** How often open sockets are counted, in milliseconds. */
const SAMPLE_MS = 100

/** Lets a time pass and tells what the service used meanwhile. */
export async function watchUsage(
  { service, database }: Omit<PollingField, 'farm'>,
  seconds: number,
): Promise<Usage> {
  const traffic = database.traffic()
  const cpu = cpuSeconds(service.pid)
  const begun = performance.now()
  let most = 0
  while (performance.now() - begun < seconds * 1000) {
    most = Math.max(most, openFiles(service.pid))
    await delay(SAMPLE_MS)
  }
  const { statements, bytes } = database.traffic()
  return {
    cpuSeconds: cpuSeconds(service.pid) - cpu,
    wallSeconds: (performance.now() - begun) / 1000,
    residentBytes: residentBytes(service.pid),
    openFiles: most,
    statements: statements - traffic.statements,
    bytes: bytes - traffic.bytes,
  }
}

/** Polls that arrived at the farm while they were watched, and what they cost. */
export interface Watched extends Usage {
  /** Peer and Unix milliseconds. */
  readonly arrivals: readonly (readonly [number, number])[]
  readonly endedMs: number
}

/** Watches the polls of some seconds. */
export async function watchPolls(field: PollingField, seconds: number): Promise<Watched> {
  await field.farm.ask({})
  const usage = await watchUsage(field, seconds)
  const { arrivals } = await field.farm.ask<{ arrivals: [number, number][] }>({})
  return { ...usage, arrivals, endedMs: Date.now() }
}
