import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { readDocument } from '../poll/accept-bundle.ts'
import { anchorsIn } from '../poll/anchors.ts'
import { loadDistrust } from '../trust/distrust-store.ts'
import { effectiveBundle, type KeyDigests } from '../trust/effective-bundle.ts'
import { coverageOf } from './forecast.ts'
import { type ForecastDue, listForecastsDue, saveForecasts } from './forecast-table-store.ts'

/** Documents read by one statement. */
const BATCH = 100

/** Most documents of one run; the rest waits for the next. */
const MOST = 5000

/**
 * Writes down how long each bundle in use lasts, once per revision, so that alerts and metrics are a query over
 * moments and never parse a certificate. Distrusted keys are left out. Answers how many were computed.
 */
export async function computeForecasts(db: Db, now: Date): Promise<number> {
  let count = 0
  while (count < MOST) {
    const due = await listForecastsDue(db, { now, limit: BATCH })
    const distrusted = await distrustedKeysOf(db, due)
    const computed = due.map((one) => ({
      due: one,
      coverage: coverageOf(authoritiesOf(one, distrusted.get(one.meshId) ?? new Set()), now),
    }))
    if (computed.length > 0) await saveForecasts(db, computed, now)
    count += due.length
    if (due.length < BATCH) break
  }
  return count
}

async function distrustedKeysOf(
  db: Db,
  due: readonly ForecastDue[],
): Promise<ReadonlyMap<MeshId, KeyDigests>> {
  const found = new Map<MeshId, KeyDigests>()
  for (const { meshId } of due) {
    if (!found.has(meshId)) found.set(meshId, (await loadDistrust(db, meshId)).digests)
  }
  return found
}

function authoritiesOf({ trustDomain, document }: ForecastDue, distrusted: KeyDigests) {
  const { bundle } = readDocument(trustDomain, document)
  return anchorsIn(effectiveBundle(bundle, distrusted).x509Authorities).windows
}
