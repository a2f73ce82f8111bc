import { createHash } from 'node:crypto'
import { type ChangeContext, recordAudit } from '../audit/record.ts'
import { unixSeconds } from '../clock.ts'
import { bumpChange } from '../db/changes.ts'
import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import { lockTrustDomain } from '../mesh/find-mesh.ts'
import { type Bundle, writeBundle } from '../spiffe/bundle.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import type { BundleRevision } from './revision.ts'
import { findCurrent, insertRevision } from './store.ts'

/** What a trust domain's bundle is to hold from now on. */
export interface Publication {
  readonly trustDomain: TrustDomain
  readonly x509Authorities: Bundle['x509Authorities']
  readonly jwtAuthorities: Bundle['jwtAuthorities']
  readonly hintSeconds: number
  /** Why, in words; for the revision and the audit record. */
  readonly cause: string
  readonly context: ChangeContext
}

/** The revision that a publication led to. */
export interface Published {
  readonly sequence: bigint
  /** Whether there is a new revision; false when the bundle said all of it already. */
  readonly changed: boolean
}

/**
 * Publishes a bundle in the caller's transaction: a new revision with a larger sequence, the exact bytes that
 * will be served, an audit record and a change for every replica.
 *
 * The sequence is the larger of the previous one plus one and the Unix time, so that a restored or re-created
 * domain never falls below what peers hold (BU-03, FE-37). Nothing is published when nothing changed. Throws
 * NOT_FOUND when the mesh has no such trust domain.
 */
export async function publishBundle(
  trx: Db,
  meshId: MeshId,
  publication: Publication,
): Promise<Published> {
  const { trustDomain, context } = publication
  await lockTrustDomain(trx, meshId, trustDomain)
  const previous = await findCurrent(trx, meshId, trustDomain)
  if (previous !== undefined && saysTheSame(previous, publication)) {
    return { sequence: previous.sequence, changed: false }
  }
  const sequence = nextSequence(previous?.sequence, context.now)
  const document = documentOf(publication, sequence)
  const digest = createHash('sha256').update(document).digest()
  await insertRevision(trx, {
    meshId,
    trustDomain,
    sequence,
    document,
    digest,
    hintSeconds: publication.hintSeconds,
    cause: publication.cause,
    createdAt: context.now,
  })
  await recordAudit(trx, {
    at: context.now,
    meshId,
    actor: context.actor,
    action: 'bundle.publish',
    object: `bundle/${trustDomain}`,
    body: {
      sequence: sequence.toString(),
      sha256: digest.toString('hex'),
      cause: publication.cause,
      hintSeconds: publication.hintSeconds,
      x509Authorities: publication.x509Authorities.length,
      jwtAuthorities: publication.jwtAuthorities.length,
    },
  })
  await bumpChange(trx, meshId, 'bundle')
  return { sequence, changed: true }
}

/** The sequence after `previous` at a moment (BU-03). */
export function nextSequence(previous: bigint | undefined, now: Date): bigint {
  const seconds = BigInt(unixSeconds(now))
  const least = (previous ?? 0n) + 1n
  return seconds > least ? seconds : least
}

function documentOf(publication: Publication, sequence: bigint): Uint8Array {
  return writeBundle({
    trustDomain: publication.trustDomain,
    sequence,
    refreshHintSeconds: publication.hintSeconds,
    x509Authorities: publication.x509Authorities,
    jwtAuthorities: publication.jwtAuthorities,
  })
}

function saysTheSame(previous: BundleRevision, publication: Publication): boolean {
  const again = documentOf(publication, previous.sequence)
  return Buffer.from(again).equals(previous.document)
}
