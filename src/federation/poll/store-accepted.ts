import { recordAudit } from '../../audit/record.ts'
import { type Db } from '../../db/schema.ts'
import { readDocument, type Verdict } from './accept-bundle.ts'
import { anchorsIn } from './anchors.ts'
import { diffBundles } from '../trust/bundle-diff.ts'
import { dropWaiting } from '../peer-bundle/quarantine-store.ts'
import { effectiveBundle } from '../trust/effective-bundle.ts'
import { insertRevision, nextNumber, retireCurrent } from '../peer-bundle/revision-store.ts'
import { type InForce, type Storing } from './storing.ts'

type Accepted = Extract<Verdict, { kind: 'accepted' }>

/** Puts an accepted document in the place of the one in use, with its audit record; a waiting one is replaced. */
export async function storeAccepted(
  trx: Db,
  storing: Storing,
  { read, warnings }: Accepted,
): Promise<InForce> {
  const { task, served, now } = storing
  const { bundle, document, digest } = read
  const n = await nextNumber(trx, task.meshId, task)
  await retireCurrent(trx, task.meshId, { key: task, to: 'superseded', at: now })
  await dropWaiting(trx, task.meshId, { key: task, reason: `replaced by revision ${n}`, at: now })
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
      origin: 'fetched',
      disposition: 'current',
      reason: warnings.length === 0 ? undefined : warnings.join('; ').slice(0, 1000),
    },
  })
  await recordAcceptance(trx, storing, { kind: 'accepted', read, warnings })
  return {
    hintSeconds: bundle.refreshHintSeconds,
    httpEtag: served.etag,
    anchors: anchorsIn(effectiveBundle(bundle, storing.distrusted).x509Authorities),
    waiting: undefined,
  }
}

async function recordAcceptance(
  trx: Db,
  { task, relationship, previous, served, now }: Storing,
  { read, warnings }: Accepted,
): Promise<void> {
  const before =
    previous === undefined ? undefined : readDocument(task.trustDomain, previous.document).bundle
  await recordAudit(trx, {
    meshId: task.meshId,
    actor: served.actor,
    action: 'peer-bundle.accept',
    object: `relationship/${relationship.name}/bundles/${task.trustDomain}`,
    at: now,
    body: {
      trustDomain: task.trustDomain,
      sequenceBefore: before?.sequence ?? null,
      sequence: read.bundle.sequence ?? null,
      digest: Buffer.from(read.digest).toString('hex'),
      ...diffBundles(before, read.bundle),
      skipped: read.skipped.length,
      warnings: warnings.slice(0, 20),
      verifiedBy: served.verifiedBy,
      acceptedLowerSequence: served.acceptLowerSequence,
    },
  })
}
