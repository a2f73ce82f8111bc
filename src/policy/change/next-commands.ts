import { command } from '../../errors.ts'
import { type MeshId } from '../../db/ids.ts'
import { callerPaths } from '../rule/callers.ts'
import { aliased } from '../decision/evaluate.ts'
import { audienceOf } from '../decision/rule-reach.ts'
import { type Rule, ruleArgument } from '../rule/rule.ts'
import { type Reach, type RuleEffect } from './rule-effect.ts'
import { serviceKey, type Snapshot, type SnapshotService } from '../snapshot/snapshot.ts'

/** Services whose offers are spelled out for a peer; beyond, the list is shorter than the reading. */
const MAX_SPELLED = 5
/** Peers for which it is said what to do; what holds for one of more holds for the others. */
const MAX_PEERS = 5

/**
 * What is useful once a rule stands: for an export what each peer has to enter on its side, for an import which
 * identities to show the peer, and where to look.
 */
export function nextAfterRule(snapshot: Snapshot, rule: Rule, effect: RuleEffect): string[] {
  if (rule.effect === 'deny') return [command`entente rule show ${ruleArgument(rule)}`]
  if (rule.subject.kind === 'identity') return []
  const reaches = effect.reaches.slice(0, MAX_PEERS)
  if (rule.direction === 'import') {
    return reaches.flatMap((reach) => nextOfImport(snapshot, rule, reach))
  }
  return [
    ...reaches.flatMap((reach) =>
      reach.peer === 'self' ? [] : atPeer(snapshot.meshId, rule, reach),
    ),
    ...effect.notActive
      .slice(0, MAX_PEERS)
      .map(({ peer }) => command`entente federation show ${peer}`),
  ]
}

// Peers learn of exports by hand until services exchange them: they enter the offer, then import it.
function atPeer(meshId: MeshId, rule: Rule, { peer, services }: Reach): string[] {
  if (services.length === 0) return []
  const { subject } = rule
  if (subject.kind === 'identity') return []
  const { namespace = subject.namespace.text, name = subject.name.text } = rule.as ?? {}
  const shown = `${namespace}/${name}`
  return [
    ...services
      .slice(0, MAX_SPELLED)
      .map((service) => ({ ...service, ...aliased(service, rule.as) }))
      .map((service) => `# at ${peer}: ${offerCommand(meshId, service)}`),
    `# at ${peer}: ${command`entente rule import ${shown} --from ${meshId}`}`,
  ]
}

function offerCommand(meshId: MeshId, service: SnapshotService): string {
  const ports = service.ports.flatMap(({ name, port }) => ['--port', `${name}:${port}`])
  const identities = service.serverIds.flatMap((id) => ['--identity', id])
  return command`entente service add --of ${meshId} ${serviceKey(service)} ${ports} ${identities}`
}

function nextOfImport(
  snapshot: Snapshot,
  rule: Rule,
  { peer, services: [first] }: Reach,
): string[] {
  const identity = isShown(snapshot, peer) ? [] : [identityCommand(rule, peer)]
  if (first === undefined) return [...identity, command`entente service list --of ${peer}`]
  return [...identity, command`entente explain ID --may-call ${serviceKey(first)} --of ${peer}`]
}

// Whom a peer does not know it lets in nowhere: without such a rule nobody of ours can call.
function identityCommand({ audience }: Rule, peer: string): string {
  const [path = 'PATH'] = audience.callers === undefined ? [] : callerPaths(audience.callers)
  return command`entente rule export --identity ${path} --to ${peer}`
}

function isShown(snapshot: Snapshot, peer: string): boolean {
  const relationship = snapshot.relationships.get(peer)
  return [...snapshot.rules.byId.values()].some(
    (rule) =>
      rule.subject.kind === 'identity' &&
      rule.direction === 'export' &&
      rule.effect === 'allow' &&
      relationship !== undefined &&
      audienceOf(snapshot, rule).includes(relationship),
  )
}
