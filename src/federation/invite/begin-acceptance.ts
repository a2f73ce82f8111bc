import { type ChangeContext, recordAudit } from '../../audit/record.ts'
import { bumpChange } from '../../db/changes.ts'
import { inTransaction } from '../../db/connect.ts'
import { type MeshId, newId } from '../../db/ids.ts'
import { type Db, type InviteReader } from '../../db/schema.ts'
import { ServiceError } from '../../errors.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { type Acceptance as StoredAcceptance, saveAcceptance } from './acceptance-store.ts'
import { type CheckedInvite } from './check-invite.ts'
import { fingerprintsOfSide, type NamedFingerprint } from './create-invite.ts'
import { auditedRelationship } from '../audited-relationship.ts'
import { type FirstBundle } from '../peer-bundle/insert-given.ts'
import { createRelationship } from '../create-relationship.ts'
import { writeHandshake } from './handshake.ts'
import { type Invite, inviteHash, inviteProof } from './invite.ts'
import { type Side } from './peer-side.ts'
import { type HandshakeDeps, signerFor } from './receive-handshake.ts'
import { isUnproven, type Relationship } from '../relationship.ts'
import { refuseOtherSide } from './prove-acceptance.ts'
import { deleteRelationship, lockRelationshipById } from '../store.ts'

/** What accepting invites needs. */
export type AcceptDeps = Omit<HandshakeDeps, 'limits' | 'log'>

/** Our half of an acceptance: the relationship is there, and a message to the inviter is ready to be sent. */
export interface Acceptance {
  readonly invite: Invite
  readonly relationship: Relationship
  readonly side: Side
  readonly readers: readonly InviteReader[]
  /** The message; after a lost reply the very same as before. */
  readonly handshake: string
  readonly isNew: boolean
  readonly ours: readonly NamedFingerprint[]
}

/** An invite that was checked, and the inviter's bundles as they were fetched. */
export interface BeginAcceptance extends CheckedInvite {
  readonly invite: Invite
  readonly first: ReadonlyMap<TrustDomain, FirstBundle>
  readonly request: { readonly actor: string; readonly dryRun: boolean }
}

/**
 * Makes our side of the relationship in one transaction, unproven as yet: URLs of ours for the inviter, and the message
 * that tells it; or finds what an earlier attempt made. Throws what making a relationship throws.
 */
export async function beginAcceptance(
  deps: AcceptDeps,
  meshId: MeshId,
  begin: BeginAcceptance,
): Promise<Acceptance> {
  const { actor, dryRun } = begin.request
  return inTransaction(
    deps.db,
    async (trx) => {
      const context = { actor, now: await deps.now(trx) }
      return begin.earlier === undefined
        ? makeAcceptance(trx, deps, { ...begin, meshId, context })
        : findEarlier(trx, deps, { invite: begin.invite, earlier: begin.earlier, meshId })
    },
    { dryRun },
  )
}

/** A fresh message in the place of one that is too old to be taken; stored before it is sent. */
export async function renewHandshake(deps: AcceptDeps, begun: Acceptance): Promise<string> {
  const { invite, relationship, readers } = begun
  return inTransaction(deps.db, async (trx) => {
    const now = await deps.now(trx)
    const { side } = await deps.side.tell(trx, relationship.meshId, readers)
    const handshake = sign(deps, { invite, side, now })
    await keep(trx, relationship, { invite, readers, handshake })
    return handshake
  })
}

/** Takes away what was made for an invite that turned out to be over; what an earlier attempt made stays. */
export async function undoAcceptance(
  deps: AcceptDeps,
  begun: Acceptance,
  actor: string,
): Promise<void> {
  if (!begun.isNew) return
  const { meshId, id, name } = begun.relationship
  await inTransaction(deps.db, async (trx) => {
    const context: ChangeContext = { actor, now: await deps.now(trx) }
    const locked = await lockRelationshipById(trx, meshId, id)
    if (locked === undefined || locked.theirConsent === 'given') return
    await deps.side.forget(trx, meshId, { readers: begun.readers, context })
    await deleteRelationship(trx, meshId, id)
    await recordAudit(trx, {
      meshId,
      actor: context.actor,
      action: 'relationship.delete',
      object: `relationship/${name}`,
      at: context.now,
      body: { ...auditedRelationship(locked), reason: 'the inviter refused the handshake' },
    })
    await bumpChange(trx, meshId, 'relationship')
  })
  deps.onChanged(meshId)
}

