import { type TopologyDependants } from '../../mesh/topology/hooks.ts'
import { rulesLimitedTo } from './cluster-rule-store.ts'

/** Most rules named one by one. */
const MOST_NAMED = 50

/** Which rules are limited to a cluster that is to end: they stay, and match nothing in it. */
export const rulesOfCluster: TopologyDependants = async (db, { kind, meshId, name }) => {
  if (kind !== 'cluster') return []
  const rules = await rulesLimitedTo(db, meshId, { cluster: name, limit: MOST_NAMED })
  const effect = `stays and matches nothing in cluster ${name}`
  return rules.map((rule) => ({ kind: 'rule', name: rule, effect, blocks: false }))
}
