import { type Logger } from '../../http/log.ts'
import { type SpiffeId } from '../../spiffe/spiffe-id.ts'
import { serviceKey } from '../snapshot/snapshot.ts'
import { outcomeOf, type Resolution } from './resolve.ts'

/**
 * Writes down one decision that a workload was given: who asked, for what, how it came out, by which rules, which
 * service has its name if another one does, and at which revision of the mesh. It is for operators; the workload itself learns of a deny only that there is nothing.
 */
export function logDecision(
  log: Pick<Logger, 'info'>,
  spiffeId: SpiffeId,
  resolution: Resolution,
): void {
  const { snapshot, query, answer, lost } = resolution
  const rules = answer.steps.flatMap(({ ruleId }) => ruleId ?? [])
  log.info(
    {
      event: 'workload.decided',
      meshId: snapshot.meshId,
      spiffeId,
      service: serviceKey(query.subject),
      relationship: query.of,
      cluster: query.cluster,
      outcome: outcomeOf(resolution),
      rules,
      ...(lost && { reason: lost.step.reason }),
      revision: snapshot.revision,
    },
    'a workload asked how to reach a service',
  )
}