interface Making extends BeginAcceptance {
  readonly meshId: MeshId
  readonly context: ChangeContext
}

async function makeAcceptance(trx: Db, deps: AcceptDeps, making: Making): Promise<Acceptance> {
  const { meshId, invite, draft, context } = making
  const suffix = newId().slice(0, 8)
  const whom = { label: draft.name, suffix, context }
  const { side, readers } = await deps.side.introduce(trx, meshId, whom)
  const relationship = await createRelationship(trx, meshId, {
    draft,
    context,
    readers: deps.readers,
    invited: {
      // Unproven: consent, exchange, bundles and polls come with the inviter's signed answer.
      ourConsent: 'pending',
      theirConsent: 'pending',
      exchange: undefined,
      readerId: readers[0]?.id,
      first: new Map(),
    },
  })
  await deps.side.assign(trx, meshId, { readers, relationshipId: relationship.id })
  const handshake = sign(deps, { invite, side, now: context.now })
  await keep(trx, relationship, { invite, readers, handshake })
  const ours = fingerprintsOfSide({ side })
  await auditAcceptance(trx, relationship, { invite, context })
  return { invite, relationship, side, readers, handshake, isNew: true, ours }
}

async function findEarlier(
  trx: Db,
  deps: AcceptDeps,
  about: {
    readonly invite: Invite
    readonly earlier: StoredAcceptance
    readonly meshId: MeshId
  },
): Promise<Acceptance> {
  const { invite, earlier, meshId } = about
  const relationship = await lockRelationshipById(trx, meshId, earlier.relationshipId)
  if (relationship === undefined || relationship.state === 'terminated') {
    throw new ServiceError(
      'INVITE_OVER',
      'this mesh accepted the invite already, and the relationship is over',
      { next: 'ask for another invite' },
    )
  }
  if (isUnproven(relationship)) refuseOtherSide(relationship, invite)
  const { readers, handshake } = earlier
  const { side } = await deps.side.tell(trx, meshId, readers)
  const ours = fingerprintsOfSide({ side })
  return { invite, relationship, side, readers, handshake, isNew: false, ours }
}

function sign(
  deps: AcceptDeps,
  { invite, side, now }: { readonly invite: Invite; readonly side: Side; readonly now: Date },
): string {
  const signer = signerFor(deps, side.domains[0]?.trustDomain)
  const proof = inviteProof(invite.secret)
  return writeHandshake({ proof, acceptor: side, inviter: invite.side, now }, signer)
}

async function keep(
  trx: Db,
  { meshId, id }: Relationship,
  about: Pick<Acceptance, 'invite' | 'readers' | 'handshake'>,
): Promise<void> {
  const { invite, readers, handshake } = about
  await saveAcceptance(trx, meshId, {
    secretHash: inviteHash(inviteProof(invite.secret)),
    relationshipId: id,
    handshake,
    readers,
    expiresAt: invite.expiresAt,
  })
}

async function auditAcceptance(
  trx: Db,
  { meshId, name }: Relationship,
  { invite, context }: { readonly invite: Invite; readonly context: ChangeContext },
): Promise<void> {
  const { side, expiresAt } = invite
  await recordAudit(trx, {
    meshId,
    actor: context.actor,
    action: 'invite.accept',
    object: `relationship/${name}`,
    at: context.now,
    body: {
      peerMeshName: side.meshName,
      trustDomains: side.domains.map(({ trustDomain }) => trustDomain),
      exchange: { ...side.exchange },
      expiresAt,
    },
  })
}
