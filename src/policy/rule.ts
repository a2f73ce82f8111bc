import { type FieldError, isServiceError, ServiceError } from '../errors.ts'
import { fits, parseNamePattern, parsePathPattern, type Pattern } from './pattern.ts'

/** `export` = mine, to others; `import` = others', to me. */
export const DIRECTIONS = ['export', 'import'] as const
/** One of {@link DIRECTIONS}. */
export type Direction = (typeof DIRECTIONS)[number]

/** What a rule does to a decision: order never matters, one applicable deny is enough. */
export const EFFECTS = ['allow', 'deny'] as const
/** One of {@link EFFECTS}. */
export type Effect = (typeof EFFECTS)[number]

/** `all` = every relationship, not the mesh itself; `self` = the mesh itself; `peers` = named relationships. */
export const AUDIENCE_KINDS = ['all', 'self', 'peers'] as const
/** One of {@link AUDIENCE_KINDS}. */
export type AudienceKind = (typeof AUDIENCE_KINDS)[number]

/** Largest distance of a rule's priority from 0; enough to give every rule of a long ordered list its own. */
export const MAX_PRIORITY = 100_000
/** Most relationships that one rule names. */
export const MAX_PEERS = 256
/** Most caller patterns of each sort in one rule. */
export const MAX_CALLERS = 64
/** Longest note, in characters. */
export const MAX_NOTE_LENGTH = 500

/** Who in an audience is meant: a caller fits when one of the patterns does. */
export interface Callers {
  readonly namespaces: readonly Pattern[]
  readonly paths: readonly Pattern[]
}

/**
 * To whom (export) or from whom (import), and which callers: there for an export, here for an import.
 *
 * `relationships` are names, and only of kind `peers`; none are left when all of them were deleted, and the
 * rule then applies to nobody.
 */
export interface Audience {
  readonly kind: AudienceKind
  readonly relationships: readonly string[]
  readonly callers: Callers | undefined
}

/** Which services a rule speaks of. */
export interface SubjectPattern {
  readonly namespace: Pattern
  readonly name: Pattern
}

/** What an author decides about a rule. */
export interface RuleContent {
  readonly direction: Direction
  readonly effect: Effect
  readonly subject: SubjectPattern
  readonly audience: Audience
  readonly priority: number
  readonly expiresAt: Date | undefined
  readonly note: string | undefined
}

/** A rule as it stands. */
export interface Rule extends RuleContent {
  readonly id: string
  readonly createdAt: Date
}

/** An audience as a person writes it. */
export interface AudienceDraft {
  readonly kind: AudienceKind
  readonly relationships?: readonly string[]
  readonly callers?: { readonly namespaces?: readonly string[]; readonly paths?: readonly string[] }
}

/** A rule as a person writes it. */
export interface RuleDraft {
  readonly direction: Direction
  readonly effect: Effect
  readonly subject: { readonly namespace: string; readonly name: string }
  readonly audience: AudienceDraft
  readonly priority?: number
  readonly expiresAt?: Date
  readonly note?: string
}

/** A caller as rules see one: the path of its SPIFFE ID and the namespace that path names, if any. */
export interface CallerFacts {
  readonly path: string
  readonly namespace: string | undefined
}

/**
 * The rule that a draft means, its patterns read.
 *
 * Throws RULE_INVALID at the first pattern that is none.
 */
export function readRule(draft: RuleDraft): RuleContent {
  return {
    direction: draft.direction,
    effect: draft.effect,
    subject: {
      namespace: parseNamePattern(draft.subject.namespace),
      name: parseNamePattern(draft.subject.name),
    },
    audience: readAudience(draft.audience),
    priority: draft.priority ?? 0,
    expiresAt: draft.expiresAt,
    note: draft.note,
  }
}

/** The draft that would make a rule again. */
export function draftOf(rule: RuleContent): RuleDraft {
  const { direction, effect, subject, audience, priority, expiresAt, note } = rule
  const { kind, relationships, callers } = audience
  return {
    direction,
    effect,
    subject: { namespace: subject.namespace.text, name: subject.name.text },
    audience: {
      kind,
      ...(kind === 'peers' && { relationships }),
      ...(callers !== undefined && {
        callers: {
          namespaces: callers.namespaces.map((pattern) => pattern.text),
          paths: callers.paths.map((pattern) => pattern.text),
        },
      }),
    },
    priority,
    ...(expiresAt !== undefined && { expiresAt }),
    ...(note !== undefined && { note }),
  }
}

/**
 * Refuses a draft that may not stand: RULE_INVALID with one field error per thing that is wrong.
 *
 * An end that has passed by `now` is wrong too. With `touched`, only those members are judged: what stands may
 * have become odd since (its end passed, its relationships are gone) and is no fault of this change.
 */
export function checkRule(
  draft: RuleDraft,
  now: Date,
  touched?: readonly (keyof RuleDraft)[],
): void {
  const errors = [...subjectErrors(draft), ...audienceErrors(draft), ...attributeErrors(draft, now)]
  const fields =
    touched === undefined
      ? errors
      : errors.filter(({ pointer }) =>
          touched.some((name) => `${pointer}/`.startsWith(`/${name}/`)),
        )
  const [first] = fields
  if (first !== undefined) throw new ServiceError('RULE_INVALID', first.detail, { fields })
}

