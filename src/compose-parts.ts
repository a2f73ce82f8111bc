import type { Base } from './compose-base.ts'
import type { Ticker } from './ticker.ts'

/** The long-lived objects of the features, each made once. */
export interface Parts {
  /** The hosts and ports under which others reach us. */
  readonly publicUrl: string
  readonly workloadUrl: string
}

/** Makes the features' objects in the order of the house; nothing listens or ticks yet. */
export async function buildParts(base: Base): Promise<Parts> {
  const { config } = base
  return { publicUrl: config.PUBLIC_URL, workloadUrl: workloadUrlOf(config) }
}

/** The base URL of the workload listener: configured, or the public host with the listener's port. */
function workloadUrlOf(config: Base['config']): string {
  if (config.WORKLOAD_URL !== undefined) return config.WORKLOAD_URL
  const url = new URL(config.PUBLIC_URL)
  url.port = config.WORKLOAD_ADDRESS.slice(config.WORKLOAD_ADDRESS.lastIndexOf(':') + 1)
  return url.origin
}

/** Starts everything that repeats; stopped in reverse order. */
export function startTickers(_base: Base, _parts: Parts): readonly Ticker[] {
  return []
}
