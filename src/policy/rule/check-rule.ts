import { isId, isLabel } from '../../db/ids.ts'
import { type FieldError, isServiceError, quoted, ServiceError } from '../../errors.ts'
import { selectorErrors } from './label-selector.ts'
import { parseNamePattern, parsePathPattern } from './pattern.ts'
import {
  type AudienceDraft,
  type Direction,
  isIdentityDraft,
  type RuleDraft,
  type ServiceSubjectDraft,
} from './rule.ts'

/** Largest distance of a rule's priority from 0; enough to give every rule of a long ordered list its own. */
export const MAX_PRIORITY = 100_000
/** Most relationships, and most groups, that one rule names. */
export const MAX_PEERS = 256
/** Most caller patterns of each sort in one rule. */
export const MAX_CALLERS = 64
/** Most ports, clusters or namespaces of ours that one rule names. */
export const MAX_NAMES = 64
/** Largest rule as JSON, in characters: room for as many relationships as one may name, and callers beside them. */
const MAX_RULE_LENGTH = 32_768
/** Longest note, in characters. */
export const MAX_NOTE_LENGTH = 500

/**
 * Refuses a draft that may not stand: RULE_INVALID with one field error per thing that is wrong.
 *
 * An end that has passed by `now` is wrong too. With `touched`, only those members are judged: what stands may
 * have become odd since (its end passed, its relationships are gone) and is no fault of this change. What follows
 * from several members is told at the one that has to give way.
 */
export function checkRule(
  draft: RuleDraft,
  now: Date,
  touched?: readonly (keyof RuleDraft)[],
): void {
  requireSize(draft)
  const errors = [
    ...nameErrors(draft),
    ...subjectErrors(draft),
    ...audienceErrors(draft),
    ...narrowingErrors(draft),
    ...aliasErrors(draft),
    ...attributeErrors(draft, now),
  ]
  const fields = touched === undefined ? errors : errors.filter((one) => concerns(one, touched))
  const [first] = fields
  if (first !== undefined) throw new ServiceError('RULE_INVALID', first.detail, { fields })
}

function requireSize(draft: RuleDraft): void {
  const { length } = JSON.stringify(draft)
  if (length <= MAX_RULE_LENGTH) return
  const detail = `the rule takes ${length} characters, wanted at most ${MAX_RULE_LENGTH}; several rules add up`
  throw new ServiceError('RULE_INVALID', detail, { fields: [{ in: 'body', pointer: '', detail }] })
}

// A change of what a rule speaks of or does can make any other member wrong.
function concerns({ pointer }: FieldError, touched: readonly (keyof RuleDraft)[]): boolean {
  const isWide = ['subject', 'effect', 'audience'].some((name) =>
    touched.some((one) => one === name),
  )
  if (isWide && ['/as', '/visibleTo', '/audience/callers'].includes(pointer)) return true
  return touched.some((name) => `${pointer}/`.startsWith(`/${name}/`))
}

// A text in the form of an id names a rule by it.
function nameErrors({ name }: RuleDraft): FieldError[] {
  if (name === undefined || (isLabel(name) && !isId(name))) return []
  const wanted = 'must be a DNS label: 1 to 63 of a-z, 0-9 and -, and no UUID'
  return [refusal('/name', `name ${quoted(name)} ${wanted}`)]
}

function subjectErrors({ direction, effect, subject }: RuleDraft): FieldError[] {
  if (!isIdentityDraft(subject)) return serviceErrors(subject)
  const wrong = errorAt('/subject/identity', () => parsePathPattern(subject.identity))
  if (direction === 'export' || effect === 'deny') return wrong
  const detail =
    'identities of peers are recognised by the export rule that admits them as callers; an import rule can only deny them'
  return [...wrong, refusal('/effect', detail)]
}

function serviceErrors({ namespace, name, labels, ports }: ServiceSubjectDraft): FieldError[] {
  return [
    ...errorAt('/subject/namespace', () => parseNamePattern(namespace)),
    ...errorAt('/subject/name', () => parseNamePattern(name)),
    ...(labels === undefined ? [] : selectorErrors(labels, '/subject/labels')),
    ...(ports === undefined ? [] : namesErrors(ports, '/subject/ports', 'ports')),
  ]
}

function audienceErrors({ direction, subject, audience }: RuleDraft): FieldError[] {
  return [
    ...peerErrors(audience),
    ...selfErrors(direction, audience, isIdentityDraft(subject)),
    ...callerErrors(audience),
  ]
}

