import { sql } from 'kysely'
import { messageOf } from '../errors.ts'
import type { Clock } from '../clock.ts'
import { type Ticker, startTicker } from '../ticker.ts'
import type { Database } from './connect.ts'
import type { MeshId } from './ids.ts'
import type { DatabaseLog } from './log.ts'
import type { Db } from './schema.ts'
import { leaveTransaction } from './transaction-scope.ts'

/** What can change in a mesh; one counter each. */
export const TOPICS = ['mesh', 'bundle', 'relationship', 'distrust', 'entry', 'rule'] as const
/** One of {@link TOPICS}. */
export type Topic = (typeof TOPICS)[number]

/** The NOTIFY channel; payload `<topic> <mesh id>`, under 80 bytes. */
const CHANNEL = 'entente_change'

/** An object that decisions depend on, as the log of changes names it. */
export interface ChangedObject {
  readonly kind: 'service' | 'offer' | 'rule'
  /** Its key among objects of its kind in the mesh. */
  readonly key: string
}

/** Most objects that one change names; a larger one is logged as `all`. */
const MAX_NAMED = 1000

/**
 * Tells every replica, once the transaction commits, that something of a mesh changed.
 *
 * Raises the topic's counter, so that a replica that missed the NOTIFY finds out by comparing. Never on the
 * issuing path.
 */
export async function bumpChange(trx: Db, meshId: MeshId, topic: Topic): Promise<void> {
  const revision = await raise(trx, meshId, topic)
  if (topic === 'rule') await logObjects(trx, meshId, { revision, objects: [] })
}

/**
 * As {@link bumpChange} for the topic `rule`, naming what changed, so that the next policy snapshot is built from
 * the last one.
 */
export async function bumpObjects(
  trx: Db,
  meshId: MeshId,
  objects: readonly ChangedObject[],
): Promise<void> {
  await logObjects(trx, meshId, { revision: await raise(trx, meshId, 'rule'), objects })
}

async function raise(trx: Db, meshId: MeshId, topic: Topic): Promise<bigint> {
  const { rows } = await sql<{ revision: bigint }>`
    with bumped as (
      insert into change (mesh_id, topic, revision) values (${meshId}, ${topic}, 1)
      on conflict (mesh_id, topic) do update set revision = change.revision + 1
      returning revision
    )
    select revision, pg_notify(${CHANNEL}, ${`${topic} ${meshId}`}) from bumped`.execute(trx)
  const [bumped] = rows
  if (bumped === undefined) throw new Error('a change counter was not raised')
  return bumped.revision
}

async function logObjects(
  trx: Db,
  meshId: MeshId,
  { revision, objects }: { readonly revision: bigint; readonly objects: readonly ChangedObject[] },
): Promise<void> {
  const isNamed = objects.length > 0 && objects.length <= MAX_NAMED
  const named = isNamed ? objects : [{ kind: 'all', key: '' }]
  await trx
    .insertInto('policy_change')
    .values(named.map(({ kind, key }) => ({ mesh_id: meshId, revision, kind, key })))
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}

/** Called after commit, outside any transaction; must not throw. */
export type Watcher = (meshId: MeshId) => void

/** What {@link Changes} needs. */
export interface ChangesOptions {
  readonly database: Database
  readonly clock: Clock
  readonly log: DatabaseLog & { error(fields: object, message: string): void }
}

/**
 * Hears of changes, from this and other replicas, by NOTIFY and by comparing counters once a second.
 *
 * `silentMs` tells how long the database has not been heard, for those who serve from memory.
 */
export class Changes {
  readonly #options: ChangesOptions
  readonly #watchers = new Map<Topic, Set<Watcher>>()
  readonly #seen = new Map<string, bigint>()
  #heardAt: number
  #ticker: Ticker | undefined
  #unlisten: (() => Promise<void>) | undefined

  constructor(options: ChangesOptions) {
    this.#options = options
    this.#heardAt = options.clock.monotonicMs()
  }

  /** Calls `watcher` after each change of the topic, also once per mesh for what was missed. */
  on(topic: Topic, watcher: Watcher): void {
    const watchers = this.#watchers.get(topic) ?? new Set()
    watchers.add(watcher)
    this.#watchers.set(topic, watchers)
  }

  /** Milliseconds since the database last answered a comparison. */
  get silentMs(): number {
    return this.#options.clock.monotonicMs() - this.#heardAt
  }

  async start(): Promise<void> {
    const { database, clock, log } = this.#options
    await this.#compare({ tell: false })
    this.#unlisten = await database.listen({
      channel: CHANNEL,
      log,
      onMessage: () => this.#ticker?.kick(),
      onReconnect: () => this.#ticker?.kick(),
    })
    this.#ticker = startTicker({
      name: 'changes',
      everyMs: 1000,
      jitter: 0,
      clock,
      log,
      run: () => this.#compare({ tell: true }),
    })
  }

  async stop(): Promise<void> {
    await this.#unlisten?.()
    await this.#ticker?.stop()
  }

  async #compare({ tell }: { tell: boolean }): Promise<void> {
    const rows = await this.#options.database.background
      .selectFrom('change')
      .select(['mesh_id', 'topic', 'revision'])
      .execute()
    this.#heardAt = this.#options.clock.monotonicMs()
    for (const row of rows) {
      const key = `${row.topic} ${row.mesh_id}`
      if (this.#seen.get(key) === row.revision) continue
      this.#seen.set(key, row.revision)
      if (tell) this.#tell(row.topic as Topic, row.mesh_id as MeshId)
    }
  }

  #tell(topic: Topic, meshId: MeshId): void {
    for (const watcher of this.#watchers.get(topic) ?? []) {
      try {
        leaveTransaction(() => watcher(meshId))
      } catch (error) {
        this.#options.log.error(
          { event: 'watcher.failed', topic, meshId, error: messageOf(error) },
          'a watcher failed',
        )
      }
    }
  }
}
