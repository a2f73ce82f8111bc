import { generateKeyPair, publicJwk } from '../../pki/key-pair.ts'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type Bundle, type PublicJwk } from '../../spiffe/bundle.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { readDocument } from '../poll/accept-bundle.ts'
import { type Anchors, anchorsIn, hasUsableAnchor, type RevisionKey } from '../poll/anchors.ts'
import { type DistrustedKeys } from '../trust/distrusted-keys.ts'
import { effectiveBundle } from '../trust/effective-bundle.ts'
import { findRevision } from '../peer-bundle/revision-store.ts'

/** What is kept in memory of a bundle: keys that sign tokens, and when its X.509 authorities live. */
interface Kept {
  readonly bundle: Bundle
  readonly windows: Anchors['windows']
}

/** Bundles kept at once; the oldest leaves first. */
const MOST_KEPT = 10_000

/**
 * The JWT authorities of peers' bundles in use, each document read once; distrusted keys are left out of every
 * answer.
 */
export class PeerCallKeys {
  readonly #distrusted: Pick<DistrustedKeys, 'of'>
  readonly #kept = new Map<string, Kept>()

  constructor(distrusted: Pick<DistrustedKeys, 'of'>) {
    this.#distrusted = distrusted
  }

  /**
   * The JWT authorities that this mesh accepts of a revision now; undefined when it is no longer stored, and when
   * it has X.509 authorities and all have ended: a bundle that could authenticate no fetch authenticates no call.
   */
  async of(
    db: Db,
    meshId: MeshId,
    { revision, now }: { readonly revision: RevisionKey; readonly now: Date },
  ): Promise<Bundle | undefined> {
    const kept = await this.#stored(db, meshId, revision)
    if (kept === undefined) return undefined
    const { windows } = kept
    if (windows.length > 0 && !hasUsableAnchor({ certificates: [], windows }, now)) return undefined
    return effectiveBundle(kept.bundle, await this.#distrusted.of(db, meshId))
  }

  async #stored(db: Db, meshId: MeshId, revision: RevisionKey): Promise<Kept | undefined> {
    const key = `${revision.trustDomain} ${Buffer.from(revision.digest).toString('hex')}`
    const known = this.#kept.get(key)
    if (known !== undefined) return known
    const stored = await findRevision(db, meshId, { key: revision, n: revision.n })
    if (stored === undefined || Buffer.compare(stored.digest, revision.digest) !== 0) {
      return undefined
    }
    const { bundle } = readDocument(revision.trustDomain, stored.document)
    const { windows } = anchorsIn(bundle.x509Authorities)
    const [oldest] = this.#kept.keys()
    if (this.#kept.size >= MOST_KEPT && oldest !== undefined) this.#kept.delete(oldest)
    const kept = { bundle: { ...bundle, x509Authorities: [] }, windows }
    this.#kept.set(key, kept)
    return kept
  }
}

let decoyKey: PublicJwk | undefined

/**
 * A bundle in which exactly one key has this `kid`: the peer's, or one that nobody holds the private half of, so
 * that refusing a caller whom we do not know takes the same work as refusing a bad signature.
 */
export function bundleForKid(
  bundle: Bundle | undefined,
  { trustDomain, kid }: { readonly trustDomain: TrustDomain; readonly kid: string },
): Bundle {
  const named = bundle?.jwtAuthorities.filter((authority) => authority.kid === kid) ?? []
  decoyKey ??= publicJwk(generateKeyPair('ES256').publicKey)
  return {
    trustDomain,
    sequence: undefined,
    refreshHintSeconds: undefined,
    x509Authorities: [],
    jwtAuthorities: named.length > 0 ? named : [{ kid, jwk: decoyKey }],
  }
}
