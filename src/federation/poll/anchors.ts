import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { readCertificate } from '../../pki/certificate.ts'
import { readDocument } from './accept-bundle.ts'
import { type DistrustedKeys } from '../trust/distrusted-keys.ts'
import { type KeyDigests, x509KeyDigest } from '../trust/effective-bundle.ts'
import { type DomainKey, findRevision } from '../peer-bundle/revision-store.ts'

/** The X.509 authorities of one stored bundle, by which its endpoint is authenticated. */
export interface Anchors {
  readonly certificates: readonly Uint8Array[]
  readonly windows: readonly { readonly notBefore: Date; readonly notAfter: Date }[]
  /** How many were left out because their key is distrusted. */
  readonly distrusted?: number
}

/** One revision of a peer's bundle, by number and by what is in it. */
export interface RevisionKey extends DomainKey {
  readonly n: bigint
  readonly digest: Uint8Array
  /** Of the `distrust` topic when the revision was chosen: keys distrusted by then are no anchors. */
  readonly distrustRevision?: bigint | undefined
}

/** What a trust domain of this service publishes. */
export interface PublishedBundle extends Omit<RevisionKey, 'relationshipId' | 'n'> {
  readonly document: Uint8Array
}

/** No anchor at all: nobody is authenticated by them. */
export const NO_ANCHORS: Anchors = { certificates: [], windows: [] }

/**
 * Memory for anchors of peers, in bytes of DER; the least recently used leave first. Room for a hundred thousand peers:
 * polled in turn, one too many would push each out just before it is wanted again.
 */
const MAX_CACHED_BYTES = 96 * 1024 * 1024

/**
 * Reads the anchors of bundles in use, each content once, so an unchanged poll costs no statement for them; keys
 * that the mesh distrusts are left out of every answer.
 *
 * Kept by digest: a number alone may have meant another document in a transaction that was rolled back. Which
 * revision is in use is decided by the claim, never here.
 */
export class AnchorCache {
  readonly #cached = new Map<string, { readonly anchors: Anchors; readonly bytes: number }>()
  readonly #distrusted: Pick<DistrustedKeys, 'of'>
  #bytes = 0

  constructor(distrusted: Pick<DistrustedKeys, 'of'>) {
    this.#distrusted = distrusted
  }

  /** The anchors of this revision; none without one, or when it is no longer stored. */
  async of(db: Db, meshId: MeshId, revision: RevisionKey | undefined): Promise<Anchors> {
    if (revision === undefined) return NO_ANCHORS
    const anchors = await this.#stored(db, meshId, revision)
    return this.#trusted(db, meshId, { anchors, ...revision })
  }

  /** The anchors of a bundle that a trust domain of this service publishes. */
  async ofPublished(db: Db, meshId: MeshId, published: PublishedBundle): Promise<Anchors> {
    const key = keyOf(published)
    const anchors = this.#known(key) ?? anchorsOf(published)
    if (!this.#cached.has(key)) this.#keep(key, anchors)
    return this.#trusted(db, meshId, { anchors, ...published })
  }

  async #trusted(
    db: Db,
    meshId: MeshId,
    about: Pick<RevisionKey, 'distrustRevision'> & { readonly anchors: Anchors },
  ): Promise<Anchors> {
    const distrusted = await this.#distrusted.of(db, meshId, about.distrustRevision)
    return distrusted.size === 0 ? about.anchors : withoutKeys(about.anchors, distrusted)
  }

  #known(key: string): Anchors | undefined {
    const known = this.#cached.get(key)
    if (known === undefined) return undefined
    this.#cached.delete(key)
    this.#cached.set(key, known)
    return known.anchors
  }

  async #stored(db: Db, meshId: MeshId, revision: RevisionKey): Promise<Anchors> {
    const key = keyOf(revision)
    const known = this.#known(key)
    if (known !== undefined) return known
    const stored = await findRevision(db, meshId, { key: revision, n: revision.n })
    if (stored === undefined || Buffer.compare(stored.digest, revision.digest) !== 0)
      return NO_ANCHORS
    const anchors = anchorsOf({ ...revision, document: stored.document })
    if (!this.#cached.has(key)) this.#keep(key, anchors)
    return anchors
  }

  #keep(key: string, anchors: Anchors): void {
    const bytes = anchors.certificates.reduce((sum, { length }) => sum + length, 200)
    this.#cached.set(key, { anchors, bytes })
    this.#bytes += bytes
    for (const [oldest, entry] of this.#cached) {
      if (this.#bytes <= MAX_CACHED_BYTES) return
      this.#cached.delete(oldest)
      this.#bytes -= entry.bytes
    }
  }
}

function keyOf({ trustDomain, digest }: Pick<RevisionKey, 'trustDomain' | 'digest'>): string {
  return `${trustDomain} ${Buffer.from(digest).toString('hex')}`
}

function anchorsOf({ trustDomain, document }: Pick<PublishedBundle, 'trustDomain' | 'document'>) {
  return anchorsIn(readDocument(trustDomain, document).bundle.x509Authorities)
}

/** Whether one of these anchors is valid at this moment. */
export function hasUsableAnchor({ windows }: Anchors, now: Date): boolean {
  return windows.some(({ notBefore, notAfter }) => notBefore <= now && now <= notAfter)
}

/** The anchors among a bundle's X.509 authorities. */
export function anchorsIn(authorities: readonly { readonly certificate: Uint8Array }[]): Anchors {
  return {
    certificates: authorities.map(({ certificate }) => certificate),
    windows: authorities.map(({ certificate }) => {
      const { notBefore, notAfter } = readCertificate(certificate)
      return { notBefore, notAfter }
    }),
  }
}

function withoutKeys({ certificates, windows }: Anchors, distrusted: KeyDigests): Anchors {
  const trusted = certificates.map((certificate) => !distrusted.has(x509KeyDigest({ certificate })))
  return {
    certificates: certificates.filter((_, index) => trusted[index]),
    windows: windows.filter((_, index) => trusted[index]),
    distrusted: trusted.filter((isTrusted) => !isTrusted).length,
  }
}
