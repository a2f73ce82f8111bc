import { type Selectable } from 'kysely'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type RelationshipProposalTable } from '../../db/schema-federation.ts'
import { type Proposal, type ProposalOrigin, type ProposedParameters } from './proposal.ts'
import { type Relationship } from '../relationship.ts'

const PROPOSAL = [
  'relationship_id',
  'id',
  'origin',
  'parameters',
  'our_consent',
  'their_consent',
  'note',
  'created_at',
  'created_by',
] as const

type Row = Pick<Selectable<RelationshipProposalTable>, (typeof PROPOSAL)[number]>

/** Stores a proposal; one of the same origin must have been deleted. */
export async function insertProposal(
  trx: Db,
  { meshId, id }: Relationship,
  proposal: Proposal,
): Promise<void> {
  await trx
    .insertInto('relationship_proposal')
    .values({
      mesh_id: meshId,
      relationship_id: id,
      id: proposal.id,
      origin: proposal.origin,
      parameters: JSON.stringify(proposal.parameters),
      our_consent: proposal.ourConsent,
      their_consent: proposal.theirConsent,
      note: proposal.note ?? null,
      created_at: proposal.createdAt,
      created_by: proposal.createdBy,
    })
    .execute()
}

/** The open proposals of one relationship, ours first. */
export async function listProposals(db: Db, { meshId, id }: Relationship): Promise<Proposal[]> {
  return (await listProposalsOf(db, meshId, [id])).get(id) ?? []
}

/** The open proposals of these relationships, by relationship; ours first. */
export async function listProposalsOf(
  db: Db,
  meshId: MeshId,
  relationshipIds: readonly string[],
): Promise<Map<string, Proposal[]>> {
  const found = new Map<string, Proposal[]>()
  if (relationshipIds.length === 0) return found
  const rows = await db
    .selectFrom('relationship_proposal')
    .select(PROPOSAL)
    .where('mesh_id', '=', meshId)
    .where('relationship_id', 'in', relationshipIds)
    .orderBy('relationship_id')
    .orderBy('origin')
    .execute()
  for (const row of rows) {
    found.set(row.relationship_id, [...(found.get(row.relationship_id) ?? []), proposalOf(row)])
  }
  return found
}

/** Writes the consents of both sides. */
export async function updateConsents(
  trx: Db,
  { meshId, id }: Relationship,
  proposal: Pick<Proposal, 'id' | 'ourConsent' | 'theirConsent'>,
): Promise<void> {
  await trx
    .updateTable('relationship_proposal')
    .set({ our_consent: proposal.ourConsent, their_consent: proposal.theirConsent })
    .where('mesh_id', '=', meshId)
    .where('relationship_id', '=', id)
    .where('id', '=', proposal.id)
    .execute()
}

/** Deletes the proposal of one side, if there is one. */
export async function deleteProposal(
  trx: Db,
  { meshId, id }: Relationship,
  origin: ProposalOrigin,
): Promise<void> {
  await trx
    .deleteFrom('relationship_proposal')
    .where('mesh_id', '=', meshId)
    .where('relationship_id', '=', id)
    .where('origin', '=', origin)
    .execute()
}

function proposalOf(row: Row): Proposal {
  return {
    id: row.id,
    origin: row.origin,
    parameters: row.parameters as unknown as ProposedParameters,
    ourConsent: row.our_consent,
    theirConsent: row.their_consent,
    note: row.note ?? undefined,
    createdAt: row.created_at,
    createdBy: row.created_by,
  }
}
