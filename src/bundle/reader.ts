import type { MeshId } from '../db/ids.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'

/** An address that a reader fetched from, and when last. */
export interface ReaderSource {
  readonly address: string
  readonly lastAt: Date
}

/** Somebody who fetches our bundle by a URL of its own, trusted back or not. */
export interface Reader {
  readonly meshId: MeshId
  readonly trustDomain: TrustDomain
  readonly id: string
  /** Unique in the trust domain. */
  readonly label: string
  readonly kind: 'relationship' | 'manual'
  readonly relationshipId: string | undefined
  readonly firstAt: Date | undefined
  readonly lastAt: Date | undefined
  readonly fetches: bigint
  /** The newest sequence that it certainly holds. */
  readonly sequence: bigint | undefined
  /** Addresses that it fetched from, the newest first, at most 16. */
  readonly sources: readonly ReaderSource[]
  /** The host by which it last came. */
  readonly lastHost: string | undefined
  readonly createdAt: Date
}

/** What a reader's fetches show. */
export type ReaderActivity = 'never' | 'once' | 'polling' | 'vanished'

/** A reader polls if it fetched twice and last within five hints; one that stopped has vanished. */
export function activityOf(
  reader: Pick<Reader, 'fetches' | 'lastAt'>,
  { hintSeconds, now }: { readonly hintSeconds: number; readonly now: Date },
): ReaderActivity {
  if (reader.lastAt === undefined || reader.fetches === 0n) return 'never'
  const silentSeconds = (now.getTime() - reader.lastAt.getTime()) / 1000
  if (silentSeconds > 5 * hintSeconds) return 'vanished'
  return reader.fetches === 1n ? 'once' : 'polling'
}
