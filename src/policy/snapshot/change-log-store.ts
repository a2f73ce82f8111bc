import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type Revisions } from './snapshot.ts'

/** One line of the log of what decisions depend on; `kind` `all` = more than was worth naming. */
export interface LoggedChange {
  readonly revision: bigint
  readonly kind: string
  readonly key: string
}

/** Which part of the log is wanted. */
export interface LogRange {
  /** The revision of the topic `rule` from which on (not itself). */
  readonly after: bigint
  /** The last one. */
  readonly upTo: bigint
  readonly limit: number
}

/** What changed in a range of revisions of the topic `rule`, oldest first. */
export async function listChanges(
  db: Db,
  meshId: MeshId,
  { after, upTo, limit }: LogRange,
): Promise<LoggedChange[]> {
  return db
    .selectFrom('policy_change')
    .select(['revision', 'kind', 'key'])
    .where('mesh_id', '=', meshId)
    .where('revision', '>', after)
    .where('revision', '<=', upTo)
    .orderBy('revision')
    .limit(limit)
    .execute()
}

/** Forgets what was logged before a moment; answers how many lines. */
export async function deleteChanges(db: Db, before: Date): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('policy_change')
    .where('at', '<', before)
    .executeTakeFirstOrThrow()
  return Number(numDeletedRows)
}

/** How far what decisions of a mesh depend on has come. */
export async function readRevisions(db: Db, meshId: MeshId): Promise<Revisions> {
  const rows = await db
    .selectFrom('change')
    .select(['topic', 'revision'])
    .where('mesh_id', '=', meshId)
    .where('topic', 'in', ['mesh', 'relationship', 'rule'])
    .execute()
  const of = (topic: string): bigint => rows.find((row) => row.topic === topic)?.revision ?? 0n
  return { mesh: of('mesh'), relationship: of('relationship'), rule: of('rule') }
}
