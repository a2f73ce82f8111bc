import { requireQuota } from '../access/quota/require-quota.ts'
import { type ChangeContext, recordAudit } from '../audit/record.ts'
import { bumpChange } from '../db/changes.ts'
import { isUniqueViolation } from '../db/failures.ts'
import { type MeshId, newId } from '../db/ids.ts'
import { type Db } from '../db/schema.ts'
import { quoted, ServiceError } from '../errors.ts'
import { loadMesh } from '../mesh/find-mesh.ts'
import { type OwnWebCertificate } from './alert/forecast-facts.ts'
import { type SpiffeId } from '../spiffe/spiffe-id.ts'
import { type TrustDomain } from '../spiffe/trust-domain.ts'
import { activateIfReady } from './activate.ts'
import { auditedRelationship } from './audited-relationship.ts'
import { tellOtherSides } from './change-standing.ts'
import { consentToBegin } from './local/local-consent.ts'
import { appendStanding } from './trust/standing-history-store.ts'
import { mergeOwnerData } from './owner-data.ts'
import { loadDraftContext } from './load-draft-context.ts'
import { parseDomains } from './parse-domains.ts'
import { insertPoll } from './poll/poll-store.ts'
import {
  type DomainDraft,
  isPolled,
  isUnproven,
  type NewDomain,
  type Relationship,
  type RelationshipDraft,
  UNPROVEN_REASON,
} from './relationship.ts'
import { type FirstBundle, insertFirst, insertGiven } from './peer-bundle/insert-given.ts'
import { insertRelationship, lockRelationshipById } from './store.ts'

export { type DomainDraft, type RelationshipDraft }

/** Where one of our own bundles is published, and whom readers meet there. */
export interface OwnEndpoint {
  readonly trustDomain: TrustDomain
  readonly isPrimary: boolean
  readonly url: string
  readonly profile: 'https_web' | 'https_spiffe'
  readonly endpointId: SpiffeId | undefined
}

/** The readers of our bundle that peers have; bundle/ keeps them, compose hands this in. */
export interface PeerReaders {
  /** Makes a reader of our primary domain's bundle for a relationship and answers with its id. */
  readonly create: (
    trx: Db,
    meshId: MeshId,
    about: {
      readonly relationshipId: string
      readonly label: string
      readonly context: ChangeContext
    },
  ) => Promise<string>
  /** Reads once what the URLs of a mesh's readers are made of, and answers with a function from id to URL. */
  readonly urls: (db: Db, meshId: MeshId) => Promise<(readerId: string) => string>
  /** Reads once what the relay URLs of a mesh are made of, and answers with a function from relay id to URL. */
  readonly relayUrls: (db: Db, meshId: MeshId) => Promise<(relayId: string) => string>
  /** Where our own bundles are published, the primary domain first. */
  readonly ownEndpoints: (db: Db, meshId: MeshId) => Promise<readonly OwnEndpoint[]>
  /** Removes a reader; one that is gone already is no error. */
  readonly remove: (
    trx: Db,
    meshId: MeshId,
    about: { readonly readerId: string; readonly context: ChangeContext },
  ) => Promise<void>
  /** Our certificate of the https_web profile, while this replica presents one. */
  readonly webCertificate?: () => OwnWebCertificate | undefined
}

/** What an invite settles of a relationship beyond its draft. */
export interface InvitedTerms extends Pick<
  Relationship,
  'ourConsent' | 'theirConsent' | 'exchange'
> {
  /** Our reader for the peer, made for the invite. */
  readonly readerId: string | undefined
  /** Bundles that are verified already; for the domains left out the draft's bundle proves the first fetch. */
  readonly first: ReadonlyMap<TrustDomain, FirstBundle>
}

/** What making a relationship needs. */
export interface CreateRelationship {
  readonly draft: RelationshipDraft
  readonly context: ChangeContext
  readonly readers: PeerReaders
  /** `source`: the system that signs for trust domains of this very mesh; it is no reader of ours. */
  readonly purpose?: Relationship['purpose']
  /** Of one that an invite leads to: both sides' consent is explicit. */
  readonly invited?: InvitedTerms
}

/**
 * Makes a relationship with a peer, one-way (FE-09): our consent is given by making it, the peer's assumed; a mesh of
 * this same service gives its own by its own relationship with us.
 *
 * A static domain is verified by the hand that gave it; any other waits for its first fetch. Throws what
 * {@link parseDomains} throws, ALREADY_EXISTS for a taken name, NOT_FOUND without such a mesh.
 */
