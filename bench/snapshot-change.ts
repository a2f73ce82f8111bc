import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { nextSnapshot, type SnapshotChanges } from '../src/policy/snapshot/next-snapshot.ts'
import {
  buildSnapshot,
  serviceKey,
  type Snapshot,
  type SnapshotInput,
} from '../src/policy/snapshot/snapshot.ts'
import {
  type Bench,
  type Figure,
  median,
  quantile,
  round,
  type Scale,
  takeTurns,
} from './harness.ts'
import {
  growthOf,
  makeMesh,
  makeRule,
  makeService,
  RULES,
  SERVICES,
  turnsFor,
} from './made-mesh.ts'
import { type Numbers, seededNumbers } from './seeded-numbers.ts'
import { readChanges } from './snapshot-read.ts'

/** Longest that a single change may take to be in the next snapshot. */
const GOAL_MS = 5

/**
 * From one snapshot to the next after a single change (a rule, then a service, then a rule …): the computation alone
 * against copying the map of services once, and with the reading from an embedded database against reading
 * everything; then what a snapshot holds in memory beyond the lists that it was built from.
 */
export const snapshotChange: Bench = async function* snapshotChange(scale, field) {
  for (const times of growthOf(scale)) {
    yield await compute(scale, times)
    yield hold(times)
  }
  yield await readChanges(scale, field)
}

async function compute(scale: Scale, times: number): Promise<Figure> {
  const numbers = seededNumbers(20_270_115)
  const services = SERVICES * times
  const mesh = makeMesh(numbers, services)
  let snapshot = buildSnapshot(mesh)
  const plain = new Map(mesh.services.map((service) => [serviceKey(service), service]))
  const all: number[] = []
  const step = (): void => {
    const changes = singleChange(numbers, { snapshot, services })
    const begin = performance.now()
    snapshot = nextSnapshot(snapshot, changes)
    all.push(performance.now() - begin)
  }
  const { floor } = await takeTurns(turnsFor(scale, times), {
    floor: () => medianMs(scale, () => void new Map(plain)),
    subject: () => medianMs(scale, step),
  })
  const value = median(all)
  return {
    bench: times === 1 ? 'snapshot-change' : `snapshot-change x${times}`,
    value: round(value),
    unit: 'ms from one snapshot to the next',
    baseline: round(floor),
    ratio: round(value / floor),
    ...(times === 1 && { goal: `value <= ${GOAL_MS}` }),
    services,
    changes: all.length,
    mean: round(all.reduce((sum, one) => sum + one, 0) / all.length),
    p99: round(quantile(all, 0.99)),
    worst: round(quantile(all, 1)),
  }
}

/** The change of one random rule, or of one service. */
function singleChange(
  numbers: Numbers,
  { snapshot, services }: { readonly snapshot: Snapshot; readonly services: number },
): SnapshotChanges {
  const { revisions } = snapshot
  const none = { services: new Map(), offers: new Map(), rules: new Map() }
  const next = { ...revisions, rule: revisions.rule + 1n }
  if (next.rule % 2n === 0n) {
    const rule = makeRule(numbers, { index: numbers.below(RULES), services })
    return { ...none, revisions: next, rules: new Map([[rule.id, rule]]) }
  }
  const service = makeService(numbers.below(services))
  return { ...none, revisions: next, services: new Map([[serviceKey(service), service]]) }
}

/** The median of what an act takes, tried for as long as one turn lasts. */
function medianMs({ seconds }: Scale, act: () => void): number {
  const samples: number[] = []
  const end = performance.now() + seconds * 1000
  while (performance.now() < end) {
    const begin = performance.now()
    act()
    samples.push(performance.now() - begin)
  }
  return median(samples)
}

function hold(times: number): Figure {
  const mesh = makeMesh(seededNumbers(20_270_115), SERVICES * times)
  const before = heapMegabytes()
  const snapshots = [buildSnapshot(mesh)]
  const value = heapMegabytes() - before
  const baseline = listsMegabytes(times)
  return {
    bench: times === 1 ? 'snapshot-memory' : `snapshot-memory x${times}`,
    value: round(value),
    unit: 'MB of heap beyond the lists it was built from',
    baseline: round(baseline),
    ratio: round(value / baseline),
    services: mesh.services.length,
    snapshots: snapshots.length,
  }
}

function listsMegabytes(times: number): number {
  const before = heapMegabytes()
  const kept: SnapshotInput[] = [makeMesh(seededNumbers(20_270_115), SERVICES * times)]
  return kept.length * (heapMegabytes() - before)
}

function heapMegabytes(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  return process.memoryUsage().heapUsed / 1e6
}
