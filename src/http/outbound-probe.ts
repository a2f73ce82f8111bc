/** How far a connection came, in this order. */
export const PROBE_STAGES = [
  'name',
  'policy',
  'tcp',
  'tls',
  'proof',
  'http',
  'body',
  'done',
] as const

/** One of {@link PROBE_STAGES}: what was being done when a request failed, or `done`. */
export type ProbeStage = (typeof PROBE_STAGES)[number]

/**
 * What the last connection of a request saw on its way, for somebody who asks why it failed; it changes nothing.
 *
 * Addresses that policy refuses are not in it: a refusal is one sentence, and nothing more is told.
 */
export interface Probe {
  stage: ProbeStage
  /** Those that policy opens; empty for an address that the URL names itself. */
  addresses: readonly string[]
  tlsVersion: string | undefined
  /** What the server presented, leaf first, DER; then the anchor if OpenSSL found one. */
  chain: readonly Uint8Array[]
  status: number | undefined
  /** The `Date` header. */
  date: string | undefined
}

/** A probe that has seen nothing yet. */
export function newProbe(): Probe {
  return {
    stage: 'name',
    addresses: [],
    tlsVersion: undefined,
    chain: [],
    status: undefined,
    date: undefined,
  }
}

/** Notes that the next stage began; without a probe nothing happens. */
export function reach(
  probe: Probe | undefined,
  stage: ProbeStage,
  seen: Partial<Probe> = {},
): void {
  if (probe !== undefined) Object.assign(probe, seen, { stage })
}
