import { type MeshId } from '../../db/ids.ts'
import { ServiceError } from '../../errors.ts'
import { newProbe } from '../../http/outbound-probe.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { type PollTask } from '../poll/claim-store.ts'
import { loadDistrust } from '../trust/distrust-store.ts'
import { type DoctorStep, skipped } from './doctor-step.ts'
import { type KeyDigests } from '../trust/effective-bundle.ts'
import { type BundleExam, examineBundle, notReached } from './examine-bundle.ts'
import { examineClock } from './examine-clock.ts'
import { type EndpointVisit, examineEndpoint, unprovable } from './examine-endpoint.ts'
import { examineSides } from './examine-sides.ts'
import { endpointProof } from '../poll/fetch-bundle.ts'
import { loadRelationship } from '../find-relationship.ts'
import { findHeldByRelay } from '../poll/held-store.ts'
import { findNewestFetched } from '../poll/ingestion-store.ts'
import { judge, type RefreshDeps, type RefreshOptions, warningsOf } from '../poll/refresh.ts'
import { claimForTrial } from '../poll/refresh-now.ts'
import { isPolled, type Relationship, type RelationshipDomain } from '../relationship.ts'

/** Everything that was looked at, domain by domain and for the relationship as a whole. */
export interface Diagnosis {
  readonly domains: readonly {
    readonly trustDomain: TrustDomain
    readonly steps: readonly DoctorStep[]
  }[]
  readonly steps: readonly DoctorStep[]
}

/** Whose relationship is looked at, and on whose word. */
export interface DoctorRequest {
  readonly name: string
  /** This replica's name. */
  readonly owner: string
  readonly options: RefreshOptions
}

interface Round {
  readonly deps: RefreshDeps
  readonly meshId: MeshId
  readonly relationship: Relationship
  readonly distrusted: KeyDigests
  readonly options: RefreshOptions
}

/**
 * Looks at a relationship as a refresh would, tells every step, and changes nothing.
 *
 * The same door, guard and limits as a poll, and no more than a poll would tell. Throws NOT_FOUND, and CONFLICT when
 * the relationship is over or its polls stay in flight.
 */
export async function examineRelationship(
  deps: RefreshDeps,
  meshId: MeshId,
  request: DoctorRequest,
): Promise<Diagnosis> {
  const relationship = await loadRelationship(deps.db, meshId, request.name)
  if (relationship.state === 'terminated') throw isOver(relationship)
  const { digests: distrusted } = await loadDistrust(deps.db, meshId)
  const round = { deps, meshId, relationship, distrusted, options: request.options }
  const tasks = await tasksOf(round, request)
  const domains = await Promise.all(
    relationship.domains.map(async (domain) => ({
      trustDomain: domain.trustDomain,
      steps: await examineDomain(round, domain, tasks),
    })),
  )
  return { domains, steps: await examineSides(deps.db, relationship, deps.clock.now()) }
}

async function tasksOf(
  { deps, meshId, relationship }: Round,
  request: DoctorRequest,
): Promise<PollTask[]> {
  if (!relationship.domains.some(({ source }) => isPolled(source))) return []
  return claimForTrial(deps, meshId, { ...request, relationshipId: relationship.id })
}

async function examineDomain(
  round: Round,
  domain: RelationshipDomain,
  tasks: readonly PollTask[],
): Promise<DoctorStep[]> {
  if (!isPolled(domain.source)) return examineGiven(round, domain)
  const task = tasks.find(({ trustDomain }) => trustDomain === domain.trustDomain)
  if (task === undefined) return [skipped('http', 'a poll is in flight; ask again in a moment')]
  const proof = await endpointProof(round.deps, task)
  if (proof instanceof ServiceError) {
    return [
      ...unprovable(proof),
      ...notReached('document', 'authority', 'sequence', 'hint', 'clock'),
    ]
  }
  const probe = newProbe()
  const outcome = await round.deps.outbound.request({
    url: task.endpointUrl,
    meshId: round.meshId,
    proof,
    redirects: round.deps.redirects,
    probe,
  })
  const visit = { url: task.endpointUrl, proof, probe, outcome, now: round.deps.clock.now() }
  return [...examineEndpoint(visit), ...(await examineAnswer(round, task, visit))]
}

async function examineAnswer(
  round: Round,
  task: PollTask,
  visit: EndpointVisit,
): Promise<DoctorStep[]> {
  const { outcome } = visit
  if ('error' in outcome || outcome.answer.status !== 200) {
    return notReached('document', 'authority', 'sequence', 'hint', 'clock')
  }
  const document = outcome.answer.body
  const exam = await examOf(round, task, document)
  return [...examineBundle(exam), examineClock(visit)]
}

async function examOf(
  { deps, meshId, relationship, distrusted, options }: Round,
  task: PollTask,
  document: Uint8Array,
): Promise<BundleExam> {
  const newest = await findNewestFetched(deps.db, meshId, task)
  const fetched = { kind: 'document', document, etag: undefined } as const
  const judged = await judge(deps, task, { fetched, options })
  const verdict =
    judged.kind === 'failed'
      ? { error: judged.error }
      : { warnings: warningsOf(judged), isHeld: judged.kind === 'held' }
  return {
    relationship: relationship.name,
    domain: task,
    document,
    stored: newest?.sequence,
    distrusted,
    verdict,
    now: deps.clock.now(),
  }
}

/** A bundle given by hand, or that of another mesh of this service: there is no endpoint to look at. */
async function examineGiven(
  { deps, meshId, relationship, distrusted }: Round,
  domain: RelationshipDomain,
): Promise<DoctorStep[]> {
  const where = domain.source === 'local' ? 'a mesh of this service' : 'its bundle is given by hand'
  const steps = [skipped('http', `nothing is fetched: ${where}`)]
  const held = await findHeldByRelay(deps.db, meshId, domain.relayId)
  if (held?.document === undefined) return [...steps, ...notReached('document')]
  const exam = {
    relationship: relationship.name,
    domain,
    document: held.document,
    stored: undefined,
    distrusted,
    now: deps.clock.now(),
  }
  return [...steps, ...examineBundle(exam)]
}

function isOver({ name }: Relationship): ServiceError {
  return new ServiceError('CONFLICT', `relationship ${name} is terminated; nothing is fetched`, {
    next: `entente federation delete ${name}`,
  })
}

/** Lets one examination of a relationship run at a time, and one begin every two seconds. */
export class DoctorTurns {
  readonly #lastMs = new Map<string, number>()
  readonly #running = new Set<string>()
  readonly #nowMs: () => number

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** Runs one examination. Throws RATE_LIMITED. */
  async take<T>(key: string, examine: () => Promise<T>): Promise<T> {
    const now = this.#nowMs()
    const last = this.#lastMs.get(key) ?? -Infinity
    if (this.#running.has(key) || now - last < EVERY_MS) {
      throw new ServiceError('RATE_LIMITED', 'this relationship was looked at a moment ago', {
        retryAfterSeconds: EVERY_MS / 1000,
      })
    }
    if (this.#lastMs.size >= MOST_REMEMBERED) this.#lastMs.clear()
    this.#lastMs.set(key, now)
    this.#running.add(key)
    try {
      return await examine()
    } finally {
      this.#running.delete(key)
    }
  }
}

const EVERY_MS = 2000
const MOST_REMEMBERED = 10_000
