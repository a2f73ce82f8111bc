import { type DeletedRuleView, type RuleOutcomeView } from '../../policy/change/rule-effect-api.ts'
import { formatNext } from '../output.ts'
import { sayChanges } from './changes-text.ts'

/** What a new or changed rule comes to, in sentences. */
export function sayOutcome(
  outcome: RuleOutcomeView,
  { dryRun }: { readonly dryRun?: boolean | undefined },
): string {
  const { line, id, name, next } = outcome
  const head = dryRun === true ? `would add: ${line}` : `rule ${name ?? id}: ${line}`
  return `${[head, ...sayEffect(outcome)].join('\n')}\n${formatNext(next)}`.trimEnd()
}

/** What a change of a rule comes to for each peer, a line each; also of one that was only tried, or that ended. */
export function sayEffect(outcome: RuleOutcomeView | DeletedRuleView): string[] {
  if (!('effectNow' in outcome)) return sayChanges(outcome.changes)
  const { effectNow, direction, subject, changes } = outcome
  const verb = direction === 'export' ? 'visible to' : 'visible to us from'
  return [
    ...(subject.identity !== undefined ? [] : effectNow.reaches).map(
      ({ peer, count, services }) => {
        const more = count > services.length ? ` and ${count - services.length} more` : ''
        return count === 0
          ? `nothing of it is ${verb} ${peer} now`
          : `${verb} ${peer} now: ${services.join(', ')}${more}`
      },
    ),
    ...effectNow.notActive.map(({ peer, reason }) => `not active: ${peer} is ${reason}`),
    ...effectNow.withheld.map(
      ({ peer, service, reason }) => `hidden from ${peer}: ${service}, since ${reason}`,
    ),
    ...sayChanges(changes),
    ...(effectNow.complete
      ? []
      : ['the rule reaches so far that only the first services for each were counted']),
  ]
}

/** What the end of a rule comes to, in sentences. */
export function sayDeleted(
  { id, name, line, changes }: DeletedRuleView,
  { dryRun }: { readonly dryRun: boolean | undefined },
): string {
  const head = `${dryRun === true ? 'would delete' : 'deleted'} rule ${name ?? id}: ${line}`
  const lines = sayChanges(changes)
  return [head, ...(lines.length === 0 ? ['nothing changes by it now'] : lines)].join('\n')
}
