import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type DbClock } from '../../db/time.ts'
import { quoted, ServiceError } from '../../errors.ts'
import { trustDomainsOf } from '../../mesh/find-mesh.ts'
import { type Acceptance as StoredAcceptance, findAcceptance } from './acceptance-store.ts'
import { judgeDraft, type RelationshipDraft } from '../create-relationship.ts'
import { type Invite, inviteHash, inviteProof } from './invite.ts'
import { draftsOf } from './peer-side.ts'
import { findRelationship } from '../store.ts'
import { proposedName } from './take-invite.ts'

/** An invite that this mesh can accept. */
export interface CheckedInvite {
  readonly draft: RelationshipDraft
  /** What an earlier attempt left. */
  readonly earlier: StoredAcceptance | undefined
}

/**
 * Refuses what this mesh cannot accept, before anything is contacted: an invite that has ended, our own, one for
 * somebody else, one whose name or domains are taken (FE-44).
 *
 * Throws INVITE_OVER, INVITE_REFUSED, ALREADY_EXISTS, and what judging a draft throws.
 */
export async function checkInvite(
  { db, now }: { readonly db: Db; readonly now: DbClock },
  meshId: MeshId,
  { invite, as }: { readonly invite: Invite; readonly as: string | undefined },
): Promise<CheckedInvite> {
  const at = await now(db)
  if (invite.expiresAt <= at) {
    throw new ServiceError(
      'INVITE_OVER',
      `this invite ended at ${invite.expiresAt.toISOString()}`,
      {
        next: 'ask for another one',
      },
    )
  }
  await refuseMistaken(db, meshId, invite)
  const { side } = invite
  const domains = draftsOf(side)
  const hash = inviteHash(inviteProof(invite.secret))
  const earlier = await findAcceptance(db, meshId, hash)
  const name = as ?? proposedName(side)
  const draft = { name, peerMeshName: side.meshName, domains }
  if (earlier === undefined) {
    await refuseTakenName(db, meshId, { name, invite })
    await judgeDraft(db, meshId, { draft, purpose: 'peer', now: at })
  }
  return { draft, earlier }
}

async function refuseMistaken(db: Db, meshId: MeshId, { side, expected }: Invite): Promise<void> {
  const own = new Set((await trustDomainsOf(db, meshId)).map(({ name }) => name))
  const same = side.domains.find(({ trustDomain }) => own.has(trustDomain))
  if (same !== undefined) {
    throw new ServiceError(
      'INVITE_REFUSED',
      `this invite is from ${same.trustDomain}, a trust domain of this very mesh: it is for the other side`,
      { next: 'the other side runs: entente federation accept FILE' },
    )
  }
  if (expected === undefined || own.has(expected)) return
  throw new ServiceError(
    'INVITE_REFUSED',
    `this invite is for ${expected}, and this mesh is ${[...own].join(', ')}`,
    { next: 'ask for one that names your trust domain, or none' },
  )
}

async function refuseTakenName(
  db: Db,
  meshId: MeshId,
  { name, invite }: { readonly name: string; readonly invite: Invite },
): Promise<void> {
  if ((await findRelationship(db, meshId, name)) === undefined) return
  const label = invite.side.domains[0]?.trustDomain.split('.')[0] ?? 'peer'
  const other = `${name.slice(0, 40)}-${label.replaceAll(/[^a-z0-9]/g, '').slice(0, 20) || '2'}`
  throw new ServiceError(
    'ALREADY_EXISTS',
    `this mesh already has a relationship named ${quoted(name)}; the inviter needs another name here`,
    { next: `entente federation accept FILE --as ${other}` },
  )
}
