import { addSeconds } from '../../clock.ts'
import type { Db } from '../../db/schema.ts'
import { NAMESPACE_QUOTA_KINDS, QUOTA_KINDS, type QuotaKind, type QuotaOwner } from './quota.ts'
import * as store from './quota-store.ts'

/** UTC days that an answer about usage goes back. */
export const USAGE_DAYS = 31

/** What a mesh or a namespace uses. */
export interface Usage {
  readonly counters: readonly {
    readonly kind: QuotaKind | 'endpoints'
    readonly used: bigint
    /** Undefined = no limit. */
    readonly limit: number | undefined
  }[]
  /** Newest first; days without any are left out. */
  readonly svids: readonly { readonly day: string; readonly issued: bigint }[]
}

/** What a mesh or a namespace uses now, and SVIDs by day; the replicas add up SVIDs every ten seconds. */
export async function usageOf(db: Db, owner: QuotaOwner, now: Date): Promise<Usage> {
  const limits = await store.findLimits(db, owner)
  const since = dayOf(addSeconds(now, -(USAGE_DAYS - 1) * 86_400))
  const svids = await store.issuedByDay(db, owner, { since })
  const kinds = owner.namespace === undefined ? QUOTA_KINDS : NAMESPACE_QUOTA_KINDS
  const counters = []
  for (const kind of [...kinds, 'endpoints'] as const) {
    const used =
      kind === 'svidsPerDay'
        ? (svids.find(({ day }) => day === dayOf(now))?.issued ?? 0n)
        : BigInt(await store.countUsed(db, owner, kind))
    counters.push({ kind, used, limit: kind === 'endpoints' ? undefined : limits[kind] })
  }
  return { counters, svids }
}

/** The UTC day of a moment: `2026-01-31`. */
export function dayOf(at: Date): string {
  return at.toISOString().slice(0, 10)
}
