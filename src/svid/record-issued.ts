import { recordAudit, recordBytes } from '../audit/record.ts'
import { type Db, inTransaction } from '../db/connect.ts'
import { type MeshId } from '../db/ids.ts'
import { Batch } from '../batch.ts'
import { digestOf, type IssuedRecord, type IssuedSvid } from './issued.ts'
import {
  findIssued,
  insertIssued,
  insertWhole,
  type IssuedKey,
  shareTrustDomains,
} from './issued-store.ts'

/** The actor of records of issued SVIDs. */
const ACTOR = 'listener:workload'

/**
 * Records SVIDs in the caller's transaction, with one audit record per mesh that holds their count and digest.
 *
 * Answers for each whether it was recorded: not when its authority stopped being active or its entry is gone,
 * and then it must not be handed out.
 */
export async function recordIssued(
  trx: Db,
  issued: readonly IssuedSvid[],
): Promise<readonly boolean[]> {
  await shareTrustDomains(trx, [...new Set(issued.map(({ trustDomain }) => trustDomain))])
  const recorded = await insertIssued(trx, issued)
  const kept = issued.filter(({ serial }) => recorded.has(serial))
  for (const entry of auditOf(kept)) await recordAudit(trx, entry)
  return issued.map(({ serial }) => recorded.has(serial))
}

/** The same by one statement where nothing changed meanwhile, which is nearly always. */
async function recordTogether(db: Db, issued: readonly IssuedSvid[]): Promise<readonly boolean[]> {
  const audits = auditOf(issued).map((entry) => ({ ...entry, body: recordBytes(entry) }))
  if (await insertWhole(db, issued, audits)) return issued.map(() => true)
  return inTransaction(db, (trx) => recordIssued(trx, issued))
}

/** Records that wait at the same moment, stored by one transaction; each resolves after its commit. */
export class IssuedWriter {
  readonly #batch: Batch<IssuedSvid, boolean>

  constructor(db: Db) {
    this.#batch = new Batch({
      name: 'the record of issued SVIDs',
      run: (issued) => recordTogether(db, issued),
      most: 256,
      mostWaiting: 10_000,
    })
  }

  /** False when the SVID must not be handed out; see {@link recordIssued}. */
  add(issued: IssuedSvid): Promise<boolean> {
    return this.#batch.add(issued)
  }
}

/** Looks up the records of SVIDs that are shown to us, those of the same moment by one statement. */
export class IssuedReader {
  readonly #batch: Batch<IssuedKey, IssuedRecord | undefined>

  constructor(db: Db) {
    this.#batch = new Batch({
      name: 'the record of issued SVIDs',
      run: (keys) => findIssued(db, keys),
      most: 256,
      mostWaiting: 10_000,
    })
  }

  /** The record of an X509-SVID; undefined when we did not issue it, or long ago. */
  find(key: IssuedKey): Promise<IssuedRecord | undefined> {
    return this.#batch.add(key)
  }
}

/** One audit record per mesh. */
function auditOf(issued: readonly IssuedSvid[]) {
  return [...byMesh(issued)].map(([meshId, ofMesh]) => ({
    meshId,
    at: ofMesh[0]?.issuedAt ?? new Date(0),
    actor: ACTOR,
    action: 'svid.issue',
    object: `svid/${[...new Set(ofMesh.map(({ kind }) => kind))].toSorted().join('+')}`,
    body: { count: ofMesh.length, digest: digestOf(ofMesh) },
  }))
}

function byMesh(issued: readonly IssuedSvid[]): Map<MeshId, IssuedSvid[]> {
  const groups = new Map<MeshId, IssuedSvid[]>()
  for (const svid of issued) {
    const group = groups.get(svid.meshId)
    if (group === undefined) groups.set(svid.meshId, [svid])
    else group.push(svid)
  }
  return groups
}
