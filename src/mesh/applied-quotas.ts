import type { Action } from '../access/actions.ts'
import { ownerScopeOf } from '../access/owner-scope.ts'
import { quotasAmong } from '../access/quota/find-quotas.ts'
import type { AppliedKind } from './applied-object.ts'

/** The name of the quota of a whole mesh in documents. */
const OF_MESH = 'mesh'
const OF_NAMESPACE = 'namespace/'

/**
 * The kind `Quota`: `mesh`, or `namespace/` and the namespace.
 *
 * A quota is set and not made, so there is one of each name: whoever sets it anew by hand sets the same one.
 */
export const appliedQuotas: AppliedKind = {
  read: 'quota.list',
  // Whoever a quota limits must not hand it to an owner whose next pruning takes it away.
  write: actionOf,
  end: actionOf,
  scopeOf: ownerScopeOf,
  find: async (db, meshId, names) => {
    const owners = new Map(names.flatMap(ownerIn))
    const found = await quotasAmong(db, meshId, [...owners.keys()])
    return found.map((namespace) => {
      const name = owners.get(namespace) ?? OF_MESH
      return { name, objectId: name, within: namespace === '' ? [] : [namespace] }
    })
  },
}

function actionOf(name: string): Action {
  return name === OF_MESH ? 'quota.set' : 'namespace-quota.set'
}

function ownerIn(name: string): (readonly [string, string])[] {
  if (name === OF_MESH) return [['', name]]
  const namespace = name.startsWith(OF_NAMESPACE) ? name.slice(OF_NAMESPACE.length) : ''
  return namespace === '' ? [] : [[namespace, name]]
}
