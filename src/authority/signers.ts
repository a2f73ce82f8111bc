import type { KeyObject } from 'node:crypto'
import type { Clock } from '../clock.ts'
import type { Changes } from '../db/changes.ts'
import type { MeshId } from '../db/ids.ts'
import type { Keyring } from '../db/keyring.ts'
import type { AuthorityKind, Db } from '../db/schema.ts'
import { quoted, ServiceError } from '../errors.ts'
import { disabledClusters, trustDomainsOf } from '../mesh/find-mesh.ts'
import { FIRST_CLUSTER } from '../mesh/mesh.ts'
import type { X509Issuer } from '../pki/ca-certificate.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import { canSign } from './authority.ts'
import { openPrivateKey } from './make-authority.ts'
import { listWithKeys, type WithKey } from './store.ts'

/** Who signs X509-SVIDs of a trust domain now. */
export interface X509Signer {
  readonly authorityId: string
  /** The same object as long as the signer is the same, so that what was computed for it can be kept. */
  readonly issuer: X509Issuer
  /** Intermediates between leaf and root (DER), the leaf's issuer first; no root. */
  readonly chain: readonly Uint8Array[]
  readonly notAfter: Date
}

/** Who signs JWT-SVIDs of a trust domain now. */
export interface JwtSigner {
  readonly authorityId: string
  readonly kid: string
  readonly privateKey: KeyObject
  readonly notAfter: Date
}

/** What {@link Signers} needs. */
export interface SignersOptions {
  readonly db: Db
  readonly keyring: Keyring
  readonly clock: Clock
  readonly changes: Pick<Changes, 'on'>
}

interface Signing {
  /** By cluster. */
  readonly x509: ReadonlyMap<string, X509Signer>
  readonly jwt: JwtSigner | undefined
  /** Clusters that nothing is signed for. */
  readonly disabled: ReadonlySet<string>
}

/**
 * The active authorities with their keys opened, kept in memory and read again after every change.
 *
 * Only authorities in state `active` sign (FE-30), and none of a disabled cluster. Both calls throw
 * ISSUER_UNAVAILABLE when there is none that still lives or the cluster that they are for is disabled, and
 * ISSUER_ELSEWHERE for a trust domain that another system signs for.
 */
export class Signers {
  readonly #options: SignersOptions
  readonly #known = new Map<string, Promise<Signing>>()
  /** The signers as they were last read, whose opened keys are kept while they stay the same. */
  readonly #last = new Map<string, Signing>()

  constructor(options: SignersOptions) {
    this.#options = options
    for (const topic of ['bundle', 'mesh'] as const) {
      options.changes.on(topic, (meshId) => this.forget(meshId))
    }
  }

