import { type Callers } from './callers.ts'
import { type LabelSelector } from './label-selector.ts'
import { parseNamePattern, parsePathPattern, type Pattern } from './pattern.ts'

/** `export` = mine, to others; `import` = others', to me. */
export const DIRECTIONS = ['export', 'import'] as const
/** One of {@link DIRECTIONS}. */
export type Direction = (typeof DIRECTIONS)[number]

/** What a rule does to a decision: order never matters, one applicable deny is enough. */
export const EFFECTS = ['allow', 'deny'] as const
/** One of {@link EFFECTS}. */
export type Effect = (typeof EFFECTS)[number]

/** `all` = every relationship, not the mesh itself; `self` = the mesh itself; `peers` = those named. */
export const AUDIENCE_KINDS = ['all', 'self', 'peers'] as const
/** One of {@link AUDIENCE_KINDS}. */
export type AudienceKind = (typeof AUDIENCE_KINDS)[number]

/**
 * To whom (export) or from whom (import), and which callers: there for an export, here for an import.
 *
 * `relationships` and `groups` are names, and only of kind `peers`; none are left when all of them were deleted,
 * and the rule then applies to nobody. A group may have the mesh itself among its members.
 */
export interface Audience {
  readonly kind: AudienceKind
  readonly relationships: readonly string[]
  readonly groups: readonly string[]
  readonly callers: Callers | undefined
}

/** Services that a rule speaks of; for an import their names are those under which the peer shows them. */
export interface ServiceSubject {
  readonly kind: 'service'
  readonly namespace: Pattern
  readonly name: Pattern
  readonly labels: LabelSelector | undefined
  /** Names of ports; undefined = all. */
  readonly ports: readonly string[] | undefined
}

/**
 * Identities that a rule speaks of, by the path of their SPIFFE IDs: ours that may be presented to a peer (export),
 * or a peer's that count for nothing here (import, deny).
 */
export interface IdentitySubject {
  readonly kind: 'identity'
  readonly path: Pattern
}

/** What a rule speaks of. */
export type Subject = ServiceSubject | IdentitySubject

/** The name that allowed services get: both parts DNS labels, an absent one keeps what the service has. */
export interface Alias {
  readonly namespace?: string
  readonly name?: string
}

/** What an author decides about a rule. */
export interface RuleContent {
  /** What its author calls it: a DNS label, unique in the mesh. */
  readonly name: string | undefined
  readonly direction: Direction
  readonly effect: Effect
  readonly subject: Subject
  readonly audience: Audience
  /** Clusters of ours that it is limited to: where the consumer runs, or for an export to a peer what serves it. */
  readonly clusters: readonly string[] | undefined
  readonly as: Alias | undefined
  /** For imports: namespaces of ours that see the service. */
  readonly visibleTo: readonly Pattern[] | undefined
  readonly priority: number
  readonly expiresAt: Date | undefined
  /** Namespaces that its author may speak for; undefined = the whole mesh. */
  readonly ownerScope: readonly string[] | undefined
  readonly note: string | undefined
}

/** A rule as it stands. */
export interface Rule extends RuleContent {
  readonly id: string
  readonly createdAt: Date
  /** When a change last made it give names that it did not give before; null or absent = since it was made. */
  readonly namesSince?: Date | null
}

/** How a rule is called: its name, else its id. */
export function ruleTitle({ name, id }: Pick<Rule, 'name' | 'id'>): string {
  return name ?? id
}

/**
 * What a command names a rule by: its name where that can only be this rule, else its id. Authors of namespaces may
 * give names that others gave too, and a rule of the whole mesh goes before theirs.
 */
export function ruleArgument({ name, id, ownerScope }: Rule): string {
  return ownerScope === undefined ? (name ?? id) : id
}

/** A rule with the version that a change must name. */
export interface StoredRule extends Rule {
  readonly version: bigint
}

/** Whether a rule applies no more at a moment. */
export function hasEnded({ expiresAt }: Pick<Rule, 'expiresAt'>, at: Date): boolean {
  return expiresAt !== undefined && at >= expiresAt
}

