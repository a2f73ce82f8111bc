import { aliased } from '../decision/evaluate.ts'
import { applicableRules, type HalfQuestion, type OpenVerdict } from '../decision/judge.ts'
import { type RuleIndex } from '../snapshot/rule-index.ts'
import { serviceKey, type SnapshotService } from '../snapshot/snapshot.ts'

/** A service between two meshes with what rules make of it, before anybody looks at other services' names. */
export interface Draft {
  readonly service: SnapshotService
  /** Its name where it belongs, `namespace/name`. */
  readonly key: string
  readonly half: HalfQuestion
  readonly verdict: OpenVerdict
  /** Its name where it goes. */
  readonly name: string
}

/** Whether rules let it through, whatever it is called. */
export function isAllowed({ verdict }: Draft): boolean {
  return verdict.allow !== undefined && verdict.deny === undefined
}

/**
 * Who keeps each name by which somebody goes: whoever has gone by it for longest.
 *
 * A service goes by a name since it came and rules gave it that name without a break, as far as rules that are there
 * tell. Then the older rule, the older service and the smaller name count, which are the same wherever everything was
 * made anew at one moment; the ids of rules are not.
 */
export function keepersOf(index: RuleIndex, drafts: readonly Draft[]): Map<string, Draft> {
  const keepers = new Map<string, Draft>()
  for (const draft of drafts) {
    if (!isAllowed(draft)) continue
    const before = keepers.get(draft.name)
    if (before === undefined || isOlder(index, draft, before)) keepers.set(draft.name, draft)
  }
  return keepers
}

function isOlder(index: RuleIndex, a: Draft, b: Draft): boolean {
  const [one, other] = [ageOf(index, a), ageOf(index, b)]
  const at = one.findIndex((moment, i) => moment !== other[i])
  return at < 0 ? a.key < b.key : (one[at] ?? 0) < (other[at] ?? 0)
}

/** Since when it goes by its name, since when rules say so, and since when it is there, in Unix milliseconds. */
function ageOf(index: RuleIndex, { service, half, name }: Draft): readonly number[] {
  let named = Infinity
  // The first rule names it; what came after a later one in the order named it until that one was made.
  for (const { rule } of applicableRules(index, half, 'allow')) {
    const since = (rule.namesSince ?? rule.createdAt).getTime()
    if (since >= named) continue
    if (serviceKey(aliased(service, rule.as)) !== name) break
    named = since
  }
  const made = service.createdAt.getTime()
  return [Math.max(named, made), named, made]
}