  /**
   * The signer of X509-SVIDs: the intermediate of the cluster that they are for, so that a cluster can end alone; of
   * the mesh's first cluster where they are for none.
   */
  async x509(meshId: MeshId, trustDomain: TrustDomain, cluster?: string): Promise<X509Signer> {
    return this.#living(meshId, trustDomain, ({ x509, disabled }) => {
      requireEnabled(disabled, cluster)
      return cluster === undefined ? firstOf(x509) : x509.get(cluster)
    })
  }

  /** The signer of JWT-SVIDs, one for all clusters; `cluster` is the one that they are for. */
  async jwt(meshId: MeshId, trustDomain: TrustDomain, cluster?: string): Promise<JwtSigner> {
    return this.#living(meshId, trustDomain, ({ jwt, disabled }) => {
      requireEnabled(disabled, cluster)
      return jwt
    })
  }

  /** Forgets the signers of a mesh; the next use reads them again. */
  forget(meshId: MeshId): void {
    for (const key of this.#known.keys()) if (key.startsWith(`${meshId} `)) this.#known.delete(key)
  }

  async #living<S extends X509Signer | JwtSigner>(
    meshId: MeshId,
    trustDomain: TrustDomain,
    choose: (signing: Signing) => S | undefined,
  ): Promise<S> {
    const known = choose(await this.#signing(meshId, trustDomain))
    if (known !== undefined && known.notAfter > this.#options.clock.now()) return known
    this.#known.delete(keyOf(meshId, trustDomain))
    const again = choose(await this.#signing(meshId, trustDomain))
    if (again !== undefined && again.notAfter > this.#options.clock.now()) return again
    throw await whyNobodySigns(this.#options.db, meshId, trustDomain)
  }

  async #signing(meshId: MeshId, trustDomain: TrustDomain): Promise<Signing> {
    const key = keyOf(meshId, trustDomain)
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const loading = this.#load(meshId, trustDomain)
    this.#known.set(key, loading)
    try {
      return await loading
    } catch (error) {
      if (this.#known.get(key) === loading) this.#known.delete(key)
      throw error
    }
  }

  async #load(meshId: MeshId, trustDomain: TrustDomain): Promise<Signing> {
    const { db, clock, keyring } = this.#options
    const withKeys = await listWithKeys(db, meshId, trustDomain)
    const disabled = await disabledClusters(db, meshId)
    const now = clock.now()
    const active = withKeys.filter(
      ({ authority: one }) =>
        one.state === 'active' && canSign(one, now) && !disabled.has(one.cluster ?? ''),
    )
    const before = this.#last.get(keyOf(meshId, trustDomain))
    const signing = {
      x509: x509Signers(keyring, active, before?.x509),
      jwt: jwtSigner(keyring, ofKind(active, 'jwt'), before?.jwt),
      disabled,
    }
    this.#last.set(keyOf(meshId, trustDomain), signing)
    return signing
  }
}

function requireEnabled(disabled: ReadonlySet<string>, cluster: string | undefined): void {
  if (cluster === undefined || !disabled.has(cluster)) return
  throw new ServiceError(
    'ISSUER_UNAVAILABLE',
    `cluster ${quoted(cluster)} is disabled, and nothing is signed for it`,
    { retryAfterSeconds: 60, next: `entente cluster activate ${cluster}` },
  )
}

async function whyNobodySigns(
  db: Db,
  meshId: MeshId,
  trustDomain: TrustDomain,
): Promise<ServiceError> {
  const domain = (await trustDomainsOf(db, meshId)).find(({ name }) => name === trustDomain)
  if (domain?.issuer === 'observed') return signedElsewhere(trustDomain, domain.observedFrom)
  return new ServiceError('ISSUER_UNAVAILABLE', `no authority of ${trustDomain} can sign now`, {
    retryAfterSeconds: 5,
    next: 'entente authority list',
  })
}

/** The refusal to sign for a trust domain that another system signs for; names that system. */
export function signedElsewhere(
  trustDomain: TrustDomain,
  observedFrom: string | undefined,
): ServiceError {
  return new ServiceError(
    'ISSUER_ELSEWHERE',
    `SVIDs of ${trustDomain} are signed by the system whose authorities are read from ${observedFrom ?? 'elsewhere'}, not by this service`,
    { next: 'ask that system, or hand the trust domain to us: entente mesh manage' },
  )
}

function ofKind(found: readonly WithKey[], kind: AuthorityKind): WithKey | undefined {
  return found.find(({ authority }) => authority.kind === kind)
}

function x509Signers(
  keyring: Keyring,
  active: readonly WithKey[],
  before: ReadonlyMap<string, X509Signer> | undefined,
): Map<string, X509Signer> {
  const signers = new Map<string, X509Signer>()
  for (const { authority, sealedKey } of active) {
    const { id: authorityId, kind, cluster, certificate, notAfter } = authority
    if (kind !== 'x509_intermediate' || cluster === undefined || certificate === undefined) continue
    const same = before?.get(cluster)
    if (same?.authorityId === authorityId) {
      signers.set(cluster, same)
      continue
    }
    const privateKey = openPrivateKey(keyring, authority, sealedKey)
    const issuer = { certificate, privateKey }
    signers.set(cluster, { authorityId, issuer, chain: [certificate], notAfter })
  }
  return signers
}

function firstOf(signers: ReadonlyMap<string, X509Signer>): X509Signer | undefined {
  const [first = FIRST_CLUSTER] = [...signers.keys()].toSorted()
  return signers.get(FIRST_CLUSTER) ?? signers.get(first)
}

function jwtSigner(
  keyring: Keyring,
  found: WithKey | undefined,
  before: JwtSigner | undefined,
): JwtSigner | undefined {
  if (found === undefined) return undefined
  const { id: authorityId, keyId: kid, notAfter } = found.authority
  if (before?.authorityId === authorityId) return before
  const privateKey = openPrivateKey(keyring, found.authority, found.sealedKey)
  return { authorityId, kid, privateKey, notAfter }
}

function keyOf(meshId: MeshId, trustDomain: TrustDomain): string {
  return `${meshId} ${trustDomain}`
}
