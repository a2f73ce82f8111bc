import { type MeshId } from '../db/ids.ts'
import { type Db } from '../db/schema.ts'
import { trustDomainsOf } from '../mesh/find-mesh.ts'
import { type TrustDomain } from '../spiffe/trust-domain.ts'
import { readDocument } from './poll/accept-bundle.ts'
import { anchorsIn, hasUsableAnchor } from './poll/anchors.ts'
import { loadDistrust } from './trust/distrust-store.ts'
import { effectiveBundle } from './trust/effective-bundle.ts'
import { listMeshesOf } from './local/local-store.ts'
import { type DraftContext, type Relationship, type RelationshipDraft } from './relationship.ts'
import { findCurrent } from './peer-bundle/revision-store.ts'
import { federatedDomains } from './store.ts'
import { listEndpointDomains } from './poll/vouching-store.ts'

/** For whom a draft is judged: a new relationship, or one whose domains are to change. */
export interface DraftSubject {
  readonly draft: Pick<RelationshipDraft, 'domains'>
  readonly purpose: Relationship['purpose']
  readonly now: Date
  /** The relationship that the draft is to change. */
  readonly changing?: Relationship
}

/** Loads what a draft is judged against; three statements, and one for each domain of a relationship that changes. */
export async function loadDraftContext(
  db: Db,
  meshId: MeshId,
  { draft, purpose, now, changing }: DraftSubject,
): Promise<DraftContext> {
  const own = await trustDomainsOf(db, meshId)
  const federated = await federatedDomains(db, meshId)
  for (const { trustDomain } of changing?.domains ?? []) federated.delete(trustDomain)
  const isLocal = draft.domains.some(({ source }) => source === 'local')
  // What is no trust domain is refused where the draft is parsed.
  const named = draft.domains.map(({ trustDomain }) => trustDomain as TrustDomain)
  return {
    // FE-44 holds for peers; a source is there for a domain of our own that somebody else signs for.
    own: new Set(purpose === 'peer' ? own.map(({ name }) => name) : []),
    federated,
    endpoints: await listEndpointDomains(db, meshId, changing?.id),
    distrusted: (await loadDistrust(db, meshId)).digests,
    held: changing === undefined ? new Set() : await heldDomains(db, changing, now),
    local: isLocal ? await listMeshesOf(db, meshId, named) : new Map(),
    now,
  }
}

/** The domains whose stored bundle has an X.509 authority that is valid now. */
async function heldDomains(
  db: Db,
  { meshId, id: relationshipId, domains }: Relationship,
  now: Date,
): Promise<Set<TrustDomain>> {
  const held = new Set<TrustDomain>()
  const { digests: distrusted } = await loadDistrust(db, meshId)
  for (const { trustDomain } of domains) {
    const current = await findCurrent(db, meshId, { relationshipId, trustDomain })
    if (current === undefined) continue
    const { bundle } = readDocument(trustDomain, current.document)
    const { x509Authorities } = effectiveBundle(bundle, distrusted)
    if (hasUsableAnchor(anchorsIn(x509Authorities), now)) held.add(trustDomain)
  }
  return held
}
