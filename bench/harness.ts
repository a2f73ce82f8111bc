import { type Field } from './field.ts'

/** How much a run may cost: the whole measurement, or just enough to see that everything works. */
export interface Scale {
  readonly smoke: boolean
  /** How often floor and subject take turns; the medians of these rounds are compared. */
  readonly rounds: number
  /** How long one turn lasts. */
  readonly seconds: number
  /** How many relationships are polled, instead of the bench's own numbers. */
  readonly relationships?: readonly number[] | undefined
}

/** The two scales. */
export const SCALES = {
  full: { smoke: false, rounds: 5, seconds: 2 },
  smoke: { smoke: true, rounds: 1, seconds: 0.15 },
} as const satisfies Record<string, Scale>

/** One figure: what was measured, what the floor gave in the same run, and their ratio. */
export interface Figure {
  readonly bench: string
  readonly value: number
  readonly unit: string
  readonly baseline: number
  readonly ratio: number
  /** What the product wants to reach, as a condition on ratio or value. */
  readonly goal?: string
  readonly [more: string]: number | string | undefined
}

/** A bench that could not run here, and why. */
export interface Skipped {
  readonly bench: string
  readonly skipped: string
}

/** Measures something on the processes of a run and gives its figures one by one. */
export type Bench = (scale: Scale, field: Field) => AsyncIterable<Figure | Skipped>

/** Medians of floor and subject, which took turns A B A B …, so that a slow minute hits both. */
export interface Compared {
  readonly floor: number
  readonly subject: number
}

/** Lets floor and subject take turns and compares their medians. */
export async function takeTurns(
  { rounds }: Scale,
  turns: {
    readonly floor: () => Promise<number> | number
    readonly subject: () => Promise<number> | number
  },
): Promise<Compared> {
  const floors: number[] = []
  const subjects: number[] = []
  for (let turn = 0; turn < rounds; turn += 1) {
    floors.push(await turns.floor())
    subjects.push(await turns.subject())
  }
  return { floor: median(floors), subject: median(subjects) }
}

/**
 * How often an act runs per second of this process's CPU, for about `seconds` of the clock.
 *
 * Per second of CPU, because others use the machine too: what they take has no say. The clock is looked at after
 * each `batch` of acts; one that takes long needs a small one.
 */
export function ratePerCpuSecond(seconds: number, act: () => unknown, batch = 16): number {
  const before = process.cpuUsage()
  const end = performance.now() + seconds * 1000
  let count = 0
  while (performance.now() < end) {
    for (let i = 0; i < batch; i += 1) act()
    count += batch
  }
  const { user, system } = process.cpuUsage(before)
  return (count * 1e6) / (user + system)
}

/** The middle value; of an even number the lower of the two in the middle. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** The value below which the share `q` of the values lies (nearest rank). */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(sorted.length * q) - 1)] ?? Number.NaN
}

/** A figure whose ratio is subject over floor, both rates: higher is better. */
export function rateFigure(
  about: { readonly bench: string; readonly unit: string; readonly goal?: string },
  { floor, subject }: Compared,
): Figure {
  return { ...about, value: round(subject), baseline: round(floor), ratio: round(subject / floor) }
}

/** Four significant digits: more would pretend. */
export function round(value: number): number {
  return Number(value.toPrecision(4))
}
