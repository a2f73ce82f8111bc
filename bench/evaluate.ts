import { type Query } from '../src/policy/decision/answer.ts'
import { evaluate } from '../src/policy/decision/evaluate.ts'
import {
  buildSnapshot,
  type Snapshot,
  type SnapshotInput,
} from '../src/policy/snapshot/snapshot.ts'
import {
  type Bench,
  type Figure,
  ratePerCpuSecond,
  round,
  type Scale,
  takeTurns,
} from './harness.ts'
import { scanLists } from './linear-scan.ts'
import { growthOf, makeMesh, makeQuestion, SERVICES, turnsFor } from './made-mesh.ts'
import { seededNumbers } from './seeded-numbers.ts'

const QUESTIONS = 4096

/**
 * One decision with its whole chain of reasons on a mesh of 10,000 services, 1,000 rules and 100 peers, and on larger
 * ones; the floor scans all lists and gives the decision alone.
 */
export const evaluateOne: Bench = async function* evaluateOne(scale) {
  for (const times of growthOf(scale)) yield await decide(scale, times)
}

async function decide(scale: Scale, times: number): Promise<Figure> {
  const numbers = seededNumbers(20_270_115)
  const mesh = makeMesh(numbers, SERVICES * times)
  const questions = Array.from({ length: QUESTIONS }, () => makeQuestion(numbers, SERVICES * times))
  const snapshot = buildSnapshot(mesh)
  agree(mesh, snapshot, questions.slice(0, QUESTIONS / times))
  const allowed = questions.filter((query) => evaluate(snapshot, query).decision === 'allow').length
  let next = 0
  const question = (): Query => questions[(next += 1) % QUESTIONS]!
  const rates = await takeTurns(turnsFor(scale, times), {
    floor: () => ratePerCpuSecond(scale.seconds, () => scanLists(mesh, question())),
    subject: () => ratePerCpuSecond(scale.seconds, () => evaluate(snapshot, question())),
  })
  return {
    bench: times === 1 ? 'evaluate' : `evaluate x${times}`,
    value: round(1e6 / rates.subject),
    unit: 'µs of CPU per decision',
    baseline: round(1e6 / rates.floor),
    ratio: round(rates.subject / rates.floor),
    ...(times === 1 && { goal: 'ratio >= 8 and value <= 5' }),
    services: SERVICES * times,
    allowedShare: round(allowed / QUESTIONS),
  }
}

function agree(mesh: SnapshotInput, snapshot: Snapshot, questions: readonly Query[]): void {
  for (const query of questions) {
    const decision = scanLists(mesh, query) ? 'allow' : 'deny'
    if (evaluate(snapshot, query).decision !== decision)
      throw new Error('floor and subject disagree')
  }
}
