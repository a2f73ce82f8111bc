import { type Clock } from '../../clock.ts'
import { type Db } from '../../db/schema.ts'
import { ServiceError } from '../../errors.ts'
import { type Outbound, type OutboundOutcome, type ServerProof } from '../../http/outbound.ts'
import { type AnchorCache, hasUsableAnchor } from './anchors.ts'
import { type PollTask, revisionInUse, type TaskBundle } from './claim-store.ts'
import { type VerifiedBy } from '../peer-bundle/revision-store.ts'
import { findVoucher, type VouchedFor, type Voucher } from './voucher.ts'

/** What fetching a peer's bundle needs. */
export interface FetchDeps {
  readonly db: Db
  readonly outbound: Outbound
  readonly anchors: AnchorCache
  readonly clock: Clock
  /** Whether redirects are followed (FE-29). */
  readonly redirects: 'follow' | 'refuse'
}

/** What a peer's endpoint gave: a document, or word that ours is still the newest. */
export type Fetched =
  | { readonly kind: 'document'; readonly document: Uint8Array; readonly etag: string | undefined }
  | { readonly kind: 'not-modified' }
  | { readonly kind: 'failed'; readonly error: ServiceError }

/** A fetch and how its server was authenticated. */
export interface FetchResult {
  /** Of an endpoint that stands in another trust domain. */
  readonly voucher: Voucher | undefined
  readonly fetched: Fetched
  readonly verifiedBy: VerifiedBy
  readonly durationMs: number
}

/** What one fetch goes by beside its task. */
export interface FetchOptions {
  /** What authenticates the endpoint, as {@link findVoucher} found it just now. */
  readonly voucher: Voucher | undefined
  readonly signal: AbortSignal | undefined
}

/**
 * Fetches a peer's bundle once, from its configured URL (FE-28), with the proof its profile demands (FE-03).
 *
 * For https_spiffe that is the endpoint's ID under the stored bundle in use of the ID's trust domain, read now: a
 * bootstrap bundle retires with the first fetch (FE-23). Without a usable authority nothing is contacted (FE-26).
 */
export async function fetchBundle(
  deps: FetchDeps,
  task: PollTask,
  { voucher, signal }: FetchOptions,
): Promise<FetchResult> {
  const startedMs = deps.clock.monotonicMs()
  const outcome = await requestBundle(deps, task, { voucher, signal })
  const durationMs = Math.round(deps.clock.monotonicMs() - startedMs)
  return { fetched: fetchedOf(outcome), verifiedBy: verifiedBy(outcome, task), voucher, durationMs }
}

/**
 * Whether time alone has taken away every authority that could authenticate the endpoint (FE-26): they are there, and
 * all have ended. Authorities that a person distrusts, or that belong to a suspended relationship, are no such case.
 */
export async function hasExpired(
  deps: FetchDeps,
  task: PollTask,
  voucher: Voucher | undefined,
): Promise<boolean> {
  if (task.endpointId === undefined) return false
  const anchors =
    voucher?.anchors ?? (await deps.anchors.of(deps.db, task.meshId, revisionInUse(task)))
  return anchors.windows.length > 0 && !hasUsableAnchor(anchors, deps.clock.now())
}

type Attempt = OutboundOutcome | { readonly contact: undefined; readonly error: ServiceError }

async function requestBundle(
  deps: FetchDeps,
  task: PollTask,
  { voucher, signal }: FetchOptions,
): Promise<Attempt> {
  const proof = await proofFor(deps, task, voucher)
  if (proof instanceof ServiceError) return { contact: undefined, error: proof }
  return deps.outbound.request({
    url: task.endpointUrl,
    meshId: task.meshId,
    proof,
    // Only the ETag of the document in use: another answer could confirm what is not in force.
    etag: task.inUse?.origin === 'fetched' ? task.httpEtag : undefined,
    redirects: deps.redirects,
    ...(signal === undefined ? {} : { signal }),
  })
}

/** An endpoint that is about to be contacted: whom it serves, and the revision in use of that domain's bundle. */
export interface ContactedEndpoint extends VouchedFor {
  readonly inUse: Pick<TaskBundle, 'n' | 'digest'> | undefined
}

/**
 * What an endpoint has to prove now, to a poll and to a call alike; a refusal when nothing is left to check it with
 * (FE-26).
 */
export async function endpointProof(
  deps: Pick<FetchDeps, 'db' | 'anchors'>,
  task: ContactedEndpoint,
): Promise<ServerProof | ServiceError> {
  return proofFor(deps, task, await findVoucher(deps, task))
}

async function proofFor(
  { db, anchors }: Pick<FetchDeps, 'db' | 'anchors'>,
  task: ContactedEndpoint,
  voucher: Voucher | undefined,
): Promise<ServerProof | ServiceError> {
  if (task.endpointId === undefined) return { kind: 'web' }
  const own = voucher === undefined ? revisionInUse(task) : undefined
  const { certificates } = voucher?.anchors ?? (await anchors.of(db, task.meshId, own))
  if (certificates.length > 0) {
    return { kind: 'spiffe', id: task.endpointId, anchors: certificates }
  }
  const { reason, wayOut } = voucher?.refusal ?? {
    reason: `the stored bundle of ${voucher?.trustDomain ?? task.trustDomain} has no X.509 authority`,
    wayOut: undefined,
  }
  return new ServiceError(
    'PEER_IDENTITY_REFUSED',
    `${reason}, so ${task.endpointId} cannot be authenticated`,
    wayOut === undefined ? {} : { next: wayOut },
  )
}

function fetchedOf(outcome: Attempt): Fetched {
  if ('error' in outcome) return { kind: 'failed', error: outcome.error }
  const { answer } = outcome
  if (answer.status === 304) return { kind: 'not-modified' }
  return { kind: 'document', document: answer.body, etag: answer.etag }
}

function verifiedBy({ contact }: Attempt, task: PollTask): VerifiedBy {
  return {
    how: 'fetch',
    url: contact?.url ?? task.endpointUrl,
    redirects: contact?.redirects ?? [],
    address: contact?.address ?? null,
    presentedIds: contact?.presentedIds ?? [],
    chainSha256: contact?.chainSha256 ?? null,
  }
}
