import { ServiceError } from '../../errors.ts'
import { type Outbound, type OutboundContact, type ServerProof } from '../../http/outbound.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { readDocument, type ReadDocument } from '../poll/accept-bundle.ts'
import { type FirstBundle } from '../peer-bundle/insert-given.ts'
import { anchorsFor, type PeerDomain, type PeerSide } from './peer-side.ts'

/** What fetching the bundles of a side needs. */
export interface FetchSideDeps {
  readonly outbound: Outbound
  /** Whether redirects are followed (FE-29). */
  readonly redirects: 'follow' | 'refuse'
}

/** On whose behalf, and for how long at most. */
export interface FetchSideOptions {
  readonly meshId: string
  readonly timeoutMs: number
}

/** How an endpoint of a side proves itself: with its declared profile, under the bundles that the side sent. */
export function proofOf(side: PeerSide, domain: PeerDomain): ServerProof {
  if (domain.endpointId === undefined) return { kind: 'web' }
  return {
    kind: 'spiffe',
    id: domain.endpointId,
    anchors: anchorsFor(side, domain.endpointId) ?? [],
  }
}

/**
 * Fetches the bundle of every domain of a side from where it says, with the profile that it says, and compares it with
 * the one that came along: the same or a newer one that shares an authority with it.
 *
 * Throws what a connection fails with, BUNDLE_MALFORMED, and PEER_ANSWER_REFUSED for another bundle.
 */
export async function fetchSide(
  deps: FetchSideDeps,
  side: PeerSide,
  options: FetchSideOptions,
): Promise<ReadonlyMap<TrustDomain, FirstBundle>> {
  const fetched = await Promise.all(
    side.domains.map(async (domain) => {
      const proof = proofOf(side, domain)
      return [domain.trustDomain, await fetchOne(deps, domain, { ...options, proof })] as const
    }),
  )
  return new Map(fetched)
}

async function fetchOne(
  { outbound, redirects }: FetchSideDeps,
  domain: PeerDomain,
  { meshId, timeoutMs, proof }: FetchSideOptions & { readonly proof: ServerProof },
): Promise<FirstBundle> {
  const signal = AbortSignal.timeout(timeoutMs)
  const outcome = await outbound
    .request({ url: domain.url, meshId, proof, redirects, signal })
    .catch((cause: unknown) => {
      if (signal.aborted) throw tooSlow(domain, timeoutMs)
      throw cause
    })
  if ('error' in outcome) throw outcome.error
  if (outcome.answer.status !== 200) throw new Error('nothing conditional was asked')
  const read = readDocument(domain.trustDomain, outcome.answer.body)
  refuseOther(domain, read)
  return { read, verifiedBy: verifiedBy(outcome.contact) }
}

function refuseOther({ trustDomain, read: sent }: PeerDomain, fetched: ReadDocument): void {
  if (Buffer.compare(sent.digest, fetched.digest) === 0) return
  const known = new Set(keysOf(sent))
  const isNewer = (fetched.bundle.sequence ?? 0n) >= (sent.bundle.sequence ?? 0n)
  if (isNewer && keysOf(fetched).some((key) => known.has(key))) return
  throw new ServiceError(
    'PEER_ANSWER_REFUSED',
    `the bundle of ${trustDomain} that its endpoint serves is another one than was sent along`,
  )
}

function keysOf({ bundle }: ReadDocument): string[] {
  return bundle.x509Authorities.map(({ certificate }) =>
    Buffer.from(certificate).toString('base64'),
  )
}

function verifiedBy(contact: OutboundContact): FirstBundle['verifiedBy'] {
  return {
    how: 'fetch',
    url: contact.url,
    redirects: contact.redirects,
    address: contact.address ?? null,
    presentedIds: contact.presentedIds,
    chainSha256: contact.chainSha256 ?? null,
  }
}

function tooSlow({ url }: PeerDomain, timeoutMs: number): ServiceError {
  const host = new URL(url).host
  return new ServiceError(
    'PEER_UNREACHABLE',
    `no complete answer from ${host} within ${timeoutMs / 1000} s`,
  )
}
