import { availabilityOf } from '../../mesh/topology/availability.ts'
import { loadTopology } from '../../mesh/topology/find-topology.ts'
import { type Condition } from './alert-conditions.ts'
import { type AlertSource, meshAlertSource } from './alert-source.ts'
import { type AvailabilityTarget, listAvailabilityTargets } from './availability-store.ts'

/** Ways to a higher tier that a message names. */
const MOST_WAYS = 3

/** Tells of meshes whose control planes are placed for less than the tier that was declared; reads only those. */
export function availabilitySource(): AlertSource {
  return meshAlertSource({
    subjects: listAvailabilityTargets,
    conditions: async (db, { meshId, target }, now) => {
      const found = availabilityOf(await loadTopology(db, meshId), now)
      return found.tier >= target ? [] : [belowTarget({ meshId, target }, found)]
    },
  })
}

function belowTarget(
  { meshId, target }: AvailabilityTarget,
  { tier, reason, raise }: ReturnType<typeof availabilityOf>,
): Condition {
  const ways = raise.slice(0, MOST_WAYS).join('; ')
  return {
    meshId,
    relationshipId: undefined,
    code: 'availability.below-target',
    object: meshId,
    severity: 'info',
    message: `tier ${tier}, wanted ${target}: ${reason}; it would take: ${ways}`,
  }
}
