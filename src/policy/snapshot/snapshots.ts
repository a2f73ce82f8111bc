import { type Changes } from '../../db/changes.ts'
import { type Db, inTransaction } from '../../db/connect.ts'
import { type MeshId } from '../../db/ids.ts'
import { isServiceError, messageOf } from '../../errors.ts'
import { loadNextSnapshot, loadSnapshot } from './load-snapshot.ts'
import { type Snapshot, sumOf } from './snapshot.ts'
import { readRevisions } from './change-log-store.ts'

/** What {@link Snapshots} needs. */
export interface SnapshotsOptions {
  readonly db: Db
  readonly log: { warn(fields: object, message: string): void }
  /** Counts builds; a mesh that is not there is none. */
  readonly onBuild?: (outcome: 'built' | 'failed') => void
}

/** Meshes whose snapshots are held at once; the least recently asked for goes first. */
const MAX_HELD = 256

/**
 * The current snapshot of each mesh that is asked about.
 *
 * The next one is built off to the side while the one in use goes on answering, then takes its place whole: a
 * decision never sees half of a change, and a build that fails leaves what there was.
 */
export class Snapshots {
  readonly #options: SnapshotsOptions
  readonly #held = new Map<MeshId, Snapshot>()
  readonly #building = new Map<MeshId, Promise<Snapshot>>()

  constructor(options: SnapshotsOptions) {
    this.#options = options
  }

  /** Follows what decisions depend on, so that a mesh in use is rebuilt before somebody asks. */
  follow(changes: Pick<Changes, 'on'>): void {
    for (const topic of ['mesh', 'relationship', 'rule'] as const) {
      changes.on(topic, (meshId) => this.#renew(meshId))
    }
  }

  /** The snapshot as it stands in the database now; throws NOT_FOUND, DATABASE_UNAVAILABLE. */
  async current(meshId: MeshId): Promise<Snapshot> {
    const revision = sumOf(await readRevisions(this.#options.db, meshId))
    const held = this.#held.get(meshId)
    if (held === undefined || held.revision < revision) return this.#atLeast(meshId, revision)
    this.#hold(held)
    return held
  }

  /** The last snapshot that was built, without asking the database whether it still stands. */
  held(meshId: MeshId): Snapshot | undefined {
    return this.#held.get(meshId)
  }

  // A build that began before the revision was reached is waited for and followed by one that begins after it.
  async #atLeast(meshId: MeshId, revision: bigint): Promise<Snapshot> {
    const snapshot = await this.#build(meshId)
    return snapshot.revision < revision ? this.#build(meshId) : snapshot
  }

  #renew(meshId: MeshId): void {
    if (!this.#held.has(meshId)) return
    this.current(meshId).catch((error: unknown) => {
      this.#options.log.warn(
        { event: 'policy.snapshot-kept', meshId, error: messageOf(error) },
        'the next policy snapshot could not be built; the one in use stays',
      )
    })
  }

  #build(meshId: MeshId): Promise<Snapshot> {
    const running = this.#building.get(meshId)
    if (running !== undefined) return running
    const build = this.#counted(this.#load(meshId)).finally(() => this.#building.delete(meshId))
    this.#building.set(meshId, build)
    return build
  }

  async #counted(build: Promise<Snapshot>): Promise<Snapshot> {
    const { onBuild } = this.#options
    try {
      const snapshot = await build
      onBuild?.('built')
      return snapshot
    } catch (error) {
      if (!isServiceError(error, 'NOT_FOUND')) onBuild?.('failed')
      throw error
    }
  }

  async #load(meshId: MeshId): Promise<Snapshot> {
    const held = this.#held.get(meshId)
    const snapshot = await inTransaction(
      this.#options.db,
      (trx) => (held === undefined ? loadSnapshot(trx, meshId) : loadNextSnapshot(trx, held)),
      { isolation: 'repeatable read' },
    )
    this.#hold(snapshot)
    return snapshot
  }

  #hold(snapshot: Snapshot): void {
    this.#held.delete(snapshot.meshId)
    this.#held.set(snapshot.meshId, snapshot)
    const [oldest] = this.#held.keys()
    if (this.#held.size > MAX_HELD && oldest !== undefined) this.#held.delete(oldest)
  }
}
