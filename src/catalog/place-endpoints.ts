import { type TopologyDependants, type TopologyEnder } from '../mesh/topology/hooks.ts'
import { countEndpointsIn, deleteEndpointsIn } from './place-endpoint-store.ts'

/** Tells how many endpoints are reported in a cluster or network that is to end. */
export const endpointsOfPlace: TopologyDependants = async (db, { kind, meshId, name }) => {
  const count = await countEndpointsIn(db, meshId, { kind, name })
  if (count === 0) return []
  const title = `${count} ${count === 1 ? 'endpoint' : 'endpoints'}`
  const effect = 'forgotten: resolved for nobody any more'
  return [{ kind: 'endpoint', name: title, effect, blocks: true }]
}

/** Forgets what was reported in a cluster or network that ends. */
export const endEndpointsOfPlace: TopologyEnder = async (trx, { kind, meshId, name }) => {
  await deleteEndpointsIn(trx, meshId, { kind, name })
}
