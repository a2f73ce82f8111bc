import { type LintFindingView } from '../../policy/lint/lint-api.ts'

/** What of a mesh decides whom a policy written elsewhere admits. */
export interface MeshFacts {
  readonly mesh: string
  readonly trustDomains: readonly string[]
  /** Trust domains of relationships that are not over. */
  readonly peers: readonly PeerDomain[]
}

/** A peer's trust domain and the name of the relationship that it belongs to. */
export interface PeerDomain {
  readonly relationship: string
  readonly trustDomain: string
}

/** Most findings that one run gives; the rest is counted. */
export const MAX_FINDINGS = 1000

/** Collects findings, at most {@link MAX_FINDINGS}. */
export class Findings {
  readonly items: LintFindingView[] = []
  /** How many there were beyond the limit. */
  left = 0

  add(finding: LintFindingView): void {
    if (this.items.length < MAX_FINDINGS) this.items.push(finding)
    else this.left += 1
  }
}

/** Names of peers in a sentence: at most five, then how many more. */
export function namesOf(peers: readonly PeerDomain[]): string {
  const shown = peers.slice(0, 5).map((one) => `${one.trustDomain} (${one.relationship})`)
  const more = peers.length > 5 ? ` and ${peers.length - 5} more` : ''
  return `${shown.join(', ')}${more}`
}
