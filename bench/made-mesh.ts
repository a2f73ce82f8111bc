import { type MeshId } from '../src/db/ids.ts'
import { type Query } from '../src/policy/decision/answer.ts'
import { readRule, type Rule, type RuleDraft } from '../src/policy/rule/rule.ts'
import { type SnapshotInput, type SnapshotService } from '../src/policy/snapshot/snapshot.ts'
import { parseSpiffeId } from '../src/spiffe/spiffe-id.ts'
import { parseTrustDomain } from '../src/spiffe/trust-domain.ts'
import { type Scale } from './harness.ts'
import { type Numbers } from './seeded-numbers.ts'

/** Services of the mesh that goals are set for; growth is told at ten and a hundred times as many. */
export const SERVICES = 10_000
/** Its rules. */
export const RULES = 1000
/** Its relationships. */
export const PEERS = 100
/** When rules are asked about; none of them has ended. */
export const AT = new Date('2027-01-01T00:00:00Z')

const NAMESPACES = 200
const PORTS = [{ name: 'http', port: 8080 }]
const NO_LABELS = {}

/** Larger meshes take fewer turns: what is told of them is how a figure grows. */
export function turnsFor(scale: Scale, times: number): Scale {
  return times === 1 ? scale : { ...scale, rounds: Math.min(scale.rounds, 2) }
}

/** How many times the services, or the rules, a run goes through. */
export function growthOf({ smoke }: Scale): readonly number[] {
  return smoke ? [1] : [1, 10, 100]
}

/**
 * A mesh of so many services and rules, and {@link PEERS} active peers.
 *
 * Of a hundred rules fifty-five name one service, twenty-five a namespace, ten the beginning of a name, eight a name
 * in every namespace, two everything; one in ten denies, one in three narrows its callers.
 */
export function makeMesh(numbers: Numbers, services: number, rules = RULES): SnapshotInput {
  return {
    meshId: 'acme' as MeshId,
    revisions: { mesh: 1n, relationship: 1n, rule: 1n },
    dnsSuffix: 'mesh.internal',
    trustDomains: [parseTrustDomain('acme.example')],
    services: Array.from({ length: services }, (_, i) => makeService(i)),
    relationships: Array.from({ length: PEERS }, (_, i) => ({
      id: `peer-${i}`,
      name: `peer-${i}`,
      state: 'active' as const,
      trustDomains: [parseTrustDomain(`peer-${i}.example`)],
      waitingFor: [],
    })),
    offers: [],
    groups: [],
    rules: Array.from({ length: rules }, (_, i) => makeRule(numbers, { index: i, services })),
  }
}

/** The service of this number. */
export function makeService(index: number): SnapshotService {
  const namespace = `team-${index % NAMESPACES}`
  return {
    namespace,
    name: `service-${index}`,
    ports: PORTS,
    labels: NO_LABELS,
    serverIds: [parseSpiffeId(`spiffe://acme.example/ns/${namespace}/sa/service-${index}`)],
    createdAt: new Date(index),
  }
}

/** The mesh with rules that each name one service, up to `rules` in all: what is added as a mesh comes to be used more. */
export function withNamingRules(
  numbers: Numbers,
  mesh: SnapshotInput,
  rules: number,
): SnapshotInput {
  const services = mesh.services.length
  const more = Array.from({ length: rules - mesh.rules.length }, (_, i) =>
    makeRule(numbers, { index: mesh.rules.length + i, services, kind: 0 }),
  )
  return { ...mesh, rules: [...mesh.rules, ...more] }
}

/** A random rule with this number in its id; `kind` below a hundred says of which kind instead of chance. */
export function makeRule(
  numbers: Numbers,
  {
    index,
    services,
    kind,
  }: { readonly index: number; readonly services: number; readonly kind?: number },
): Rule {
  const service = numbers.below(services)
  const callers =
    numbers.below(3) === 0 ? { paths: [`/ns/team-${numbers.below(NAMESPACES)}/*`] } : undefined
  const draft: RuleDraft = {
    direction: 'export',
    effect: numbers.below(10) === 0 ? 'deny' : 'allow',
    subject: makeSubject(kind ?? numbers.below(100), service),
    audience:
      numbers.below(4) === 0
        ? { kind: 'all', ...(callers && { callers }) }
        : { kind: 'peers', relationships: somePeers(numbers), ...(callers && { callers }) },
    priority: numbers.below(3),
  }
  return { ...readRule(draft), id: `rule-${index}`, createdAt: new Date(index) }
}

function makeSubject(kind: number, service: number): RuleDraft['subject'] {
  const namespace = `team-${service % NAMESPACES}`
  if (kind < 55) return { namespace, name: `service-${service}` }
  if (kind < 80) return { namespace, name: '*' }
  if (kind < 90) return { namespace, name: `service-${String(service).slice(0, 2)}*` }
  if (kind < 98) return { namespace: '*', name: `service-${service}` }
  return { namespace: '*', name: '*' }
}

function somePeers(numbers: Numbers): string[] {
  return [...new Set(Array.from({ length: 10 }, () => `peer-${numbers.below(PEERS)}`))]
}

/** A random call to one of the services by a peer's workload. */
export function makeQuestion(numbers: Numbers, services: number): Query {
  const service = numbers.below(services)
  const caller = `spiffe://peer-${numbers.below(PEERS)}.example/ns/team-${numbers.below(NAMESPACES)}/sa/web`
  return {
    subject: { namespace: `team-${service % NAMESPACES}`, name: `service-${service}` },
    caller: parseSpiffeId(caller),
    at: AT,
  }
}
