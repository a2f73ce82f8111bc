import { type MeshId } from '../db/ids.ts'
import { type Db } from '../db/schema.ts'
import { type SpiffeId } from '../spiffe/spiffe-id.ts'
import { countOfReporter, deleteReporter } from './reporter-store.ts'

/** Who reports endpoints, and the cluster that it is tied to; undefined = none, so it reports nothing. */
export interface Reporter {
  readonly reporter: SpiffeId
  readonly cluster: string | undefined
}

/**
 * Drops everything that a reporter reported of a cluster, in the caller's transaction, and answers with how many
 * endpoints that were: what nobody vouches for any more does not wait until it is stale.
 */
export async function forgetReporter(
  trx: Db,
  meshId: MeshId,
  { reporter, cluster }: Reporter,
): Promise<number> {
  if (cluster === undefined) return 0
  const of = { reporter, cluster }
  const count = await countOfReporter(trx, meshId, of)
  await deleteReporter(trx, meshId, of)
  return count
}
