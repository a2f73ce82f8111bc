import { type VerifiedBy } from '../peer-bundle/revision-store.ts'
import { type TrustedAuthorityView } from './trust-api.ts'
import { type PeerGrounds, type TrustedAuthority } from './trust-at.ts'
import { type TrustSpan } from './trust-at-store.ts'
import { viewAuthority } from '../peer-bundle/view-revision.ts'
import { hexOf } from '../hex.ts'
import { viewVerifiedBy } from '../peer-bundle/view-revision.ts'

/** A trusted authority as the API shows it. */
export function viewTrusted(trusted: TrustedAuthority, at: Date): TrustedAuthorityView {
  const { authority, peer } = trusted
  const { notBefore, notAfter } = authority
  return {
    trustDomain: trusted.trustDomain,
    whose: peer === undefined ? 'own' : 'peer',
    ...viewAuthority(authority),
    isWithinValidity:
      (notBefore === undefined || notBefore <= at) && (notAfter === undefined || at <= notAfter),
    since: trusted.since.toISOString(),
    why: peer === undefined ? ownReason(trusted) : peerReason(trusted, peer),
    revision: viewRevision(trusted),
    relationship: peer === undefined ? null : viewRelationship(peer),
    begunBy:
      peer === undefined
        ? { event: 'bundle.publish', actor: null }
        : (viewLift(peer.span) ?? { event: peer.span.begun.event, actor: peer.span.begun.actor }),
  }
}

function viewLift({ lifted }: TrustSpan): TrustedAuthorityView['begunBy'] | undefined {
  return lifted === undefined ? undefined : { event: 'distrust.lift', actor: lifted.actor }
}

function viewRevision({ published, peer }: TrustedAuthority): TrustedAuthorityView['revision'] {
  if (published !== undefined) {
    return {
      n: null,
      sequence: published.sequence.toString(),
      digest: hexOf(published.digest),
      origin: null,
      approvedBy: null,
      verifiedBy: null,
    }
  }
  const revision = peer?.span.revision
  if (revision === undefined) return null
  return {
    n: revision.n.toString(),
    sequence: revision.sequence?.toString() ?? null,
    digest: hexOf(revision.digest),
    origin: revision.origin,
    approvedBy: revision.decided?.by ?? null,
    verifiedBy: viewVerifiedBy(revision.verifiedBy),
  }
}

function viewRelationship({ span, consent }: PeerGrounds): TrustedAuthorityView['relationship'] {
  return {
    name: span.relationship,
    consentedBy: consent?.by ?? null,
    consentedAt: consent?.at.toISOString() ?? null,
    theirConsent: consent?.theirConsent ?? null,
  }
}

function ownReason({ published }: TrustedAuthority): string {
  const how =
    published === undefined ? '' : ` with sequence ${published.sequence}: ${published.cause ?? ''}`
  return `a trust domain of this mesh, published${how}`
}

function peerReason({ published }: TrustedAuthority, { span, consent }: PeerGrounds): string {
  const { revision, lifted, relationship, begun } = span
  const consented =
    consent === undefined ? '' : `, consented to by ${consent.by} (theirs: ${consent.theirConsent})`
  const parts = [
    `relationship ${relationship} was active${consented}`,
    ...(published === undefined ? [] : [`this service published sequence ${published.sequence}`]),
    ...(revision === undefined
      ? []
      : [`revision ${revision.n} ${authenticated(revision.verifiedBy)}`]),
    ...(revision?.decided === undefined ? [] : [`approved by ${revision.decided.by}`]),
    `in force by ${begun.event} of ${begun.actor}`,
    ...(lifted === undefined ? [] : [`its distrust was lifted by ${lifted.actor}`]),
  ]
  return parts.join('; ')
}

function authenticated(verifiedBy: VerifiedBy): string {
  if (verifiedBy.how === 'hand') {
    return verifiedBy.signedBy === undefined
      ? `was given by ${verifiedBy.actor}`
      : `was signed, and given by ${verifiedBy.actor}`
  }
  const [id] = verifiedBy.presentedIds
  return `was fetched from ${verifiedBy.url}${id === undefined ? '' : ` as ${id}`}`
}
