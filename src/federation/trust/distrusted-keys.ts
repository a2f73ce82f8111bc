import { type Changes } from '../../db/changes.ts'
import { isDatabaseAway } from '../../db/failures.ts'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { loadDistrust, type DistrustInForce } from './distrust-store.ts'
import { type KeyDigests } from './effective-bundle.ts'

interface Cached {
  readonly standing: DistrustInForce
  stale: boolean
}

/**
 * The keys that each mesh distrusts now, in memory until a change of them is heard (at most a second).
 *
 * A caller that knows the revision which the database had, as a claimed poll does, gets that one or a later one.
 * While the database is away what was last known stays in force.
 */
export class DistrustedKeys {
  readonly #cached = new Map<MeshId, Cached>()
  readonly #changes = new Map<MeshId, number>()

  constructor(changes: Pick<Changes, 'on'>) {
    // `bundle`: our own keys are among them.
    for (const topic of ['distrust', 'mesh', 'bundle'] as const) {
      changes.on(topic, (meshId) => this.invalidate(meshId))
    }
  }

  /** The digests of a mesh's distrusted keys; `db` may be a transaction, whose own changes are then seen. */
  async of(db: Db, meshId: MeshId, atLeast = 0n): Promise<KeyDigests> {
    const cached = this.#cached.get(meshId)
    const isFresh = cached !== undefined && !cached.stale && cached.standing.revision >= atLeast
    if (isFresh && !db.isTransaction) return cached.standing.digests
    return this.#read(db, meshId, cached)
  }

  /** Reads again before the next answer; called on every change, at once on the replica that made it. */
  invalidate(meshId: MeshId): void {
    this.#changes.set(meshId, this.#changesOf(meshId) + 1)
    const cached = this.#cached.get(meshId)
    if (cached !== undefined) cached.stale = true
  }

  async #read(db: Db, meshId: MeshId, cached: Cached | undefined): Promise<KeyDigests> {
    const heard = this.#changesOf(meshId)
    try {
      const standing = await loadDistrust(db, meshId)
      // A transaction may see what is never committed: it is not remembered.
      if (!db.isTransaction) {
        this.#cached.set(meshId, { standing, stale: heard !== this.#changesOf(meshId) })
      }
      return standing.digests
    } catch (error) {
      if (cached === undefined || !isDatabaseAway(error)) throw error
      return cached.standing.digests
    }
  }

  #changesOf(meshId: MeshId): number {
    return this.#changes.get(meshId) ?? 0
  }
}

const NONE: KeyDigests = new Set()

/** What a mesh distrusts now, with no statement where it never distrusted anything up to this revision. */
export async function distrustedAt(db: Db, meshId: MeshId, revision: bigint): Promise<KeyDigests> {
  return revision === 0n ? NONE : (await loadDistrust(db, meshId)).digests
}
