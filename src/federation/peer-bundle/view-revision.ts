import { type AuthorityFacts } from '../trust/authority-facts.ts'
import { type BundleComparison, type ChangedAuthority } from '../trust/compare-bundles.ts'
import { type AuthorityView, type ChangedAuthorityView } from './revision-api.ts'

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
