import { isForeignKeyViolation } from '../../db/failures.ts'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type FieldError, quoted, ServiceError } from '../../errors.ts'
import { relationshipsOf } from '../../federation/find-relationship.ts'
import { groupsOf } from '../../federation/group/peer-groups.ts'
import { clustersOf } from '../../mesh/find-mesh.ts'
import { type RuleDraft } from './rule.ts'

/** The ids of the relationships that a draft names; throws RULE_INVALID for those and groups that do not exist. */
export async function peerIdsOf(
  trx: Db,
  meshId: MeshId,
  { audience }: RuleDraft,
): Promise<string[]> {
  const { relationships = [], groups = [] } = audience
  const ids =
    relationships.length === 0
      ? new Map<string, string>()
      : new Map((await relationshipsOf(trx, meshId)).map(({ name, id }) => [name, id]))
  const known = groups.length === 0 ? [] : (await groupsOf(trx, meshId)).map(({ name }) => name)
  const fields = [
    ...missing(relationships, (name) => ids.has(name), 'relationship'),
    ...missing(groups, (name) => known.includes(name), 'group'),
  ]
  const [first] = fields
  if (first !== undefined) throw unknown(first.detail, fields)
  return relationships.flatMap((name) => ids.get(name) ?? [])
}

/** Refuses clusters that the mesh does not have: RULE_INVALID. */
export async function requireClusters(
  trx: Db,
  meshId: MeshId,
  { clusters = [] }: RuleDraft,
): Promise<void> {
  if (clusters.length === 0) return
  const known = new Set((await clustersOf(trx, meshId)).map(({ name }) => name))
  const fields = clusters.flatMap((name, index): FieldError[] =>
    known.has(name)
      ? []
      : [
          {
            in: 'body',
            pointer: `/clusters/${index}`,
            detail: `there is no cluster ${quoted(name)}`,
          },
        ],
  )
  const [first] = fields
  if (first === undefined) return
  throw new ServiceError('RULE_INVALID', first.detail, { fields, next: 'entente cluster list' })
}

/** Runs a write; refuses when a relationship or group was deleted between our look and our write. */
export async function orGone(write: () => Promise<void>): Promise<void> {
  try {
    await write()
  } catch (error) {
    if (!isForeignKeyViolation(error)) throw error
    throw unknown('a relationship or group named was deleted meanwhile', [])
  }
}

function missing(
  names: readonly string[],
  isKnown: (name: string) => boolean,
  sort: 'relationship' | 'group',
): FieldError[] {
  return names.flatMap((name, index) =>
    isKnown(name)
      ? []
      : [
          {
            in: 'body',
            pointer: `/audience/${sort}s/${index}`,
            detail: `there is no ${sort === 'group' ? 'peer group' : sort} ${quoted(name)}`,
          },
        ],
  )
}

function unknown(detail: string, fields: readonly FieldError[]): ServiceError {
  const isGroup = fields[0]?.pointer.startsWith('/audience/groups') === true
  const next = isGroup ? 'entente peer-group list' : 'entente federation list'
  return new ServiceError('RULE_INVALID', detail, { fields, next })
}