function peerErrors({ kind, relationships = [], groups = [] }: AudienceDraft): FieldError[] {
  const sorts = [
    ['relationships', relationships],
    ['groups', groups],
  ] as const
  if (kind !== 'peers') {
    return sorts.flatMap(([sort, names]) =>
      names.length === 0
        ? []
        : [refusal(`/audience/${sort}`, `an audience of kind "${kind}" names no ${sort}`)],
    )
  }
  if (relationships.length + groups.length === 0) {
    const detail = 'an audience of kind "peers" names relationships or groups, found none'
    return [refusal('/audience/relationships', detail)]
  }
  return sorts.flatMap(([sort, names]) => countErrors(names, `/audience/${sort}`, MAX_PEERS))
}

function selfErrors(
  direction: Direction,
  { kind }: AudienceDraft,
  isIdentity: boolean,
): FieldError[] {
  if (kind !== 'self') return []
  if (direction === 'import') {
    return [refusal('/audience/kind', 'a mesh imports nothing from itself; use direction "export"')]
  }
  if (!isIdentity) return []
  return [refusal('/audience/kind', 'a mesh knows its own identities; this rule is for peers')]
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

function narrowingErrors({ direction, subject, audience, ...draft }: RuleDraft): FieldError[] {
  const { clusters, visibleTo, ownerScope } = draft
  const errors: FieldError[] = []
  if (isIdentityDraft(subject) && audience.callers !== undefined) {
    errors.push(refusal('/audience/callers', 'an identity is the caller; the subject names it'))
  }
  if (clusters !== undefined) errors.push(...namesErrors(clusters, '/clusters', 'clusters'))
  if (ownerScope !== undefined) errors.push(...namesErrors(ownerScope, '/ownerScope', 'namespaces'))
  if (visibleTo === undefined) return errors
  if (direction === 'export' || isIdentityDraft(subject)) {
    const detail = 'only services that are imported are visible to some namespaces; use callers'
    return [...errors, refusal('/visibleTo', detail)]
  }
  return [
    ...errors,
    ...amountErrors(visibleTo, '/visibleTo', 'namespaces'),
    ...visibleTo.flatMap((text, i) => errorAt(`/visibleTo/${i}`, () => parseNamePattern(text))),
  ]
}

function aliasErrors({ effect, subject, audience, as }: RuleDraft): FieldError[] {
  if (as === undefined) return []
  if (audience.kind === 'self') {
    return [
      refusal('/as', 'a service keeps its name in its own mesh; only peers know it by another'),
    ]
  }
  if (effect === 'deny') return [refusal('/as', 'what is denied has no name; only an allow has')]
  if (isIdentityDraft(subject)) return [refusal('/as', 'identities keep their names')]
  if (as.namespace === undefined && as.name === undefined) {
    return [refusal('/as', 'names nothing; wanted a namespace, a name or both')]
  }
  const errors = (['namespace', 'name'] as const).flatMap((part) => {
    const text = as[part]
    if (text === undefined || isLabel(text)) return []
    return [refusal(`/as/${part}`, `${quoted(text)} must be a DNS label; leave it out to keep it`)]
  })
  if (as.name !== undefined && subject.name.endsWith('*')) {
    const detail = `every service of ${subject.namespace}/${subject.name} would be called ${quoted(as.name)}; name one service`
    errors.push(refusal('/as', detail))
  }
  return errors
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

function namesErrors(names: readonly string[], pointer: string, sort: string): FieldError[] {
  return [
    ...amountErrors(names, pointer, sort),
    ...names.flatMap((name, i) =>
      isLabel(name) ? [] : [refusal(`${pointer}/${i}`, `${quoted(name)} must be a DNS label`)],
    ),
  ]
}

function amountErrors(names: readonly string[], pointer: string, sort: string): FieldError[] {
  if (names.length === 0) return [refusal(pointer, `names no ${sort}; leave it out for all`)]
  return countErrors(names, pointer, MAX_NAMES)
}

function countErrors(names: readonly string[], pointer: string, most: number): FieldError[] {
  if (names.length > most) return [refusal(pointer, `at most ${most}, found ${names.length}`)]
  const twice = names.find((name, i) => names.indexOf(name) < i)
  return twice === undefined ? [] : [refusal(pointer, `${quoted(twice)} is named twice`)]
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
