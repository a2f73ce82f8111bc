import type { MeshId } from '../../db/ids.ts'
import type { Db } from '../../db/schema.ts'
import { type QuotaKind, quotaExceeded } from './quota.ts'
import { countUsed, lockQuotas } from './quota-store.ts'

/** What is about to be made. */
export interface Addition {
  readonly kind: Exclude<QuotaKind, 'svidsPerDay'>
  /** Namespaces that it will count in, beside the mesh: one that several of them lie in stands as often. */
  readonly namespaces?: readonly string[]
  /** How many more in the mesh; default one. */
  readonly count?: number
}

/**
 * Refuses what would go over a quota of the mesh or of a namespace, before it is written and in the same transaction.
 *
 * The row of the quota is locked until the transaction ends, so of two writers at once the second counts what the
 * first one made; without a quota nothing is locked or counted. Throws QUOTA_EXCEEDED.
 */
export async function requireQuota(
  trx: Db,
  meshId: MeshId,
  { kind, namespaces = [], count = 1 }: Addition,
): Promise<void> {
  const added = new Map<string, number>()
  for (const name of namespaces) added.set(name, (added.get(name) ?? 0) + 1)
  const quotas = await lockQuotas(trx, meshId, { kind, namespaces: [...added.keys()] })
  for (const { namespace, max } of quotas) {
    const more = namespace === undefined ? count : (added.get(namespace) ?? 0)
    if (more === 0) continue
    const found = await countUsed(trx, { meshId, namespace }, kind)
    if (found + more > max) throw quotaExceeded({ meshId, namespace, kind, found, limit: max })
  }
}
