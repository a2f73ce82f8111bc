import { type MeshId } from '../db/ids.ts'
import { type Rule } from './rule.ts'
import { type Reach, type RuleEffect } from './rule-effect.ts'
import { serviceKey, type SnapshotService } from './snapshot.ts'

/** Services whose offers are spelled out for a peer; beyond, the list is shorter than the reading. */
const MAX_SPELLED = 5

/**
 * What is useful once a rule stands: for an export what each peer has to enter on its side, for an import where
 * to look.
 */
export function nextAfterRule(meshId: MeshId, rule: Rule, effect: RuleEffect): string[] {
  if (rule.effect === 'deny') return [`entente rule show ${rule.id}`]
  if (rule.direction === 'import') return effect.reaches.flatMap(nextOfImport)
  return [
    ...effect.reaches.flatMap((reach) =>
      reach.peer === 'self' ? [] : atPeer(meshId, rule, reach),
    ),
    ...effect.notActive.map(({ peer }) => `entente federation show ${peer}`),
  ]
}

// Peers learn of exports by hand until services exchange them: they enter the offer, then import it.
function atPeer(meshId: MeshId, rule: Rule, { peer, services }: Reach): string[] {
  if (services.length === 0) return []
  const { subject } = rule
  if (subject.kind === 'identity') return []
  const { namespace, name } = subject
  return [
    ...services
      .slice(0, MAX_SPELLED)
      .map((service) => `# at ${peer}: ${offerCommand(meshId, service)}`),
    `# at ${peer}: entente rule import ${inShell(`${namespace.text}/${name.text}`)} --from ${meshId}`,
  ]
}

function offerCommand(meshId: MeshId, service: SnapshotService): string {
  const ports = service.ports.map(({ name, port }) => ` --port ${name}:${port}`).join('')
  const identities = service.serverIds.map((id) => ` --identity ${id}`).join('')
  return `entente service add --of ${meshId} ${serviceKey(service)}${ports}${identities}`
}

function nextOfImport({ peer, services: [first] }: Reach): string[] {
  if (first === undefined) return [`entente service list --of ${peer}`]
  return [`entente explain ID --may-call ${serviceKey(first)} --of ${peer}`]
}

function inShell(text: string): string {
  return text.includes('*') ? `'${text}'` : text
}
