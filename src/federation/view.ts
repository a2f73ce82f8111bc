import { type Db } from '../db/schema.ts'
import { type AnchorCache, type Anchors, hasUsableAnchor } from './poll/anchors.ts'
import { type RelationshipDomainView, type RelationshipView } from './api.ts'
import { hexOf } from './hex.ts'
import { type PeerReaders } from './create-relationship.ts'
import { whatItWaitsFor } from './find-relationship.ts'
import { coverageOf } from './alert/forecast.ts'
import { type DomainInForce } from './alert/forecast-facts.ts'
import { decideHealth, type HealthReport, worstHealth } from './poll/health.ts'
import { listWaitingHeads } from './peer-bundle/quarantine-store.ts'
import { writeOwnerData } from './owner-data.ts'
import { localHeads, type ShownHead } from './local/local-heads.ts'
import { listPolls, pollKey, type PollStatus } from './poll/poll-store.ts'
import { type Proposal } from './proposal/proposal.ts'
import { listProposalsOf } from './proposal/proposal-store.ts'
import { type Relationship, type RelationshipDomain } from './relationship.ts'
import { type RecoveryPath, writeRecovery } from './recovery/recovery.ts'
import { listCurrentHeads, type RevisionHead } from './peer-bundle/revision-store.ts'
import { type ForecastMembers, forecastsOf, viewCoverage } from './alert/view-forecast.ts'
import { type RelayMembers, relaysOf } from './relay/view-relay.ts'
import { viewProposal } from './proposal/view-proposal.ts'
import { findVoucher, type Voucher } from './poll/voucher.ts'
import { viewExchanges } from './exchange/view-exchange.ts'

/** What showing relationships needs. */
export interface ViewDeps {
  readonly db: Db
  readonly anchors: AnchorCache
  readonly readers: Pick<PeerReaders, 'urls' | 'relayUrls' | 'webCertificate'>
}

/** What stands before the forecast of all is read at once. */
type BareView = Omit<RelationshipView, keyof ForecastMembers>

interface Facts {
  readonly poll: PollStatus | undefined
  readonly head: ShownHead | undefined
  readonly waiting: RevisionHead | undefined
  readonly anchors: Anchors
  readonly voucher: Voucher | undefined
}

/** Relationships of one mesh as the API shows them; `db` in the dependencies may be a transaction. */
export async function viewRelationships(
  deps: ViewDeps,
  relationships: readonly Relationship[],
  now: Date,
): Promise<RelationshipView[]> {
  const meshId = relationships[0]?.meshId
  if (meshId === undefined) return []
  const ids = relationships.map(({ id }) => id)
  const polls = keyed(await listPolls(deps.db, meshId, ids))
  const heads = keyed(await listCurrentHeads(deps.db, meshId, ids))
  const local = await localHeads(deps, relationships)
  const waiting = keyed(await listWaitingHeads(deps.db, meshId, ids))
  const proposals = await listProposalsOf(deps.db, meshId, ids)
  const urlOf = await deps.readers.urls(deps.db, meshId)
  const exchangeOf = await viewExchanges(deps.db, meshId, relationships)
  const relayOf = await relaysOf(deps, meshId, relationships)
  const views: BareView[] = []
  const inForce = new Map<string, DomainInForce>()
  for (const relationship of relationships) {
    const domains: RelationshipDomainView[] = []
    for (const domain of relationship.domains) {
      const key = pollKey(relationship.id, domain.trustDomain)
      const read = local.get(key)
      const head = read?.head ?? heads.get(key)
      const anchors = read?.anchors ?? (await deps.anchors.of(deps.db, meshId, heads.get(key)))
      inForce.set(key, { receivedAt: head?.receivedAt, anchors })
      const voucher = await voucherOf(deps, relationship, domain)
      const facts = { poll: polls.get(key), head, waiting: waiting.get(key), anchors, voucher }
      domains.push({ ...viewDomain({ relationship, domain, now }, facts), ...relayOf(domain) })
    }
    const waitingFor = await whatItWaitsFor(deps.db, relationship)
    const open = proposals.get(relationship.id) ?? []
    const exchange = exchangeOf(relationship)
    views.push(viewWhole(relationship, domains, { urlOf, waitingFor, open, exchange }))
  }
  const forecastOf = await forecastsOf(
    { ...deps, webCertificate: deps.readers.webCertificate?.() },
    {
      relationships,
      inForce: ({ id }, { trustDomain }) => inForce.get(pollKey(id, trustDomain)),
    },
    now,
  )
  return views.map((view, index) => ({ ...view, ...forecastOf(ids[index] ?? '') }))
}

/** One relationship as the API shows it. */
export async function viewRelationship(
  deps: ViewDeps,
  relationship: Relationship,
  now: Date,
): Promise<RelationshipView> {
  const [view] = await viewRelationships(deps, [relationship], now)
  if (view === undefined) throw new Error('one relationship gives one view')
  return view
}

function keyed<T extends { relationshipId: string; trustDomain: string }>(
  rows: readonly T[],
): Map<string, T> {
  return new Map(rows.map((row) => [pollKey(row.relationshipId, row.trustDomain), row]))
}

function voucherOf(
  deps: ViewDeps,
  { meshId, id: relationshipId, state }: Relationship,
  domain: RelationshipDomain,
): Promise<Voucher | undefined> | undefined {
  if (state === 'terminated') return undefined
  return findVoucher(deps, { meshId, relationshipId, ...domain })
}

interface Subject {
  readonly relationship: Relationship
  readonly domain: RelationshipDomain
  readonly now: Date
}

