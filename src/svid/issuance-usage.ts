import { namespaceOfId, quotaExceeded } from '../access/quota/quota.ts'
import { dayOf } from '../access/quota/usage.ts'
import { addSeconds, type Clock } from '../clock.ts'
import { type Db } from '../db/schema.ts'
import { addIssued, type DailyQuota, dailyQuotas, deleteOldUsage } from './usage-store.ts'

/** Milliseconds after which counts are stored and those of other replicas are read. */
export const USAGE_EVERY_MS = 10_000

/** Days for which counts are kept. */
const KEPT_DAYS = 400

/** Whose SVID it is. */
export interface Issuee {
  readonly meshId: string
  readonly spiffeId: string
}

/**
 * Counts SVIDs by mesh and namespace in the memory of this process, and holds them against the quotas of SVIDs a day.
 *
 * Nothing on the issuing path reads or writes a row: {@link refresh} adds up what was issued and reads what all
 * replicas issued, every ten seconds, so a quota can be overrun by what the other replicas issue in that time, and a
 * process that is killed takes the counts of its last ten seconds with it. All SVIDs count; only those by new evidence
 * are refused. Renewals, and JWT-SVIDs for a workload that has an X509-SVID, go on: a tenant at its limit grows no more,
 * and does not go down.
 */
export class IssuanceUsage {
  readonly #clock: Clock
  /** By day, mesh and namespace; not stored yet. */
  #pending = new Map<string, number>()
  /** Being stored now; counted here until the totals that hold them are read. */
  #storing: ReadonlyMap<string, number> = new Map()
  /** By mesh and namespace, '' for the whole mesh. */
  #quotas: ReadonlyMap<string, DailyQuota> = new Map()
  #day = ''

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Notes that an SVID was issued. */
  count({ meshId, spiffeId }: Issuee): void {
    const key = [this.#today(), meshId, namespaceOfId(spiffeId) ?? ''].join('/')
    this.#pending.set(key, (this.#pending.get(key) ?? 0) + 1)
  }

  /** Refuses a first SVID once the mesh or the namespace has had its SVIDs of the day; throws QUOTA_EXCEEDED. */
  requireRoom({ meshId, spiffeId }: Issuee): void {
    const own = namespaceOfId(spiffeId)
    for (const namespace of own === undefined ? [''] : ['', own]) {
      const quota = this.#quotas.get(`${meshId}/${namespace}`)
      if (quota === undefined) continue
      const found = this.#used(quota)
      if (found < quota.max) continue
      throw quotaExceeded({
        meshId,
        namespace: namespace === '' ? undefined : namespace,
        kind: 'svidsPerDay',
        found,
        limit: quota.max,
      })
    }
  }

  /** Stores what was counted and reads quotas and totals; what could not be stored is kept for the next time. */
  async refresh(db: Db): Promise<void> {
    this.#storing = this.#pending
    this.#pending = new Map()
    try {
      await this.#store(db)
      const day = this.#today()
      const quotas = await dailyQuotas(db, day)
      this.#quotas = new Map(quotas.map((quota) => [`${quota.meshId}/${quota.namespace}`, quota]))
      this.#day = day
    } finally {
      this.#storing = new Map()
    }
  }

  async #store(db: Db): Promise<void> {
    if (this.#storing.size === 0) return
    try {
      await addIssued(db, [...this.#storing].map(countOf))
    } catch (error) {
      for (const [key, n] of this.#storing) {
        this.#pending.set(key, (this.#pending.get(key) ?? 0) + n)
      }
      throw error
    }
  }

  /** Stored by all replicas at the last refresh, and counted here since. */
  #used({ meshId, namespace, used }: DailyQuota): number {
    const today = this.#today()
    // In the first seconds of a day what was read is yesterday's.
    let sum = this.#day === today ? Number(used) : 0
    for (const counts of [this.#pending, this.#storing]) {
      sum += sumOf(counts, { start: `${today}/${meshId}/`, namespace })
    }
    return sum
  }

  #today(): string {
    return dayOf(this.#clock.now())
  }
}

/** Forgets counts that are older than 400 days; answers how many. */
export async function pruneUsage(db: Db, now: Date): Promise<number> {
  return deleteOldUsage(db, dayOf(addSeconds(now, -KEPT_DAYS * 86_400)))
}

function sumOf(
  counts: ReadonlyMap<string, number>,
  { start, namespace }: { readonly start: string; readonly namespace: string },
): number {
  if (namespace !== '') return counts.get(start + namespace) ?? 0
  let sum = 0
  for (const [key, n] of counts) if (key.startsWith(start)) sum += n
  return sum
}

function countOf([key, issued]: readonly [string, number]) {
  const [day = '', meshId = '', namespace = ''] = key.split('/')
  return { day, meshId, namespace, issued }
}
