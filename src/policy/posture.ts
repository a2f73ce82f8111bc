import { type Founder } from '../mesh/hooks.ts'
import { createRule } from './change-rules.ts'
import { type RuleDraft } from './rule.ts'

/** What a new mesh begins with: every namespace open to the mesh itself, nothing to anybody else. */
const OPEN_TO_SELF: RuleDraft = {
  direction: 'export',
  effect: 'allow',
  subject: { namespace: '*', name: '*' },
  audience: { kind: 'self' },
  note: 'made with the mesh; delete it to isolate namespaces from each other',
}

/** Gives a new mesh its posture as an ordinary rule, so that changing the posture is deleting or adding rules. */
export const seedPosture: Founder = async (trx, mesh, context) => {
  await createRule(trx, mesh.meshId, { draft: OPEN_TO_SELF, context })
}
