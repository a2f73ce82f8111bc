import { command } from '../../errors.ts'
import { type Severity } from './lint-api.ts'
import { ruleLine } from '../rule/rule-line.ts'
import { type Rule, ruleArgument, ruleTitle } from '../rule/rule.ts'

/**
 * Every sort of finding on the rules of a mesh and how much it matters.
 *
 * The codes are stable: people switch their pipelines by them.
 */
export const LINT_CODES = {
  'rule.audience-empty': 'warning',
  'rule.audience-over': 'notice',
  'rule.any-caller': 'warning',
  'rule.callers-say-nothing': 'notice',
  'rule.clusters-off': 'notice',
  'rule.everything-to-all': 'warning',
  'rule.everything-to-peers': 'notice',
  'rule.identities-to-all': 'notice',
  'rule.identity-unknown': 'notice',
  'rule.expired': 'notice',
  'rule.labels-contradict': 'warning',
  'rule.matches-nothing': 'notice',
  'rule.port-unknown': 'warning',
  'rule.service-unknown': 'warning',
  'rule.shadowed': 'warning',
  'rule.visible-to-nobody': 'notice',
  'export.not-imported': 'notice',
  'export.reaches-nobody': 'notice',
  'offer.not-imported': 'notice',
} as const satisfies Record<string, Severity>
/** One of {@link LINT_CODES}. */
export type LintCode = keyof typeof LINT_CODES

/** Something about a rule or an offer that its author may not have meant; `next` says what to do. */
export interface LintFinding {
  readonly code: LintCode
  readonly severity: Severity
  /** `rule/<name or id>` or `offer/<relationship>/<namespace>/<name>`. */
  readonly object: string
  readonly message: string
  readonly next: readonly string[]
}

/** A finding on a rule: what is told about it follows its line. */
export function onRule(
  code: LintCode,
  rule: Rule,
  { tells, next }: { readonly tells: string; readonly next: readonly string[] },
): LintFinding {
  return {
    code,
    severity: LINT_CODES[code],
    object: `rule/${ruleTitle(rule)}`,
    message: `${ruleLine(rule)}: ${tells}`,
    next,
  }
}

/** The command that takes a rule away. */
export function deleteCommand(rule: Rule): string {
  return command`entente rule delete ${ruleArgument(rule)}`
}
