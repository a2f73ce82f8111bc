import { type MeshId } from '../db/ids.ts'
import { type Db } from '../db/schema.ts'
import { trustDomainsOf } from '../mesh/find-mesh.ts'
import { type TrustDomain } from '../spiffe/trust-domain.ts'
import { listMeshesOf } from './local-store.ts'
import { type DraftContext, type Relationship, type RelationshipDraft } from './relationship.ts'
import { federatedDomains } from './store.ts'
import { listEndpointDomains } from './vouching-store.ts'

/** For whom a draft is judged: a new relationship, or one whose domains are to change. */
export interface DraftSubject {
  readonly draft: Pick<RelationshipDraft, 'domains'>
  readonly purpose: Relationship['purpose']
  readonly now: Date
  /** The relationship that the draft is to change. */
  readonly changing?: Relationship
}

/** Loads what a draft is judged against; three statements. */
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
    local: isLocal ? await listMeshesOf(db, meshId, named) : new Map(),
    now,
  }
}
