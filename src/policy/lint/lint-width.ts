import { deleteCommand, type LintFinding, onRule } from './lint-finding.ts'
import { type Pattern } from '../rule/pattern.ts'
import { type Rule } from '../rule/rule.ts'

/** Rules that open more than their authors are likely to have meant. */
export function lintWidth(rule: Rule): LintFinding[] {
  if (rule.direction !== 'export' || rule.effect !== 'allow') return []
  if (rule.audience.kind === 'self') return []
  return [...lintSubjectWidth(rule), ...lintCallers(rule)]
}

function lintSubjectWidth(rule: Rule): LintFinding[] {
  if (rule.audience.kind !== 'all' || !isEverything(rule)) return []
  if (rule.subject.kind === 'identity') {
    const tells = 'every identity of ours may be presented to every peer, also to those to come'
    const next = [
      'entente rule export --identity PATTERN --to PEER for what is meant, then',
      deleteCommand(rule),
    ]
    return [onRule('rule.identities-to-all', rule, { tells, next })]
  }
  const tells = 'every service of ours is open to every peer, also to those to come'
  const next = [
    'entente rule export NAMESPACE/NAME --to PEER for what is meant, then',
    deleteCommand(rule),
  ]
  return [onRule('rule.everything-to-all', rule, { tells, next })]
}

function isEverything({ subject }: Rule): boolean {
  if (subject.kind === 'identity') return isAny(subject.path)
  return isAny(subject.namespace) && isAny(subject.name) && subject.labels === undefined
}

function lintCallers(rule: Rule): LintFinding[] {
  if (rule.subject.kind === 'identity') return []
  const { kind, callers } = rule.audience
  if (callers === undefined) {
    if (kind !== 'all' || isEverything(rule)) return []
    const tells = 'any workload of any peer may call it, also of peers to come'
    const next = ['add --callers with a namespace or a path, or name peers with --to']
    return [onRule('rule.any-caller', rule, { tells, next })]
  }
  const patterns = [...callers.namespaces, ...callers.paths]
  if (!patterns.some(isAny)) return []
  const tells = 'its callers hold "*", so the others among them say nothing'
  return [
    onRule('rule.callers-say-nothing', rule, { tells, next: ['leave callers out, or name them'] }),
  ]
}

function isAny({ wild, literal }: Pattern): boolean {
  return wild && literal === ''
}