export async function createRelationship(
  trx: Db,
  meshId: MeshId,
  { draft, context, readers, purpose = 'peer', invited }: CreateRelationship,
): Promise<Relationship> {
  await loadMesh(trx, meshId)
  const domains = await judgeDraft(trx, meshId, { draft, purpose, now: context.now })
  const id = newId()
  const about = { relationshipId: id, label: draft.name, context }
  const localConsent = await consentToBegin(trx, meshId, domains)
  const isReader = purpose === 'peer' && invited === undefined && localConsent === undefined
  const readerId = isReader ? await readers.create(trx, meshId, about) : invited?.readerId
  const theirConsent = invited?.theirConsent ?? localConsent ?? 'assumed'
  const terms = { readerId, invited, theirConsent }
  const made = { meshId, id, draft, purpose, domains, terms, now: context.now }
  const relationship = newRelationship(made)
  await insertNamed(trx, relationship)
  const created = { event: 'create', actor: context.actor, at: context.now }
  await appendStanding(trx, relationship, created)
  for (const domain of domains) {
    const first = invited?.first.get(domain.trustDomain)
    await beginDomain(trx, relationship, { domain, first, context })
  }
  await recordAudit(trx, {
    meshId,
    actor: context.actor,
    action: 'relationship.create',
    object: `relationship/${relationship.name}`,
    at: context.now,
    body: auditedRelationship(relationship, domains),
  })
  await activateIfReady(trx, relationship, context)
  await tellOtherSides(trx, relationship, context)
  await bumpChange(trx, meshId, 'relationship')
  return (await lockRelationshipById(trx, meshId, id)) ?? relationship
}

/** Judges a draft against what the mesh has; throws what {@link parseDomains} throws. */
export async function judgeDraft(
  trx: Db,
  meshId: MeshId,
  {
    draft,
    purpose,
    now,
  }: Pick<Relationship, 'purpose'> & { readonly draft: RelationshipDraft; readonly now: Date },
): Promise<NewDomain[]> {
  return parseDomains(draft, await loadDraftContext(trx, meshId, { draft, purpose, now }))
}

function newRelationship(about: {
  readonly meshId: MeshId
  readonly id: string
  readonly draft: RelationshipDraft
  readonly purpose: Relationship['purpose']
  readonly domains: readonly NewDomain[]
  readonly terms: Pick<Relationship, 'theirConsent'> & {
    readonly readerId: string | undefined
    readonly invited: InvitedTerms | undefined
  }
  readonly now: Date
}): Relationship {
  const { meshId, id, draft, purpose, domains, now } = about
  const { readerId, invited, theirConsent } = about.terms
  return {
    meshId,
    id,
    name: draft.name,
    generation: 1n,
    peerMeshName: draft.peerMeshName,
    ourConsent: invited?.ourConsent ?? 'given',
    theirConsent,
    state: 'pending',
    changePolicy: draft.changePolicy ?? 'auto',
    onHold: false,
    purpose,
    standingReason: invited !== undefined && isUnproven(invited) ? UNPROVEN_REASON : undefined,
    exchange: invited?.exchange,
    ...mergeOwnerData(draft, { now }),
    hintMinSeconds: draft.hintMinSeconds ?? undefined,
    hintMaxSeconds: draft.hintMaxSeconds ?? undefined,
    version: 1n,
    createdAt: now,
    activatedAt: undefined,
    terminatedAt: undefined,
    domains: domains.map(({ given: _given, ...domain }) => ({
      ...domain,
      readerId,
      relayId: newId(),
      firstDigest: invited?.first.get(domain.trustDomain)?.read.digest,
    })),
  }
}

async function insertNamed(trx: Db, relationship: Relationship): Promise<void> {
  await requireQuota(trx, relationship.meshId, { kind: 'relationships' })
  try {
    await insertRelationship(trx, relationship)
  } catch (cause) {
    if (!isUniqueViolation(cause)) throw cause
    throw new ServiceError(
      'ALREADY_EXISTS',
      `this mesh already has a relationship named ${quoted(relationship.name)}, or one with the same trust domain`,
      { cause, next: 'entente federation list' },
    )
  }
}

async function beginDomain(
  trx: Db,
  relationship: Relationship,
  {
    domain,
    first,
    context,
  }: {
    readonly domain: NewDomain
    readonly first: FirstBundle | undefined
    readonly context: ChangeContext
  },
): Promise<void> {
  if (isUnproven(relationship)) return
  const { meshId, id } = relationship
  const key = { relationshipId: id, trustDomain: domain.trustDomain }
  if (isPolled(domain.source)) await insertPoll(trx, meshId, { key, now: context.now })
  if (first !== undefined) {
    await insertFirst(trx, meshId, { key, ...first, origin: 'fetched', context })
  } else if (domain.given !== undefined) {
    await insertGiven(trx, meshId, { key, read: domain.given, context })
  }
}
