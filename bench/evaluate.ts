import { loadavg } from 'node:os'
import { type Query } from '../src/policy/decision/answer.ts'
import { evaluate } from '../src/policy/decision/evaluate.ts'
import { halfOf, NO_LABELS, sceneOf } from '../src/policy/decision/scene.ts'
import { visitBuckets } from '../src/policy/snapshot/rule-index.ts'
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
import {
  growthOf,
  makeMesh,
  makeQuestion,
  RULES,
  SERVICES,
  turnsFor,
  withNamingRules,
} from './made-mesh.ts'
import { type Numbers, seededNumbers } from './seeded-numbers.ts'

const QUESTIONS = 4096

/** What a mesh has more of than the one that goals are set for: services, rules of one service each, rules of all kinds. */
const GROWTHS = ['services', 'naming rules', 'rules'] as const
type Growth = (typeof GROWTHS)[number]

/** A growth and its factor. */
interface Grown {
  readonly growth: Growth
  readonly times: number
}

/**
 * One decision with its whole chain of reasons on a mesh of 10,000 services, 1,000 rules and 100 peers, and on meshes
 * with more services or more rules; the floor scans all lists and gives the decision alone.
 */
export const evaluateOne: Bench = async function* evaluateOne(scale) {
  const [once = 1, ...more] = growthOf(scale)
  yield await decide(scale, { growth: 'services', times: once })
  for (const growth of GROWTHS) {
    for (const times of more) yield await decide(scale, { growth, times })
  }
}

function makeGrown(numbers: Numbers, { growth, times }: Grown): SnapshotInput {
  if (growth === 'services') return makeMesh(numbers, SERVICES * times)
  if (growth === 'rules') return makeMesh(numbers, SERVICES, RULES * times)
  return withNamingRules(numbers, makeMesh(numbers, SERVICES), RULES * times)
}

async function decide(scale: Scale, grown: Grown): Promise<Figure> {
  const { growth, times } = grown
  const numbers = seededNumbers(20_270_115)
  const mesh = makeGrown(numbers, grown)
  const services = mesh.services.length
  const questions = Array.from({ length: QUESTIONS }, () => makeQuestion(numbers, services))
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
    bench: times === 1 ? 'evaluate' : `evaluate ${growth} x${times}`,
    value: round(1e6 / rates.subject),
    unit: 'µs of CPU per decision',
    baseline: round(1e6 / rates.floor),
    ratio: round(rates.subject / rates.floor),
    ...(times === 1 && { goal: 'ratio >= 8 and value <= 5' }),
    services,
    rules: mesh.rules.length,
    rulesMet: round(rulesMet(snapshot, questions)),
    allowedShare: round(allowed / QUESTIONS),
    load: round(loadavg()[0] ?? 0),
  }
}

/** How many rules an average question meets: those whose audience and subject fit, counted once a place. */
function rulesMet(snapshot: Snapshot, questions: readonly Query[]): number {
  let met = 0
  for (const query of questions) {
    const scene = sceneOf(snapshot, query)
    if (scene.kind === 'foreign') continue
    visitBuckets(
      snapshot.rules,
      halfOf(snapshot, scene, { query, labels: NO_LABELS }),
      (bucket) => {
        met += bucket.allow.length + bucket.deny.length
      },
    )
  }
  return met / questions.length
}

function agree(mesh: SnapshotInput, snapshot: Snapshot, questions: readonly Query[]): void {
  for (const query of questions) {
    const decision = scanLists(mesh, query) ? 'allow' : 'deny'
    if (evaluate(snapshot, query).decision !== decision)
      throw new Error('floor and subject disagree')
  }
}
