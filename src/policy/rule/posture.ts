import { type RelationshipFounder } from '../../federation/hooks.ts'
import { localEnvironments } from '../../federation/local/local-consent.ts'
import { loadMesh } from '../../mesh/find-mesh.ts'
import { type Founder } from '../../mesh/hooks.ts'
import { createRule } from './change-rules.ts'
import { DIRECTIONS, type RuleDraft } from './rule.ts'

/** What a new mesh begins with: every namespace open to the mesh itself, nothing to anybody else. */
const OPEN_TO_SELF: RuleDraft = {
  direction: 'export',
  effect: 'allow',
  subject: { namespace: '*', name: '*' },
  audience: { kind: 'self' },
  note: 'made with the mesh; without it each call within the mesh needs a rule of its own',
}

/** Gives a new mesh its posture as an ordinary rule, so that changing the posture is deleting or adding rules. */
export const seedPosture: Founder = async (trx, mesh, context) => {
  await createRule(trx, mesh.meshId, { draft: OPEN_TO_SELF, context })
}

/**
 * Keeps a mesh apart from a peer of this same service that carries another environment, as ordinary rules: nothing
 * to it and nothing from it, until somebody deletes them.
 */
export const seedPeerPosture: RelationshipFounder = async (trx, relationship, context) => {
  const { meshId, name } = relationship
  const theirs = await localEnvironments(trx, relationship)
  const { environment } = await loadMesh(trx, meshId)
  const isApart = (other: string | undefined) => other !== undefined && other !== environment
  if (environment === undefined || !theirs.some(isApart)) return
  for (const direction of DIRECTIONS) {
    const draft: RuleDraft = {
      direction,
      effect: 'deny',
      subject: { namespace: '*', name: '*' },
      audience: { kind: 'peers', relationships: [name] },
      note: 'made with the relationship, whose mesh has another environment; delete it to share services',
    }
    await createRule(trx, meshId, { draft, context })
  }
}
