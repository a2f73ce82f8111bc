import { type TopologyDependants, type TopologyEnder } from '../mesh/topology/hooks.ts'
import { countSourced } from './sync-store.ts'
import { syncServices } from './sync-services.ts'

/** What feeds the catalogue from a cluster. */
const KIND = 'k8s'

/** Tells how many services of the catalogue were taken over from a cluster that is to end. */
export const servicesOfCluster: TopologyDependants = async (db, { kind, meshId, name }) => {
  if (kind !== 'cluster') return []
  const count = await countSourced(db, meshId, `${KIND}:${name}`)
  if (count === 0) return []
  const title = `${count} ${count === 1 ? 'service' : 'services'}`
  const effect = 'leaves the catalogue unless people or another cluster keep it there'
  return [{ kind: 'service', name: title, effect, blocks: true }]
}

/** Takes back everything that was said of services in a cluster that ends, as if it had none any more. */
export const endServicesOfCluster: TopologyEnder = async (trx, target, context) => {
  const { kind, meshId, name: cluster } = target
  if (kind !== 'cluster') return
  await syncServices(trx, meshId, {
    cluster,
    kind: KIND,
    services: [],
    kept: [],
    namespaces: undefined,
    intentional: true,
    context,
  })
}