/** Whether a caller is one of those meant; nobody named means everybody. */
export function isMeant(callers: Callers | undefined, caller: CallerFacts): boolean {
  if (callers === undefined) return true
  const { namespace, path } = caller
  if (callers.paths.some((pattern) => fits(pattern, path))) return true
  return namespace !== undefined && callers.namespaces.some((pattern) => fits(pattern, namespace))
}

/**
 * What rules look at in the path of a SPIFFE ID: all of it, and the namespace of `/ns/<namespace>/…`, the form
 * that Istio and SPIRE's Kubernetes controller give workload identities.
 */
export function callerFacts(path: string): CallerFacts {
  const [root, first, namespace] = path.split('/', 3)
  return { path, namespace: root === '' && first === 'ns' ? namespace : undefined }
}

/** A rule in one line, as lists and reasons show it: `export allow shop/* to globex (callers /web)`. */
export function ruleLine(rule: RuleContent): string {
  const { direction, effect, subject, audience } = rule
  const line = `${direction} ${effect} ${subject.namespace.text}/${subject.name.text}`
  return `${line} ${direction === 'export' ? 'to' : 'from'} ${audienceLine(audience)}`
}

function audienceLine({ kind, relationships, callers }: Audience): string {
  const whom = kind === 'peers' ? relationships.join(', ') || 'nobody' : kind
  if (callers === undefined) return whom
  return `${whom} (callers ${[...callers.namespaces, ...callers.paths].map((one) => one.text).join(' ')})`
}

function readAudience({ kind, relationships = [], callers }: AudienceDraft): Audience {
  return {
    kind,
    relationships,
    callers: callers && {
      namespaces: (callers.namespaces ?? []).map(parseNamePattern),
      paths: (callers.paths ?? []).map(parsePathPattern),
    },
  }
}

function subjectErrors({ subject }: RuleDraft): FieldError[] {
  return [
    ...errorAt('/subject/namespace', () => parseNamePattern(subject.namespace)),
    ...errorAt('/subject/name', () => parseNamePattern(subject.name)),
  ]
}

function audienceErrors({ direction, audience }: RuleDraft): FieldError[] {
  return [...peerErrors(audience), ...selfErrors(direction, audience), ...callerErrors(audience)]
}

function peerErrors({ kind, relationships = [] }: AudienceDraft): FieldError[] {
  const pointer = '/audience/relationships'
  const count = relationships.length
  if (kind !== 'peers') {
    return count === 0
      ? []
      : [refusal(pointer, `an audience of kind "${kind}" names no relationships`)]
  }
  if (count === 0 || count > MAX_PEERS) {
    return [
      refusal(
        pointer,
        `an audience of kind "peers" names 1 to ${MAX_PEERS} relationships, found ${count}`,
      ),
    ]
  }
  return new Set(relationships).size === count
    ? []
    : [refusal(pointer, 'a relationship is named twice')]
}

function selfErrors(direction: Direction, { kind }: AudienceDraft): FieldError[] {
  if (kind !== 'self' || direction === 'export') return []
  return [refusal('/audience/kind', 'a mesh imports nothing from itself; use direction "export"')]
}

function callerErrors({ callers }: AudienceDraft): FieldError[] {
  const pointer = '/audience/callers'
  if (callers === undefined) return []
  const { namespaces = [], paths = [] } = callers
  const most = Math.max(namespaces.length, paths.length)
  if (namespaces.length + paths.length === 0)
    return [refusal(pointer, 'callers name nobody; leave them out')]
  if (most > MAX_CALLERS)
    return [refusal(pointer, `at most ${MAX_CALLERS} of a sort, found ${most}`)]
  return [
    ...namespaces.flatMap((text, i) =>
      errorAt(`${pointer}/namespaces/${i}`, () => parseNamePattern(text)),
    ),
    ...paths.flatMap((text, i) => errorAt(`${pointer}/paths/${i}`, () => parsePathPattern(text))),
  ]
}

function attributeErrors(draft: RuleDraft, now: Date): FieldError[] {
  const { priority = 0, expiresAt, note = '' } = draft
  const errors: FieldError[] = []
  if (!Number.isInteger(priority) || Math.abs(priority) > MAX_PRIORITY) {
    const wanted = `an integer from -${MAX_PRIORITY} to ${MAX_PRIORITY}`
    errors.push(refusal('/priority', `priority must be ${wanted}, found ${priority}`))
  }
  if (expiresAt !== undefined && !(expiresAt > now)) {
    errors.push(refusal('/expiresAt', 'the rule would end before it began; wanted a moment ahead'))
  }
  if (note.length > MAX_NOTE_LENGTH) {
    errors.push(refusal('/note', `at most ${MAX_NOTE_LENGTH} characters, found ${note.length}`))
  }
  return errors
}

function errorAt(pointer: string, read: () => unknown): FieldError[] {
  try {
    read()
    return []
  } catch (error) {
    if (isServiceError(error, 'RULE_INVALID')) return [refusal(pointer, error.message)]
    throw error
  }
}

function refusal(pointer: string, detail: string): FieldError {
  return { in: 'body', pointer, detail }
}
