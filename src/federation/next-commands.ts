import { command } from '../errors.ts'
import { isIP } from 'node:net'
import { decideEgress, isLocalhostName } from '../http/egress.ts'
import { type EgressRule } from '../http/egress-rule.ts'
import { type StandingAct } from './act-on-standing.ts'
import { type RelationshipView } from './api.ts'

const OTHER_MESH =
  '# the other mesh consents by: entente federation add NAME --trust-domain OURS --profile local'

/** The commands that are useful once a relationship exists, ready to paste. */
export function nextAfterCreate(
  { name, state, readerUrl, domains }: RelationshipView,
  egress: string | undefined,
): string[] {
  const isLocal = domains.some(({ source }) => source === 'local')
  const peer =
    readerUrl === null
      ? []
      : [
          `# for the other side: its URL of our bundle is ${readerUrl} (entente mesh show has the rest)`,
        ]
  const show = state === 'active' ? [] : [`entente federation show ${name}`]
  const other = isLocal && state === 'pending' ? [OTHER_MESH] : []
  return [
    ...(egress === undefined ? [] : [egress]),
    ...show,
    ...other,
    ...peer,
    `entente rule export NAMESPACE/SERVICE --to ${name}`,
  ]
}

/** The commands that are useful once a relationship has ended, or before it does. */
export function nextAfterTerminate(
  { name, exchange }: Pick<RelationshipView, 'name' | 'exchange'>,
  dryRun: boolean,
): string[] {
  if (dryRun) return [`entente federation terminate ${name}`]
  const other =
    exchange === null
      ? '# the other side still trusts us until it ends its own relationship'
      : '# the other side is told and suspends its relationship'
  return [`entente federation delete ${name}`, other]
}

/** The commands that are useful after a change of standing, or instead of its dry run. */
export function nextAfterStanding(name: string, act: StandingAct, dryRun: boolean): string[] {
  if (dryRun) return [`entente federation ${act} ${name}`]
  if (act === 'suspend') return [`entente federation resume ${name}`]
  if (act === 'withdraw') {
    return [`entente federation approve ${name}`, `entente federation terminate ${name}`]
  }
  return [`entente federation show ${name}`]
}

/** The commands that are useful after an act on a proposal, or instead of its dry run. */
export function nextAfterProposal(
  name: string,
  proposal: {
    readonly id: string
    readonly ourConsent: boolean
    readonly isApplied: boolean
    readonly dryRun: boolean
  },
): string[] {
  const show = `entente federation show ${name}`
  if (proposal.dryRun || proposal.isApplied || proposal.ourConsent) return [show]
  return [
    `entente federation proposal approve ${name} ${proposal.id}`,
    `entente federation proposal drop ${name} ${proposal.id}`,
  ]
}

/**
 * The command that opens a new relationship's endpoint, when its URL already tells that policy refuses it: hosts
 * that are addresses or under `.localhost`. Other names are judged when they are looked up.
 */
export function egressCommand(
  view: RelationshipView,
  rules: readonly EgressRule[],
): string | undefined {
  for (const { endpointUrl } of view.domains) {
    if (endpointUrl === null) continue
    const { hostname, port } = new URL(endpointUrl)
    const address = knownAddress(hostname)
    if (address === undefined) continue
    const decision = decideEgress({ host: hostname, port: Number(port || 443), address }, rules)
    if (!decision.allowed) return command`entente egress allow ${decision.rule}`
  }
  return undefined
}

function knownAddress(hostname: string): string | undefined {
  const bare = hostname.replace(/^\[|\]$/g, '')
  if (isIP(bare) !== 0) return bare
  return isLocalhostName(hostname) ? '127.0.0.1' : undefined
}
