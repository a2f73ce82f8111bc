import { isDeepStrictEqual } from 'node:util'
import { hasEnded, type Rule, type RuleContent } from '../rule/rule.ts'

/**
 * Since when a rule gives the names that it gives after a change; null = since it was made.
 *
 * From the change on when that may have brought services under names that they did not have by this rule before:
 * another `as`, subject or effect, more of an audience, another place in the order of rules, an end that had passed.
 * Else an old rule could take a name from a service that has had it for long.
 */
export function namesSince({
  before,
  after,
  now,
}: {
  readonly before: Rule
  readonly after: RuleContent
  readonly now: Date
}): Date | null {
  const isSame = isDeepStrictEqual(namingPart(before), namingPart(after))
  const isNew = !isSame || reachesMore(before, after) || hasEnded(before, now)
  return isNew ? now : (before.namesSince ?? null)
}

/** What decides whom a rule names, and how, but for the peers. */
function namingPart({ effect, subject, audience, as, priority, ...rule }: RuleContent): unknown[] {
  const what =
    subject.kind === 'service'
      ? [subject.namespace.text, subject.name.text, subject.labels]
      : [subject.path.text]
  const isForAnyCaller = audience.callers === undefined
  const isOwned = rule.ownerScope !== undefined
  return [effect, what, audience.kind, isForAnyCaller, as, priority, isOwned]
}

function reachesMore({ audience: before }: RuleContent, { audience: after }: RuleContent): boolean {
  return (
    after.relationships.some((name) => !before.relationships.includes(name)) ||
    after.groups.some((name) => !before.groups.includes(name))
  )
}
