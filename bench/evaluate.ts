import { type MeshId } from '../src/db/ids.ts'
import { type Query } from '../src/policy/answer.ts'
import { evaluate } from '../src/policy/evaluate.ts'
import { readRule, type Rule, type RuleDraft } from '../src/policy/rule.ts'
import { buildSnapshot, type SnapshotInput } from '../src/policy/snapshot.ts'
import { parseSpiffeId } from '../src/spiffe/spiffe-id.ts'
import { parseTrustDomain } from '../src/spiffe/trust-domain.ts'
import { type Bench, ratePerCpuSecond, round, takeTurns } from './harness.ts'
import { scanLists } from './linear-scan.ts'
import { type Numbers, seededNumbers } from './seeded-numbers.ts'

const SERVICES = 10_000
const RULES = 1000
const PEERS = 100
const QUESTIONS = 4096
const AT = new Date('2027-01-01T00:00:00Z')

/**
 * One decision with its whole chain of reasons on a mesh of 10,000 services, 1,000 rules and 100 peers; the floor
 * scans all lists and gives the decision alone.
 */
export const evaluateOne: Bench = async function* evaluateOne(scale) {
  const numbers = seededNumbers(20_270_115)
  const mesh = makeMesh(numbers)
  const questions = Array.from({ length: QUESTIONS }, () => makeQuestion(numbers))
  const snapshot = buildSnapshot(mesh)
  const allowed = questions.filter((query) => evaluate(snapshot, query).decision === 'allow').length
  for (const query of questions) {
    const decision = scanLists(mesh, query) ? 'allow' : 'deny'
    if (evaluate(snapshot, query).decision !== decision)
      throw new Error('floor and subject disagree')
  }
  let next = 0
  const question = (): Query => questions[(next += 1) % QUESTIONS]!
  const rates = await takeTurns(scale, {
    floor: () => ratePerCpuSecond(scale.seconds, () => scanLists(mesh, question())),
    subject: () => ratePerCpuSecond(scale.seconds, () => evaluate(snapshot, question())),
  })
  yield {
    bench: 'evaluate',
    value: round(1e6 / rates.subject),
    unit: 'µs of CPU per decision',
    baseline: round(1e6 / rates.floor),
    ratio: round(rates.subject / rates.floor),
    goal: 'ratio >= 8 and value <= 5',
    allowedShare: round(allowed / QUESTIONS),
  }
}

function makeMesh(numbers: Numbers): SnapshotInput {
  const services = Array.from({ length: SERVICES }, (_, i) => ({
    namespace: `team-${i % 200}`,
    name: `service-${i}`,
    ports: [{ name: 'http', port: 8080 }],
    labels: {},
    serverIds: [parseSpiffeId(`spiffe://acme.example/ns/team-${i % 200}/sa/service-${i}`)],
  }))
  return {
    meshId: 'acme' as MeshId,
    revisions: { mesh: 1n, relationship: 1n, rule: 1n },
    dnsSuffix: 'mesh.internal',
    trustDomains: [parseTrustDomain('acme.example')],
    services,
    relationships: Array.from({ length: PEERS }, (_, i) => ({
      id: `peer-${i}`,
      name: `peer-${i}`,
      state: 'active' as const,
      trustDomains: [parseTrustDomain(`peer-${i}.example`)],
      waitingFor: [],
    })),
    offers: [],
    groups: [],
    rules: Array.from({ length: RULES }, (_, i) => makeRule(numbers, i)),
  }
}

// Of a hundred rules: fifty-five name one service, twenty-five a namespace, ten the beginning of a name, eight a
// name in every namespace, two everything; one in ten denies, one in three narrows its callers.
function makeRule(numbers: Numbers, index: number): Rule {
  const service = numbers.below(SERVICES)
  const callers =
    numbers.below(3) === 0 ? { paths: [`/ns/team-${numbers.below(200)}/*`] } : undefined
  const draft: RuleDraft = {
    direction: 'export',
    effect: numbers.below(10) === 0 ? 'deny' : 'allow',
    subject: makeSubject(numbers.below(100), service),
    audience:
      numbers.below(4) === 0
        ? { kind: 'all', ...(callers && { callers }) }
        : { kind: 'peers', relationships: somePeers(numbers), ...(callers && { callers }) },
    priority: numbers.below(3),
  }
  return { ...readRule(draft), id: `rule-${index}`, createdAt: new Date(index) }
}

function makeSubject(kind: number, service: number): RuleDraft['subject'] {
  const namespace = `team-${service % 200}`
  if (kind < 55) return { namespace, name: `service-${service}` }
  if (kind < 80) return { namespace, name: '*' }
  if (kind < 90) return { namespace, name: `service-${String(service).slice(0, 2)}*` }
  if (kind < 98) return { namespace: '*', name: `service-${service}` }
  return { namespace: '*', name: '*' }
}

function somePeers(numbers: Numbers): string[] {
  return [...new Set(Array.from({ length: 10 }, () => `peer-${numbers.below(PEERS)}`))]
}

function makeQuestion(numbers: Numbers): Query {
  const service = numbers.below(SERVICES)
  const caller = `spiffe://peer-${numbers.below(PEERS)}.example/ns/team-${numbers.below(200)}/sa/web`
  return {
    subject: { namespace: `team-${service % 200}`, name: `service-${service}` },
    caller: parseSpiffeId(caller),
    at: AT,
  }
}
