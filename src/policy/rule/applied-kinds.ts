import { ownerScopeOf } from '../../access/owner-scope.ts'
import { type AppliedKind } from '../../mesh/applied-object.ts'
import { rulesNamed } from './rule-store.ts'

/** The kind `Rule`, by its name, which several owners may have given; it lies in its owner scope. */
export const appliedRules: AppliedKind = {
  read: 'rule.read',
  write: () => 'rule.update',
  end: () => 'rule.delete',
  scopeOf: ownerScopeOf,
  find: async (db, meshId, names) =>
    (await rulesNamed(db, meshId, names)).map(({ id, name, owners }) => ({
      name,
      objectId: id,
      within: owners,
    })),
}
