import { isOwned, type OwnerScope, requireOwned } from '../../access/owner-scope.ts'
import { ServiceError } from '../../errors.ts'
import { isIdentityDraft, type RuleDraft } from './rule.ts'

/**
 * The owner of a new rule: whom its author names, else the author's namespaces that the rule lies in, else the mesh.
 *
 * Throws as {@link requireAuthority}.
 */
export function ownersOf(draft: RuleDraft, ownerScope: OwnerScope): Pick<RuleDraft, 'ownerScope'> {
  requireAuthority(draft, ownerScope)
  const owners = draft.ownerScope ?? (ownerScope && reachOf(draft))
  return owners === undefined ? {} : { ownerScope: [...new Set(owners)].toSorted() }
}

/**
 * Refuses a rule that reaches beyond its author's namespaces (FORBIDDEN), or beyond those of its owner
 * (RULE_INVALID): whoever owns it may change it later.
 */
export function requireAuthority(draft: RuleDraft, ownerScope: OwnerScope): void {
  const within = reachOf(draft)
  requireOwned(ownerScope, { title: 'the rule', within, next: nextFor(draft) })
  if (draft.ownerScope === undefined) return
  requireOwned(ownerScope, { title: "the rule's owner scope", within: draft.ownerScope })
  if (isOwned(draft.ownerScope, within)) return
  const found = within.length === 0 ? 'the whole mesh' : within.join(', ')
  const detail = `the rule reaches ${found}, beyond its owner scope ${draft.ownerScope.join(', ')}`
  throw new ServiceError('RULE_INVALID', detail, {
    fields: [{ in: 'body', pointer: '/ownerScope', detail }],
  })
}

/** An import reaches the whole mesh when nothing is said, which its author may not have meant. */
function nextFor({ direction, visibleTo, as }: RuleDraft): string | undefined {
  if (direction !== 'import') return undefined
  if (as !== undefined) return 'a name is for the whole mesh: leave --as out, or ask a mesh-admin'
  if (visibleTo !== undefined) return undefined
  return 'say which of your namespaces see it: --visible-to NAMESPACE'
}

/**
 * Namespaces of ours in which a rule can change a decision, as written; none in particular when it reaches all.
 *
 * An export reaches where its services or identities lie and where it takes a name; an import reaches those to whom
 * it makes something visible, and everybody when it renames, since a peer's service has one name in the mesh.
 */
function reachOf({ direction, subject, visibleTo, as }: RuleDraft): readonly string[] {
  if (direction === 'import') return as === undefined ? (visibleTo ?? []) : []
  if (isIdentityDraft(subject)) return [namespaceOf(subject.identity)]
  return [subject.namespace, ...(as?.namespace === undefined ? [] : [as.namespace])]
}

// `/ns/shop/*` lies in shop, `/ns/shop*` in no namespace of one's own.
function namespaceOf(path: string): string {
  const [root, first, namespace = '', rest] = path.split('/', 4)
  return root === '' && first === 'ns' && rest !== undefined ? namespace : path
}
