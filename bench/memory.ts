import { setTimeout as delay } from 'node:timers/promises'
import { residentBytes } from './children.ts'
import { type Field } from './field.ts'
import { type Bench, type Figure, median, round, type Scale, type Skipped } from './harness.ts'

/** Megabytes that a service on Postgres may hold. */
const POSTGRES_LIMIT_MB = 200

/**
 * Resident memory of a service with one mesh that has settled: embedded against an empty PGlite process, both on a
 * database that exists, and on Postgres against its limit.
 */
export const memory: Bench = async function* memory(scale, field) {
  await field.empty()
  await field.endEmpty()
  const baseline = await settledMegabytes((await field.empty()).pid, scale)
  await field.endEmpty()
  await field.embedded()
  await field.endEmbedded()
  const value = await settledMegabytes((await field.embedded()).pid, scale)
  yield {
    bench: 'memory embedded',
    value: round(value),
    unit: 'MB',
    baseline: round(baseline),
    ratio: round(value / baseline),
    goal: 'value <= baseline + 120',
  }
  yield await onPostgres(scale, field)
}

async function onPostgres(scale: Scale, field: Field): Promise<Figure | Skipped> {
  const bench = 'memory postgres'
  try {
    const value = await settledMegabytes((await field.onPostgres()).pid, scale)
    const ratio = round(value / POSTGRES_LIMIT_MB)
    return {
      bench,
      value: round(value),
      unit: 'MB',
      baseline: POSTGRES_LIMIT_MB,
      ratio,
      goal: 'value <= 200',
    }
  } catch (error) {
    return { bench, skipped: String(error) }
  }
}

/** The median of five looks, the first after some seconds of quiet. */
async function settledMegabytes(pid: number, { smoke }: Scale): Promise<number> {
  await delay(smoke ? 200 : 10_000)
  const samples: number[] = []
  for (let look = 0; look < 5; look += 1) {
    await delay(smoke ? 20 : 1000)
    samples.push(residentBytes(pid) / 1e6)
  }
  return median(samples)
}
