import { createHash } from 'node:crypto'
import { nextSequence } from '../../bundle/publish.ts'
import { findCurrentBundle } from '../../bundle/find-bundle.ts'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type Bundle, writeBundle } from '../../spiffe/bundle.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { loadDistrust } from '../trust/distrust-store.ts'
import { effectiveBundle } from '../trust/effective-bundle.ts'
import { bundleIn, type HeldBundle } from '../poll/held-bundles.ts'
import { findHeldByRelay } from '../poll/held-store.ts'
import { findRelayed, lockRelay, type RelayedBundle, saveRelayed } from './relay-store.ts'

/** Which relay, at whose address, and when. */
export interface RelayRequest {
  readonly relayId: string
  /** Ours: its hint bounds the peer's, so that a change of standing reaches our control planes as soon. */
  readonly ownTrustDomain: TrustDomain
  readonly now: Date
}

/**
 * The peer's bundle as this mesh accepts it now, for the mesh's own control planes, with our own sequence: a new one
 * only when the content changes, so that all replicas answer alike. Undefined when nothing is to be told: the
 * relationship is deleted, or was never active.
 *
 * Without active standing there are no keys in it. An answer of 404 would leave what was read before in force.
 */
export async function relayNow(
  trx: Db,
  meshId: MeshId,
  request: RelayRequest,
): Promise<RelayedBundle | undefined> {
  // Whoever waits here reads what the other's turn left behind, and every change that committed before it ended.
  if (!(await lockRelay(trx, meshId, request.relayId))) return undefined
  const held = await findHeldByRelay(trx, meshId, request.relayId)
  if (held === undefined || (held.state !== 'active' && !held.wasActive)) return undefined
  const content = await contentOf(trx, meshId, { held, request })
  const digest = createHash('sha256').update(writeBundle(content)).digest()
  const previous = await findRelayed(trx, meshId, request.relayId)
  if (previous !== undefined && digest.equals(previous.digest)) return previous
  const sequence = nextSequence(previous?.sequence, request.now)
  const relayed: RelayedBundle = {
    meshId,
    relayId: request.relayId,
    trustDomain: held.trustDomain,
    sequence,
    hintSeconds: content.refreshHintSeconds ?? DEFAULT_HINT_SECONDS,
    document: writeBundle({ ...content, sequence }),
    digest,
    changedAt: request.now,
  }
  await saveRelayed(trx, relayed)
  return relayed
}

const DEFAULT_HINT_SECONDS = 300

async function contentOf(
  trx: Db,
  meshId: MeshId,
  { held, request }: { readonly held: HeldBundle; readonly request: RelayRequest },
): Promise<Bundle> {
  const published = await findCurrentBundle(trx, meshId, request.ownTrustDomain)
  const own = published?.hintSeconds ?? DEFAULT_HINT_SECONDS
  const bundle = held.state === 'active' ? bundleIn(held) : undefined
  if (bundle === undefined) return emptyBundle(held.trustDomain, own)
  const { digests } = await loadDistrust(trx, meshId)
  const theirs = bundle.refreshHintSeconds ?? own
  return {
    ...effectiveBundle(bundle, digests),
    sequence: undefined,
    refreshHintSeconds: Math.min(theirs, own),
  }
}

function emptyBundle(trustDomain: TrustDomain, refreshHintSeconds: number): Bundle {
  return {
    trustDomain,
    sequence: undefined,
    refreshHintSeconds,
    x509Authorities: [],
    jwtAuthorities: [],
  }
}
