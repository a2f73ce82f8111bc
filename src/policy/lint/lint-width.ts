import { quoted } from '../../errors.ts'
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
  if (!isEverything(rule)) return []
  if (rule.audience.kind !== 'all') return lintEverything(rule)
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

function lintEverything(rule: Rule): LintFinding[] {
  if (rule.subject.kind === 'identity' || !isForAnybody(rule)) return []
  const tells = 'every service of ours, also those to come, is open to any workload of these peers'
  const next = ['add --callers with a namespace or a path, or name the services that are meant']
  return [onRule('rule.everything-to-peers', rule, { tells, next })]
}

function isEverything({ subject }: Rule): boolean {
  if (subject.kind === 'identity') return isAny(subject.path)
  return isAny(subject.namespace) && isAny(subject.name) && subject.labels === undefined
}

function lintCallers(rule: Rule): LintFinding[] {
  if (rule.subject.kind === 'identity') return []
  return [...lintAnyCaller(rule), ...lintIdleCallers(rule)]
}

function lintAnyCaller(rule: Rule): LintFinding[] {
  if (rule.audience.kind !== 'all' || isEverything(rule) || !isForAnybody(rule)) return []
  const tells = 'any workload of any peer may call it, also of peers to come'
  const next = ['add --callers with a namespace or a path, or name peers with --to']
  return [onRule('rule.any-caller', rule, { tells, next })]
}

function lintIdleCallers(rule: Rule): LintFinding[] {
  const any = anybodyAmong(rule)
  if (any === undefined) return []
  const tells = `its callers hold ${quoted(any.text)}, which keeps nobody out`
  return [
    onRule('rule.callers-say-nothing', rule, { tells, next: ['leave callers out, or name them'] }),
  ]
}

function isForAnybody(rule: Rule): boolean {
  return rule.audience.callers === undefined || anybodyAmong(rule) !== undefined
}

function anybodyAmong({ audience: { callers } }: Rule): Pattern | undefined {
  if (callers === undefined) return undefined
  return callers.namespaces.find(isAny) ?? callers.paths.find(isAnyPath)
}

// Every path begins with a slash, and where namespaces are in paths at all, every one with /ns/.
function isAnyPath({ wild, literal }: Pattern): boolean {
  return wild && ['', '/', '/ns/'].includes(literal)
}

function isAny({ wild, literal }: Pattern): boolean {
  return wild && literal === ''
}
