import { type RelationshipFounder } from '../../federation/hooks.ts'
import { relationshipsApart } from '../../federation/local/local-consent.ts'
import { loadMesh } from '../../mesh/find-mesh.ts'
import { type FindCrossings, type Founder } from '../../mesh/hooks.ts'
import { createRule } from './change-rules.ts'
import { rulesNaming } from '../rule/rule-store.ts'
import { type Direction, DIRECTIONS, type Rule, type RuleDraft } from '../rule/rule.ts'

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
export const seedPeerPosture: RelationshipFounder = async (trx, { meshId, id, name }, context) => {
  const { environment } = await loadMesh(trx, meshId)
  if (environment === undefined) return
  const apart = await relationshipsApart(trx, meshId, environment)
  if (!apart.some((one) => one.id === id)) return
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

/**
 * The relationships of a mesh that cross environments without the rules that {@link seedPeerPosture} makes.
 *
 * A label that comes later denies nothing by itself, since traffic that goes on already must not end by it: whoever
 * sets it is told, with the commands.
 */
export const unguardedCrossings: FindCrossings = async (db, { meshId, environment }) => {
  const relationships: string[] = []
  const next: string[] = []
  if (environment === undefined) return { relationships, next }
  for (const { id, name } of await relationshipsApart(db, meshId, environment)) {
    const rules = await rulesNaming(db, meshId, id)
    const open = DIRECTIONS.filter(
      (direction) => !rules.some((rule) => rule.direction === direction && deniesAll(rule)),
    )
    if (open.length > 0) relationships.push(name)
    next.push(...open.map((direction) => denyCommand(direction, name)))
  }
  return { relationships, next }
}

/** Whether a rule denies every service to whom it names, at every moment and to everybody there. */
function deniesAll({ effect, subject, audience, visibleTo, clusters, expiresAt }: Rule): boolean {
  if (effect !== 'deny' || subject.kind !== 'service') return false
  const { namespace, name, labels, ports } = subject
  const narrowings = [labels, ports, audience.callers, visibleTo, clusters, expiresAt]
  return namespace.text === '*' && name.text === '*' && narrowings.every((one) => one === undefined)
}

function denyCommand(direction: Direction, name: string): string {
  const whom = direction === 'export' ? 'to' : 'from'
  return `entente rule ${direction} '*/*' --${whom} ${name} --deny`
}
