import { type MeshId } from '../../db/ids.ts'
import { type Db, type RelationshipState } from '../../db/schema.ts'
import { type Dependant } from '../../mesh/hooks.ts'
import { type Bundle } from '../../spiffe/bundle.ts'
import { trustDomainOf } from '../../spiffe/spiffe-id.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { anchorsIn, hasUsableAnchor } from '../poll/anchors.ts'
import { type AuthorityFacts, factsOf } from './authority-facts.ts'
import { type PollKey, loadDistrust } from './distrust-store.ts'
import { effectiveBundle, type KeyDigests } from './effective-bundle.ts'
import { type HeldBundle, heldBundles } from '../poll/held-bundles.ts'

/** Where a key stands: one authority of one domain of a peer. */
export interface KeyPlace {
  readonly relationship: string
  readonly state: RelationshipState
  readonly trustDomain: TrustDomain
  readonly kind: 'x509' | 'jwt'
  /** Subject or `kid`. */
  readonly name: string
}

/** What distrusting a key, or lifting that, means in a mesh. */
export interface Examination {
  readonly places: readonly KeyPlace[]
  readonly effects: readonly Dependant[]
  /** Polls that the key may authenticate. */
  readonly polls: readonly PollKey[]
  /** The authority whose certificate has this digest, when it is no key's. */
  readonly certificateOf:
    { readonly trustDomain: TrustDomain; readonly keyDigest: string } | undefined
}

/** What is examined, and at which moment. */
export interface DistrustQuestion {
  readonly digest: string
  readonly now: Date
  readonly change: 'distrust' | 'lift'
}

interface Place {
  readonly held: HeldBundle
  readonly authority: AuthorityFacts
}

/** Looks for a key in every bundle in use of a mesh; reads all of them, page by page. */
export async function examineDistrust(
  db: Db,
  meshId: MeshId,
  question: DistrustQuestion,
): Promise<Examination> {
  const { digests } = await loadDistrust(db, meshId)
  const survey = new Survey(question, digests)
  for await (const held of heldBundles(db, meshId)) survey.add(held)
  return survey.result()
}

/** Gathers, over all domains of a mesh, where a key stands and whose endpoints need it. */
class Survey {
  readonly #question: DistrustQuestion
  readonly #before: KeyDigests
  readonly #places: Place[] = []
  /** Whether a domain that has the key keeps an anchor without it. */
  readonly #keepsAnchor = new Map<TrustDomain, boolean>()
  readonly #endpoints: HeldBundle[] = []
  #certificateOf: Examination['certificateOf']

  constructor(question: DistrustQuestion, before: KeyDigests) {
    this.#question = question
    this.#before = before
  }

  add(held: HeldBundle & { readonly bundle: Bundle | undefined }): void {
    const { document: _dropped, bundle, ...domain } = held
    if (held.endpointId !== undefined) this.#endpoints.push({ ...domain, document: undefined })
    if (bundle === undefined) return
    const authorities = factsOf(bundle)
    const { digest } = this.#question
    const found = authorities.filter(({ publicKeySha256 }) => publicKeySha256 === digest)
    const asCertificate = authorities.find(({ certificateSha256 }) => certificateSha256 === digest)
    if (asCertificate !== undefined) {
      this.#certificateOf = {
        trustDomain: held.trustDomain,
        keyDigest: asCertificate.publicKeySha256,
      }
    }
    if (found.length === 0) return
    for (const authority of found) {
      this.#places.push({ held: { ...domain, document: undefined }, authority })
    }
    this.#keepsAnchor.set(held.trustDomain, this.#hasAnchor(bundle))
  }

  result(): Examination {
    const needing = this.#endpoints.filter(
      ({ endpointId }) =>
        endpointId !== undefined && this.#keepsAnchor.has(trustDomainOf(endpointId)),
    )
    const places = this.#places.map(({ held, authority }) => ({
      relationship: held.relationship,
      state: held.state,
      trustDomain: held.trustDomain,
      kind: authority.kind,
      name: authority.subject ?? authority.kid ?? '',
    }))
    return {
      places,
      effects: [...places.map((place) => this.#effectOf(place)), ...this.#locked(needing)],
      polls: needing,
      certificateOf: places.length === 0 ? this.#certificateOf : undefined,
    }
  }

  #hasAnchor(bundle: Bundle): boolean {
    const { digest, now } = this.#question
    const { x509Authorities } = effectiveBundle(bundle, new Set([...this.#before, digest]))
    return hasUsableAnchor(anchorsIn(x509Authorities), now)
  }

  #effectOf({ relationship, trustDomain, kind, name }: KeyPlace): Dependant {
    const what = kind === 'x509' ? 'X509-SVIDs under' : 'JWT-SVIDs signed by'
    const effect =
      this.#question.change === 'distrust'
        ? `${what} ${name} of ${trustDomain} are accepted nowhere in this mesh`
        : `${what} ${name} of ${trustDomain} are accepted again`
    return { kind: 'authority', name: `${relationship}/${trustDomain}`, effect, blocks: false }
  }

  /** FE-24, FE-26: endpoints that nothing is left to authenticate with. */
  #locked(needing: readonly HeldBundle[]): Dependant[] {
    if (this.#question.change === 'lift') return []
    return needing
      .filter(
        ({ endpointId }) =>
          endpointId !== undefined && this.#keepsAnchor.get(trustDomainOf(endpointId)) === false,
      )
      .map(({ relationship, trustDomain, endpointId }) => ({
        kind: 'endpoint',
        name: `${relationship}/${trustDomain}`,
        effect: `can no longer be authenticated: no other valid authority is left for ${endpointId}; get a newer bundle another way: entente bundle set ${relationship}`,
        blocks: false,
      }))
  }
}
