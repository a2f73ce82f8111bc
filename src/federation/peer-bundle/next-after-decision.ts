import { type Decision } from './decide-quarantined.ts'
import { type PeerRevision } from './revision-store.ts'

type Target = Pick<Decision, 'name' | 'trustDomain'>

/** The commands that a diff leads to: those that decide, when its newer side waits. */
export function nextAfterDiff(target: Target, to: PeerRevision | undefined): string[] {
  if (to?.disposition !== 'quarantined') return []
  const digest = Buffer.from(to.digest).toString('hex')
  return [
    decisionCommand('approve', { ...target, digest }),
    decisionCommand('reject', { ...target, digest }),
  ]
}

/** The commands that are useful once a document was decided on, or before it is. */
export function nextAfterDecision(
  decision: Omit<Decision, 'context' | 'requireVersion'>,
  dryRun: boolean,
): string[] {
  if (dryRun) return [decisionCommand(decision.to, decision)]
  return decision.to === 'approve'
    ? [`entente federation show ${decision.name}`]
    : [
        `entente federation show ${decision.name}`,
        '# if it was right after all, and the peer has published nothing newer:',
        decisionCommand('approve', decision),
      ]
}

function decisionCommand(
  to: Decision['to'],
  { name, trustDomain, digest }: Target & Pick<Decision, 'digest'>,
): string {
  return `entente federation bundle ${to} ${name} --trust-domain ${trustDomain} --digest ${digest}`
}