/** An audience as a person writes it. */
export interface AudienceDraft {
  readonly kind: AudienceKind
  readonly relationships?: readonly string[]
  readonly groups?: readonly string[]
  readonly callers?: { readonly namespaces?: readonly string[]; readonly paths?: readonly string[] }
}

/** Services as a person writes them. */
export interface ServiceSubjectDraft {
  readonly namespace: string
  readonly name: string
  readonly labels?: LabelSelector
  readonly ports?: readonly string[]
}

/** Identities as a person writes them. */
export interface IdentitySubjectDraft {
  readonly identity: string
}

/** A subject as a person writes it. */
export type SubjectDraft = ServiceSubjectDraft | IdentitySubjectDraft

/** A rule as a person writes it. */
export interface RuleDraft {
  readonly name?: string
  readonly direction: Direction
  readonly effect: Effect
  readonly subject: SubjectDraft
  readonly audience: AudienceDraft
  readonly clusters?: readonly string[]
  readonly as?: Alias
  readonly visibleTo?: readonly string[]
  readonly priority?: number
  readonly expiresAt?: Date
  readonly ownerScope?: readonly string[]
  readonly note?: string
}

/** Whether a draft speaks of identities. */
export function isIdentityDraft(subject: SubjectDraft): subject is IdentitySubjectDraft {
  return 'identity' in subject
}

/**
 * The rule that a draft means, its patterns read.
 *
 * Throws RULE_INVALID at the first pattern that is none.
 */
export function readRule(draft: RuleDraft): RuleContent {
  const { name, direction, effect, clusters, as, priority = 0, expiresAt, ownerScope, note } = draft
  return {
    name,
    direction,
    effect,
    subject: readSubject(draft.subject),
    audience: readAudience(draft.audience),
    clusters,
    as,
    visibleTo: draft.visibleTo?.map(parseNamePattern),
    priority,
    expiresAt,
    ownerScope,
    note,
  }
}

/** The draft that would make a rule again. */
export function draftOf(rule: RuleContent): RuleDraft {
  const { name, direction, effect, clusters, as, visibleTo, priority, expiresAt } = rule
  const { ownerScope, note } = rule
  return {
    ...(name !== undefined && { name }),
    direction,
    effect,
    subject: draftSubject(rule.subject),
    audience: draftAudience(rule.audience),
    ...(clusters !== undefined && { clusters }),
    ...(as !== undefined && { as }),
    ...(visibleTo !== undefined && { visibleTo: visibleTo.map(({ text }) => text) }),
    priority,
    ...(expiresAt !== undefined && { expiresAt }),
    ...(ownerScope !== undefined && { ownerScope }),
    ...(note !== undefined && { note }),
  }
}

function readSubject(draft: SubjectDraft): Subject {
  if (isIdentityDraft(draft)) return { kind: 'identity', path: parsePathPattern(draft.identity) }
  return {
    kind: 'service',
    namespace: parseNamePattern(draft.namespace),
    name: parseNamePattern(draft.name),
    labels: draft.labels,
    ports: draft.ports,
  }
}

function draftSubject(subject: Subject): SubjectDraft {
  if (subject.kind === 'identity') return { identity: subject.path.text }
  const { namespace, name, labels, ports } = subject
  return {
    namespace: namespace.text,
    name: name.text,
    ...(labels !== undefined && { labels }),
    ...(ports !== undefined && { ports }),
  }
}

function readAudience({ kind, relationships = [], groups = [], callers }: AudienceDraft): Audience {
  return {
    kind,
    relationships,
    groups,
    callers: callers && {
      namespaces: (callers.namespaces ?? []).map(parseNamePattern),
      paths: (callers.paths ?? []).map(parsePathPattern),
    },
  }
}

function draftAudience({ kind, relationships, groups, callers }: Audience): AudienceDraft {
  return {
    kind,
    ...(kind === 'peers' && relationships.length > 0 && { relationships }),
    ...(kind === 'peers' && groups.length > 0 && { groups }),
    ...(callers !== undefined && {
      callers: {
        namespaces: callers.namespaces.map(({ text }) => text),
        paths: callers.paths.map(({ text }) => text),
      },
    }),
  }
}
