import { addSeconds } from '../clock.ts'
import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import { ServiceError } from '../errors.ts'
import { disabledClusters, trustDomainsOf } from '../mesh/find-mesh.ts'
import { publicKeySha256 } from '../pki/key-pair.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import { type Authority, canSign, type StoredAuthority } from './authority.ts'
import { signedElsewhere } from './signers.ts'
import { listLiving } from './store.ts'

/** The root under which our own listeners stand now, and the intermediate that signs for them. */
export interface EndpointIssuer<A extends Authority = Authority> {
  readonly root: A
  readonly intermediate: A
  /** No endpoint SVID under it ends later: its own end, or the removal of its root. */
  readonly usableUntil: Date
}

// An issuer with less than this left is passed over, so that listeners are never seen with an SVID at its end.
const LEAST_LEFT_SECONDS = 60

interface Choice {
  readonly now: Date
  /** Clusters whose intermediates sign only where no other can: a listener without an SVID serves nobody. */
  readonly disabled: ReadonlySet<string>
}

/**
 * Chooses where endpoint SVIDs come from: under the oldest published root that still lives and has an
 * intermediate with a key.
 *
 * The oldest, because every peer holds it: an https_spiffe peer that missed the newest bundle could otherwise
 * not authenticate the fetch that repairs it (FE-21, FE-23).
 */
function chooseEndpointIssuer<A extends Authority>(
  authorities: readonly A[],
  choice: Choice,
): EndpointIssuer<A> | undefined {
  const { now } = choice
  const candidates = authorities
    .filter((one) => one.kind === 'x509_root' && isServing(one) && one.notAfter > now)
    .toSorted((one, other) => timeOf(one.publishedAt) - timeOf(other.publishedAt))
    .flatMap((root) => issuersUnder(root, authorities, choice))
    .filter(({ usableUntil }) => usableUntil > now)
  const lasting = candidates.find(
    ({ usableUntil }) => usableUntil >= addSeconds(now, LEAST_LEFT_SECONDS),
  )
  return (
    lasting ??
    candidates.toSorted((one, other) => timeOf(other.usableUntil) - timeOf(one.usableUntil))[0]
  )
}

function issuersUnder<A extends Authority>(
  root: A,
  authorities: readonly A[],
  { now, disabled }: Choice,
): EndpointIssuer<A>[] {
  const rank = ({ cluster = '' }: A): number => (disabled.has(cluster) ? 1 : 0)
  return authorities
    .filter((one) => one.parentId === root.id && isServing(one) && canSign(one, now))
    .toSorted(
      (one, other) => rank(one) - rank(other) || timeOf(other.notAfter) - timeOf(one.notAfter),
    )
    .slice(0, 1)
    .map((intermediate) => ({
      root,
      intermediate,
      usableUntil: earlier(intermediate.notAfter, root.removeAt),
    }))
}

// Prepared ones do not sign yet, removed ones are trusted no longer.
function isServing({ state }: Authority): boolean {
  return state === 'active' || state === 'retired'
}

function timeOf(moment: Date | undefined): number {
  return moment?.getTime() ?? 0
}

function earlier(one: Date, other: Date | undefined): Date {
  return other !== undefined && other < one ? other : one
}

/** Reads the authorities of a trust domain and chooses; throws ISSUER_UNAVAILABLE or ISSUER_ELSEWHERE when nothing can sign. */
export async function findEndpointIssuer(
  db: Db,
  meshId: MeshId,
  { trustDomain, now }: { readonly trustDomain: TrustDomain; readonly now: Date },
): Promise<EndpointIssuer<StoredAuthority>> {
  const disabled = await disabledClusters(db, meshId)
  const chosen = chooseEndpointIssuer(await listLiving(db, meshId, trustDomain), { now, disabled })
  if (chosen !== undefined) return chosen
  const domain = (await trustDomainsOf(db, meshId)).find(({ name }) => name === trustDomain)
  throw domain?.issuer === 'observed'
    ? signedElsewhere(trustDomain, domain.observedFrom)
    : noEndpointIssuer(trustDomain)
}

/** The root that the workload endpoint's SVID stands under, as a join token names it. */
export interface WorkloadRoot {
  /** SHA-256 of the root's SubjectPublicKeyInfo. */
  readonly publicKeySha256: Uint8Array
  /** A join token made now must end before this: the root may be gone then. */
  readonly leavesAt: Date
}

/** The root under which the workload endpoint of a trust domain stands now; throws ISSUER_UNAVAILABLE. */
export async function workloadRootOf(
  db: Db,
  meshId: MeshId,
  at: { readonly trustDomain: TrustDomain; readonly now: Date },
): Promise<WorkloadRoot> {
  const { root } = await findEndpointIssuer(db, meshId, at)
  return {
    publicKeySha256: publicKeySha256(root.publicKey),
    leavesAt: earlier(root.notAfter, root.removeAt),
  }
}

/** The failure when nothing can sign for our own listeners. */
export function noEndpointIssuer(trustDomain: StoredAuthority['trustDomain']): ServiceError {
  return new ServiceError(
    'ISSUER_UNAVAILABLE',
    `no authority of ${trustDomain} can sign for our listeners now`,
    { retryAfterSeconds: 5, next: 'entente authority list' },
  )
}
