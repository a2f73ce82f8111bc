import { type Changes } from '../../db/changes.ts'
import { type MeshId } from '../../db/ids.ts'
import { type Db, type RelationshipState } from '../../db/schema.ts'
import { isDatabaseAway } from '../../db/failures.ts'
import { type Bundle, writeBundle } from '../../spiffe/bundle.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { readDocument } from '../poll/accept-bundle.ts'
import { loadDistrust } from '../trust/distrust-store.ts'
import { effectiveBundle, type KeyDigests } from '../trust/effective-bundle.ts'
import { relationshipsOf } from '../find-relationship.ts'
import { listLocalBundles } from '../local/local-store.ts'
import { listGroupDomains } from '../group/peer-group-store.ts'
import { type ActiveBundleRow, listActiveBundles } from './in-force-store.ts'

/** The bundle of a peer's domain as this mesh accepts it now. */
export interface PeerBundle {
  readonly trustDomain: TrustDomain
  /** The relationship's name. */
  readonly relationship: string
  /** Canonical bytes of what is accepted; entries that we skipped are not in it, so they reach no workload. */
  readonly document: Uint8Array
  readonly bundle: Bundle
  readonly sequence: bigint | undefined
}

/** A federated domain without a bundle in force, and why. */
export interface MissingBundle {
  readonly relationship: string
  readonly trustDomain: TrustDomain
  readonly reason: string
}

interface PeerSnapshot {
  readonly bundles: ReadonlyMap<TrustDomain, PeerBundle>
  readonly missing: readonly MissingBundle[]
  readonly groups: ReadonlyMap<string, ReadonlySet<TrustDomain>>
  /** The meshes of this service whose published bundles are in it. */
  readonly reads: ReadonlySet<MeshId>
}

interface Cached {
  readonly loading: Promise<PeerSnapshot>
  stale: boolean
  /** Known once loaded. */
  reads: ReadonlySet<MeshId> | undefined
}

/**
 * The peer bundles of each mesh, in memory until a relationship of it changes: one per trust domain, only of
 * active relationships, never pooled (FE-39). Of peers in this same service it is what they publish at that moment.
 *
 * While the database is away what was last known stays in force, as a failed fetch would not revoke it either.
 */
export class PeerBundles {
  readonly #db: Db
  readonly #cached = new Map<MeshId, Cached>()

  constructor(db: Db, changes: Pick<Changes, 'on'>) {
    this.#db = db
    changes.on('relationship', (meshId) => this.invalidate(meshId))
    changes.on('distrust', (meshId) => this.invalidate(meshId))
    changes.on('mesh', (meshId) => this.invalidate(meshId))
    // Our own keys are trusted of no peer.
    changes.on('bundle', (meshId) => {
      this.invalidate(meshId)
      this.#invalidateReaders(meshId)
    })
  }

  /** The bundles in force, by trust domain. */
  async of(meshId: MeshId): Promise<ReadonlyMap<TrustDomain, PeerBundle>> {
    return (await this.#snapshot(meshId)).bundles
  }

  /** The domains that this mesh federates with and of which no bundle is in force. */
  async missing(meshId: MeshId): Promise<readonly MissingBundle[]> {
    return (await this.#snapshot(meshId)).missing
  }

  /** The trust domains of the peers in each peer group, whatever their state. */
  async groups(meshId: MeshId): Promise<ReadonlyMap<string, ReadonlySet<TrustDomain>>> {
    return (await this.#snapshot(meshId)).groups
  }

  /** Reads again before the next answer; called on every change, at once on the replica that made it. */
  invalidate(meshId: MeshId): void {
    const cached = this.#cached.get(meshId)
    if (cached !== undefined) cached.stale = true
  }

  /** Meshes that read this mesh's bundle here; one that is being loaded may be among them. */
  #invalidateReaders(meshId: MeshId): void {
    for (const cached of this.#cached.values()) {
      if (cached.reads?.has(meshId) ?? true) cached.stale = true
    }
  }

  async #snapshot(meshId: MeshId): Promise<PeerSnapshot> {
    const cached = this.#cached.get(meshId)
    if (cached !== undefined && !cached.stale) return cached.loading
    const fresh: Cached = { loading: this.#load(meshId, cached), stale: false, reads: undefined }
    this.#cached.set(meshId, fresh)
    try {
      const snapshot = await fresh.loading
      fresh.reads = snapshot.reads
      return snapshot
    } catch (error) {
      if (this.#cached.get(meshId) === fresh) this.#cached.delete(meshId)
      throw error
    }
  }

  async #load(meshId: MeshId, before: Cached | undefined): Promise<PeerSnapshot> {
    try {
      return await loadSnapshot(this.#db, meshId)
    } catch (error) {
      if (before === undefined || !isDatabaseAway(error)) throw error
      const last = await before.loading
      this.invalidate(meshId)
      return last
    }
  }
}

async function loadSnapshot(db: Db, meshId: MeshId): Promise<PeerSnapshot> {
  const relationships = await relationshipsOf(db, meshId)
  const local = await listLocalBundles(db, meshId)
  const rows = [...(await listActiveBundles(db, meshId)), ...local]
  const { digests } = await loadDistrust(db, meshId)
  const bundles = new Map(rows.map((row) => [row.trustDomain, peerBundleOf(row, digests)]))
  const missing = relationships
    .filter(({ state }) => state !== 'terminated')
    .flatMap(({ name, state, trustDomains, waitingFor }) =>
      trustDomains
        .filter((trustDomain) => !bundles.has(trustDomain))
        .map((trustDomain) => ({
          relationship: name,
          trustDomain,
          reason: whyMissing({ name, state, trustDomain, waitingFor }),
        })),
    )
  const reads = new Set(local.map((row) => row.meshId))
  return { bundles, missing, groups: await listGroupDomains(db, meshId), reads }
}

function whyMissing(about: {
  readonly name: string
  readonly state: RelationshipState
  readonly trustDomain: TrustDomain
  readonly waitingFor: readonly string[]
}): string {
  const { name, state, trustDomain, waitingFor } = about
  if (state === 'active') return `relationship ${name} has no bundle of ${trustDomain} yet`
  const waits = `waits for ${waitingFor.join(', ')}`
  return state === 'pending'
    ? `relationship ${name} ${waits}`
    : `relationship ${name} is ${state} and ${waits}`
}

type InForceRow = Pick<ActiveBundleRow, 'trustDomain' | 'relationship' | 'document'>

function peerBundleOf(row: InForceRow, distrusted: KeyDigests): PeerBundle {
  const read = readDocument(row.trustDomain, row.document)
  const bundle = effectiveBundle(read.bundle, distrusted)
  return {
    trustDomain: row.trustDomain,
    relationship: row.relationship,
    document: writeBundle(bundle),
    bundle,
    sequence: bundle.sequence,
  }
}
