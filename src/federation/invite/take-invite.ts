import { type MeshId, isLabel } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { auditInvite } from './create-invite.ts'
import { type FirstBundle } from '../peer-bundle/insert-given.ts'
import { createRelationship, type InvitedTerms, type PeerReaders } from '../create-relationship.ts'
import { whyNotConsented } from './expected-side.ts'
import { bundleFingerprint } from './fingerprint.ts'
import { type Handshake, handshakeDigest } from './handshake.ts'
import { type InviteUse, markUsed, type StoredInvite, updateInvite } from './invite-store.ts'
import { type OurSide } from './our-side.ts'
import { draftsOf, type PeerSide } from './peer-side.ts'
import { type Relationship } from '../relationship.ts'
import { findRelationship } from '../store.ts'

/** A handshake that holds, and the acceptor's bundles as they were fetched. */
export interface TakeInvite {
  readonly invite: StoredInvite
  readonly handshake: Handshake
  readonly first: ReadonlyMap<TrustDomain, FirstBundle>
  readonly now: Date
}

/**
 * Uses an invite up and makes the relationship with whoever accepted it, in the caller's transaction; answers false,
 * with nothing done, when the invite was used or cancelled meanwhile.
 *
 * Our consent is given when the invite names the peer and the peer has that one domain only, else it waits for
 * `approve`. Throws what making a relationship throws; the invite then stays open.
 */
export async function takeInvite(
  trx: Db,
  { side, readers }: { readonly side: OurSide; readonly readers: PeerReaders },
  { invite, handshake, first, now }: TakeInvite,
): Promise<boolean> {
  const { meshId, id } = invite
  const use = useOf({ invite, handshake, first, now })
  if (!(await markUsed(trx, meshId, { id, use }))) return false
  const { acceptor } = handshake
  const wanted = invite.name ?? proposedName(acceptor)
  const name = await freeName(trx, meshId, wanted)
  const context = { actor: `peer:${use.by}`, now }
  const relationship = await createRelationship(trx, meshId, {
    draft: { name, peerMeshName: acceptor.meshName, domains: draftsOf(acceptor) },
    context,
    readers,
    invited: termsOf({ invite, acceptor, first }),
  })
  const relationshipId = relationship.id
  await side.assign(trx, meshId, { readers: invite.readers, relationshipId })
  await updateInvite(trx, invite, { relationship_id: relationshipId })
  const approvalReason = whyNotConsented(invite, [...first.keys()]) ?? null
  const body = { ...usedBy(relationship, acceptor, first), nameWanted: wanted, approvalReason }
  await auditInvite(trx, invite, { context, action: 'invite.use', body })
  return true
}

function useOf({ handshake, first, now }: TakeInvite): InviteUse {
  const [primary] = handshake.acceptor.domains
  if (primary === undefined) throw new Error('a side has a trust domain')
  return {
    at: now,
    by: primary.trustDomain,
    requestDigest: handshakeDigest(handshake),
    seen: [...first].map(([trustDomain, { read }]) => ({
      trustDomain,
      digest: Buffer.from(read.digest).toString('hex'),
    })),
  }
}

function termsOf(about: {
  readonly invite: StoredInvite
  readonly acceptor: PeerSide
  readonly first: ReadonlyMap<TrustDomain, FirstBundle>
}): InvitedTerms {
  const { invite, acceptor, first } = about
  const isNamed = invite.expectedTrustDomain !== undefined
  const isConsented = isNamed && whyNotConsented(invite, [...first.keys()]) === undefined
  return {
    ourConsent: isConsented ? 'given' : 'pending',
    theirConsent: 'given',
    exchange: acceptor.exchange,
    readerId: invite.readers[0]?.id,
    first,
  }
}

function usedBy(
  relationship: Relationship,
  acceptor: PeerSide,
  first: ReadonlyMap<TrustDomain, FirstBundle>,
): Record<string, unknown> {
  return {
    relationship: relationship.name,
    peerMeshName: acceptor.meshName,
    exchange: { ...acceptor.exchange },
    fingerprints: [...first].map(([trustDomain, { read }]) => ({
      trustDomain,
      fingerprint: bundleFingerprint(read.bundle),
    })),
  }
}

/** The name that a peer's announcement proposes: its mesh name, else the first label of its trust domain. */
export function proposedName({ meshName, domains }: PeerSide): string {
  if (isLabel(meshName)) return meshName
  const label = domains[0]?.trustDomain.split('.')[0] ?? ''
  return isLabel(label) ? label : 'peer'
}

/** The wanted name, or the first of `name-2`, `name-3`, … that is free. */
async function freeName(trx: Db, meshId: MeshId, wanted: string): Promise<string> {
  for (let n = 1; ; n += 1) {
    const name = n === 1 ? wanted : `${wanted.slice(0, 56)}-${n}`
    if ((await findRelationship(trx, meshId, name)) === undefined) return name
  }
}