function viewDomain(
  subject: Subject,
  facts: Facts,
): Omit<RelationshipDomainView, keyof RelayMembers> {
  const { relationship, domain, now } = subject
  const report = relationship.state === 'terminated' ? undefined : healthOf(subject, facts)
  return {
    trustDomain: domain.trustDomain,
    source: domain.source,
    endpointUrl: domain.endpointUrl ?? null,
    endpointSpiffeId: domain.endpointId ?? null,
    recovery: domain.recovery.map(viewRecovery),
    firstBundleDigest: domain.firstDigest === undefined ? null : hexOf(domain.firstDigest),
    ...viewHealth(report),
    bundle: viewBundle(facts, now),
    waiting: viewWaiting(facts.waiting),
    poll: viewPoll(facts.poll),
  }
}

function healthOf(
  { relationship, domain, now }: Subject,
  { poll, waiting, anchors: own, voucher }: Facts,
): HealthReport {
  const anchors = voucher?.anchors ?? own
  return decideHealth(
    {
      source: domain.source,
      since: relationship.createdAt,
      lastSuccessAt: poll?.lastSuccessAt,
      lastError: poll?.lastError,
      failures: poll?.failures ?? 0,
      intervalSeconds: poll?.intervalSeconds ?? 0,
      hasUsableAuthority: hasUsableAnchor(anchors, now),
      hasX509Authorities: anchors.certificates.length > 0,
      distrusted: anchors.distrusted,
      waiting: waiting === undefined ? undefined : { ...waiting, reason: waiting.reason ?? '' },
      voucher,
    },
    { relationship: relationship.name, trustDomain: domain.trustDomain },
    now,
  )
}

function viewHealth(report: HealthReport | undefined) {
  return {
    health: report?.health ?? null,
    healthReason: report?.reason ?? null,
    wayOut: report?.wayOut ?? null,
  }
}

function viewBundle({ head, poll, anchors }: Facts, now: Date): RelationshipDomainView['bundle'] {
  if (head === undefined) return null
  const confirmedAt = head.origin === 'published' ? now : confirmed(head, poll)
  return {
    n: head.n.toString(),
    sequence: head.sequence?.toString() ?? null,
    refreshHintSeconds: head.hintSeconds ?? null,
    digest: hexOf(head.digest),
    origin: head.origin,
    receivedAt: head.receivedAt.toISOString(),
    confirmedAt: confirmedAt.toISOString(),
    ageSeconds: Math.max(0, Math.floor((now.getTime() - confirmedAt.getTime()) / 1000)),
    x509Authorities: anchors.certificates.length,
    ...viewCoverage(coverageOf(anchors.windows, now)),
  }
}

function viewWaiting(head: RevisionHead | undefined): RelationshipDomainView['waiting'] {
  if (head === undefined) return null
  return {
    n: head.n.toString(),
    sequence: head.sequence?.toString() ?? null,
    digest: hexOf(head.digest),
    receivedAt: head.receivedAt.toISOString(),
    reason: head.reason ?? null,
  }
}

function confirmed(head: ShownHead, poll: PollStatus | undefined): Date {
  const success = poll?.lastSuccessAt
  return success !== undefined && success > head.receivedAt ? success : head.receivedAt
}

function viewPoll(poll: PollStatus | undefined): RelationshipDomainView['poll'] {
  if (poll === undefined) return null
  return {
    lastAttemptAt: poll.lastAttemptAt?.toISOString() ?? null,
    lastSuccessAt: poll.lastSuccessAt?.toISOString() ?? null,
    lastError: poll.lastError ?? null,
    failures: poll.failures,
    intervalSeconds: poll.intervalSeconds,
    nextAt: poll.nextAt.toISOString(),
  }
}

function viewWhole(
  relationship: Relationship,
  domains: RelationshipDomainView[],
  about: {
    readonly urlOf: (readerId: string) => string
    readonly waitingFor: string[]
    readonly open: readonly Proposal[]
    readonly exchange: RelationshipView['exchange']
  },
): BareView {
  const readerId = relationship.domains[0]?.readerId
  return {
    name: relationship.name,
    purpose: relationship.purpose,
    peerMeshName: relationship.peerMeshName ?? null,
    state: relationship.state,
    standingReason: relationship.standingReason ?? null,
    waitingFor: about.waitingFor,
    ...worstOf(relationship, domains),
    ourConsent: relationship.ourConsent,
    theirConsent: relationship.theirConsent,
    changePolicy: relationship.changePolicy,
    hintMinSeconds: relationship.hintMinSeconds ?? null,
    hintMaxSeconds: relationship.hintMaxSeconds ?? null,
    ...writeOwnerData(relationship),
    readerUrl: readerId === undefined ? null : about.urlOf(readerId),
    exchange: about.exchange,
    domains,
    proposals: about.open.map((proposal) => viewProposal(relationship, proposal)),
    generation: relationship.generation.toString(),
    version: relationship.version.toString(),
    createdAt: relationship.createdAt.toISOString(),
    activatedAt: relationship.activatedAt?.toISOString() ?? null,
    terminatedAt: relationship.terminatedAt?.toISOString() ?? null,
  }
}

function worstOf(relationship: Relationship, domains: readonly RelationshipDomainView[]) {
  if (relationship.state === 'terminated') return viewHealth(undefined)
  const reports = domains.flatMap(({ health, healthReason, wayOut }) =>
    health === null
      ? []
      : [{ health, reason: healthReason ?? undefined, wayOut: wayOut ?? undefined }],
  )
  return viewHealth(worstHealth(reports))
}

function viewRecovery(path: RecoveryPath): RelationshipDomainView['recovery'][number] {
  const { publicKey, ...rest } = writeRecovery(path)
  return { ...rest, ...(publicKey === undefined ? {} : { publicKey: { ...publicKey } }) }
}
