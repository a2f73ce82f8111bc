import { type MeshId } from '../db/ids.ts'
import { type Db } from '../db/schema.ts'
import { type Dependant } from '../mesh/hooks.ts'
import { readDocument } from './poll/accept-bundle.ts'
import { type AuthorityFingerprint, fingerprintsOf } from './trust/authority-fingerprints.ts'
import { changeStanding } from './change-standing.ts'
import { type NamedFingerprint } from './invite/create-invite.ts'
import {
  dependantsOf,
  type EndRelationship,
  type RelationshipDependants,
} from './end-relationship.ts'
import { lockRelationship } from './find-relationship.ts'
import { bundleFingerprint } from './invite/fingerprint.ts'
import { ownFingerprints } from './trust/own-fingerprints.ts'
import { type Relationship } from './relationship.ts'
import { findCurrent } from './peer-bundle/revision-store.ts'
import { type TrustDomain } from '../spiffe/trust-domain.ts'

/** What an operator can do to the standing of a relationship short of ending it. */
export const STANDING_ACTS = ['approve', 'withdraw', 'suspend', 'resume'] as const

/** One of {@link STANDING_ACTS}. */
export type StandingAct = (typeof STANDING_ACTS)[number]

/** An act on the standing of a relationship. */
export interface ActOnStanding extends EndRelationship {
  readonly act: StandingAct
  readonly dependants: readonly RelationshipDependants[]
}

/** The authorities of one domain of a peer, in the bundle in use. */
export interface PeerAuthorities {
  readonly trustDomain: TrustDomain
  readonly bundleDigest: Uint8Array | undefined
  /** To be compared aloud; undefined without a bundle. */
  readonly fingerprint: string | undefined
  readonly authorities: readonly AuthorityFingerprint[]
}

/** A relationship whose standing changed, and what an act that withholds takes away. */
export interface ActedOnStanding {
  readonly relationship: Relationship
  readonly effects: readonly Dependant[]
  readonly peerAuthorities: readonly PeerAuthorities[]
  /** The fingerprints of our own bundles, for the other half of the comparison. */
  readonly ours: readonly NamedFingerprint[]
}

/**
 * Approves, withdraws, suspends or resumes: one transition with its audit record.
 *
 * Withdrawing and suspending withhold the peer's bundles and our exports with the commit; polls go on. Throws
 * NOT_FOUND, PRECONDITION_REQUIRED, PRECONDITION_FAILED, and CONFLICT naming what is allowed.
 */
export async function actOnStanding(
  trx: Db,
  meshId: MeshId,
  { name, act, context, reason, dependants, requireVersion }: ActOnStanding,
): Promise<ActedOnStanding> {
  const before = await lockRelationship(trx, meshId, name)
  requireVersion(before.version)
  const withholds = act === 'withdraw' || act === 'suspend'
  const effects = withholds ? await dependantsOf(trx, before, dependants) : []
  const peerAuthorities = await authoritiesOf(trx, before)
  const relationship = await changeStanding(trx, before, {
    event: act,
    context,
    reason,
    body: withholds ? { withheld: effects } : { peerAuthorities: peerAuthorities.map(audited) },
  })
  const ours = await ownFingerprints(trx, meshId)
  return { relationship, effects, peerAuthorities, ours }
}

async function authoritiesOf(trx: Db, relationship: Relationship): Promise<PeerAuthorities[]> {
  const { meshId, id: relationshipId, domains } = relationship
  const found: PeerAuthorities[] = []
  for (const { trustDomain } of domains) {
    const current = await findCurrent(trx, meshId, { relationshipId, trustDomain })
    const bundle =
      current === undefined ? undefined : readDocument(trustDomain, current.document).bundle
    found.push({
      trustDomain,
      bundleDigest: current?.digest,
      fingerprint: bundle === undefined ? undefined : bundleFingerprint(bundle),
      authorities: bundle === undefined ? [] : fingerprintsOf(bundle),
    })
  }
  return found
}

function audited({ trustDomain, bundleDigest, authorities }: PeerAuthorities) {
  return {
    trustDomain,
    bundleDigest: bundleDigest === undefined ? null : Buffer.from(bundleDigest).toString('hex'),
    publicKeys: authorities.slice(0, 50).map(({ publicKeySha256 }) => publicKeySha256),
  }
}
