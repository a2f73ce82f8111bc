import { hexOf } from '../hex.ts'
import { type AuthorityFacts } from '../trust/authority-facts.ts'
import { type BundleComparison, type ChangedAuthority } from '../trust/compare-bundles.ts'
import { type PeerRevisionView } from './peer-bundle-api.ts'
import { type AuthorityView, type ChangedAuthorityView } from './revision-api.ts'
import { type RevisionHead, type VerifiedBy } from './revision-store.ts'

/** One authority as the API shows it. */
export function viewAuthority(facts: AuthorityFacts): AuthorityView {
  return {
    kind: facts.kind,
    publicKeySha256: facts.publicKeySha256,
    certificateSha256: facts.certificateSha256 ?? null,
    subject: facts.subject ?? null,
    kid: facts.kid ?? null,
    notBefore: facts.notBefore?.toISOString() ?? null,
    notAfter: facts.notAfter?.toISOString() ?? null,
  }
}

/** A comparison of two bundles as the API shows it. */
export function viewComparison({ added, removed, kept }: BundleComparison) {
  return {
    added: added.map(viewChanged),
    removed: removed.map(viewChanged),
    kept: kept.map(viewAuthority),
  }
}

function viewChanged(authority: ChangedAuthority): ChangedAuthorityView {
  return { ...viewAuthority(authority), isSameKey: authority.isSameKey }
}

/** A revision of a peer's bundle as the API shows it, without its document. */
export function viewRevision(
  revision: Omit<RevisionHead, 'relationshipId' | 'trustDomain'> & {
    readonly verifiedBy: VerifiedBy
  },
): PeerRevisionView {
  return {
    n: revision.n.toString(),
    sequence: revision.sequence?.toString() ?? null,
    refreshHintSeconds: revision.hintSeconds ?? null,
    digest: hexOf(revision.digest),
    receivedAt: revision.receivedAt.toISOString(),
    origin: revision.origin,
    disposition: revision.disposition,
    reason: revision.reason ?? null,
    decidedAt: revision.decided?.at.toISOString() ?? null,
    decidedBy: revision.decided?.by ?? null,
    retiredAt: revision.retiredAt?.toISOString() ?? null,
    verifiedBy: viewVerifiedBy(revision.verifiedBy),
  }
}

/** How a document was authenticated, as the API shows it. */
export function viewVerifiedBy(verifiedBy: VerifiedBy): PeerRevisionView['verifiedBy'] {
  if (verifiedBy.how === 'hand') return verifiedBy
  const { redirects, presentedIds } = verifiedBy
  return { ...verifiedBy, redirects: [...redirects], presentedIds: [...presentedIds] }
}
