import { recordAudit } from '../../audit/record.ts'
import { type Db } from '../../db/schema.ts'
import { type Bundle, writeBundle } from '../../spiffe/bundle.ts'
import { type Held, readDocument } from './accept-bundle.ts'
import { type Anchors, anchorsIn } from './anchors.ts'
import { diffBundles } from '../trust/bundle-diff.ts'
import { type WaitingBundle } from './claim-store.ts'
import { effectiveBundle } from '../trust/effective-bundle.ts'
import { dropWaiting, findWaiting } from '../peer-bundle/quarantine-store.ts'
import { insertRevision, nextNumber, retireCurrent } from '../peer-bundle/revision-store.ts'
import { type InForce, type Storing } from './storing.ts'

/**
 * Stores a document that waits for a person, in the place of one that waited before, and drops at once what of the
 * bundle in use it no longer has (BU-17); nothing else of it is used. One audit record tells both.
 */
export async function storeHeld(trx: Db, storing: Storing, held: Held): Promise<InForce> {
  const { task, previous } = storing
  const waiting =
    held.before === undefined
      ? await insertWaiting(trx, storing, held)
      : await waitingNow(trx, storing)
  if (held.reduced !== undefined) {
    await insertReduced(trx, storing, { held, reduced: held.reduced })
  }
  await recordHeld(trx, storing, held)
  return {
    hintSeconds: previous?.hintSeconds,
    // Only the document in use may be confirmed by its ETag, and a reduced one never had one.
    httpEtag: held.reduced === undefined ? task.httpEtag : undefined,
    anchors: anchorsOf(storing, held),
    waiting,
  }
}

async function insertWaiting(
  trx: Db,
  { task, served, now }: Storing,
  { read, warnings, reason }: Held,
): Promise<WaitingBundle> {
  const n = await nextNumber(trx, task.meshId, task)
  await dropWaiting(trx, task.meshId, { key: task, reason: `replaced by revision ${n}`, at: now })
  await insertRevision(trx, task.meshId, {
    key: task,
    revision: {
      n,
      sequence: read.bundle.sequence,
      hintSeconds: read.bundle.refreshHintSeconds,
      document: read.document,
      digest: read.digest,
      receivedAt: now,
      verifiedBy: served.verifiedBy,
      origin: 'fetched',
      disposition: 'quarantined',
      reason: [reason, ...warnings].join('; ').slice(0, 1000),
    },
  })
  return { n, digest: read.digest, reason }
}

async function waitingNow(trx: Db, { task }: Storing): Promise<WaitingBundle | undefined> {
  const found = await findWaiting(trx, task.meshId, task)
  if (found === undefined) return undefined
  return { n: found.n, digest: found.digest, reason: found.reason ?? '' }
}

async function insertReduced(
  trx: Db,
  { task, served, now }: Storing,
  { held, reduced }: { readonly held: Held; readonly reduced: Bundle },
): Promise<void> {
  const { document, digest, bundle } = readDocument(task.trustDomain, writeBundle(reduced))
  const n = await nextNumber(trx, task.meshId, task)
  const offered = Buffer.from(held.read.digest).toString('hex')
  await retireCurrent(trx, task.meshId, { key: task, to: 'superseded', at: now })
  await insertRevision(trx, task.meshId, {
    key: task,
    revision: {
      n,
      sequence: bundle.sequence,
      hintSeconds: bundle.refreshHintSeconds,
      document,
      digest,
      receivedAt: now,
      verifiedBy: served.verifiedBy,
      origin: 'reduced',
      disposition: 'current',
      reason: `what the document with digest ${offered} still has of the bundle in use before`,
    },
  })
}

function anchorsOf({ task, previous, distrusted }: Storing, { reduced }: Held): Anchors {
  const bundle = reduced ?? (previous && readDocument(task.trustDomain, previous.document).bundle)
  return anchorsIn(bundle === undefined ? [] : effectiveBundle(bundle, distrusted).x509Authorities)
}

/** Under which action a verdict that is stored stands in the audit log. */
export function auditActionOf(
  verdict: { readonly kind: 'accepted' } | Pick<Held, 'kind' | 'before'>,
) {
  if (verdict.kind === 'accepted') return 'peer-bundle.accept'
  return verdict.before === undefined ? 'peer-bundle.quarantine' : 'peer-bundle.reduce'
}

async function recordHeld(
  trx: Db,
  { task, relationship, previous, served, now }: Storing,
  { read, reason, reduced, before: heldBefore, warnings }: Held,
): Promise<void> {
  const before = previous && readDocument(task.trustDomain, previous.document).bundle
  const { added, kept } = diffBundles(before, read.bundle)
  await recordAudit(trx, {
    meshId: task.meshId,
    actor: served.actor,
    action: auditActionOf({ kind: 'held', before: heldBefore }),
    object: `relationship/${relationship.name}/bundles/${task.trustDomain}`,
    at: now,
    body: {
      trustDomain: task.trustDomain,
      reason,
      sequenceInUse: before?.sequence ?? null,
      sequence: read.bundle.sequence ?? null,
      digest: Buffer.from(read.digest).toString('hex'),
      heldBack: added,
      dropped: reduced === undefined ? [] : diffBundles(before, reduced).removed,
      kept,
      warnings: warnings.slice(0, 20),
      verifiedBy: served.verifiedBy,
    },
  })
}
