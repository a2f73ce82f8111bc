import {
  alternativeFor,
  emptyOf,
  isEmpty,
  isJsonRecord,
  isMap,
  isMerged,
  type JsonRecord,
  type JsonSchema,
} from './json-schema.ts'

/** One field that is not as the document has it; without `before` it is new, without `after` it goes. */
export interface FieldChange {
  /** As `domains[globex.example].endpointUrl`. */
  readonly field: string
  readonly before?: unknown
  readonly after?: unknown
}

/** How an object differs from its document. */
export interface Comparison {
  readonly changes: readonly FieldChange[]
  /** The body of the change that brings them together. */
  readonly patch: JsonRecord
  /** Those of the changes that no change of the object can bring. */
  readonly pinned: readonly FieldChange[]
}

/** A document, the object in the same form, and what the API takes. */
export interface Compared {
  readonly wanted: JsonRecord
  readonly live: JsonRecord
  readonly create: JsonSchema
  readonly change: JsonSchema
  /** The member that names the object; it is the same in both. */
  readonly nameMember: string
  /** Members that a change replaces whole. */
  readonly replaced?: readonly string[] | undefined
}

/**
 * Compares an object with its document.
 *
 * What the document leaves out is taken away where the API can take it away (a note, a limit, labels) and left as it
 * is elsewhere (settings, names for people).
 */
export function compare(about: Compared): Comparison {
  const { wanted, live, create, change, nameMember, replaced = [] } = about
  const changes: FieldChange[] = []
  const pinned: FieldChange[] = []
  const patch: Record<string, unknown> = {}
  for (const [name, schema] of Object.entries(create.properties ?? {})) {
    if (name === nameMember) continue
    const changing = change.properties?.[name]
    const target = targetOf(wanted[name], live[name], changing)
    if (target === undefined) continue
    const pair = { schema, before: live[name], after: target }
    const found = replaced.includes(name) ? inWhole(name, pair) : differences(name, pair)
    changes.push(...found)
    if (found.length === 0) continue
    if (changing === undefined) pinned.push(...found)
    else patch[name] = bodyOf(changing, { before: live[name], after: target })
  }
  return { changes, patch, pinned }
}

/** A member as the change takes it: of labels, null for each that goes. */
function bodyOf(changing: JsonSchema, { before, after }: Omit<Pair, 'schema'>): unknown {
  if (!isJsonRecord(before) || !isJsonRecord(after) || !isMerged(changing)) return after
  const gone = Object.keys(before).filter((name) => !Object.hasOwn(after, name))
  return { ...Object.fromEntries(gone.map((name) => [name, null])), ...after }
}

/** What a member should become; undefined when it stays. */
function targetOf(wanted: unknown, live: unknown, changing: JsonSchema | undefined): unknown {
  if (wanted !== undefined) return wanted
  return isEmpty(live) || changing === undefined ? undefined : emptyOf(changing)
}

/** Members of members that differ, also those that only one side has; empty ones count as absent. */
function inWhole(field: string, { before, after }: Pair): FieldChange[] {
  if (isEmpty(before) && isEmpty(after)) return []
  if (canonical(before) === canonical(after)) return []
  if (!isJsonRecord(before) || !isJsonRecord(after)) return [changeOf(field, before, after)]
  const names = new Set([...Object.keys(before), ...Object.keys(after)])
  return [...names].flatMap((name) =>
    inWhole(`${field}.${name}`, { schema: undefined, before: before[name], after: after[name] }),
  )
}

interface Pair {
  readonly schema: JsonSchema | undefined
  readonly before: unknown
  readonly after: unknown
}

function differences(field: string, { schema, before, after }: Pair): FieldChange[] {
  const form = schema === undefined ? undefined : alternativeFor(schema, after)
  if (isSame(before, after, form?.format)) return []
  if (isJsonRecord(before) && isJsonRecord(after)) return inMembers(field, form, { before, after })
  const items = { before: keyed(before), after: keyed(after) }
  if (items.before === undefined || items.after === undefined) {
    return [changeOf(field, before, after)]
  }
  return inItems(field, form?.items, { before: items.before, after: items.after })
}

function changeOf(field: string, before: unknown, after: unknown): FieldChange {
  return {
    field,
    ...(isEmpty(before) ? {} : { before }),
    ...(isEmpty(after) ? {} : { after }),
  }
}

interface Records {
  readonly before: JsonRecord
  readonly after: JsonRecord
}

/** Members of a fixed set that the document leaves out stay as they are; of labels they go. */
function inMembers(
  field: string,
  form: JsonSchema | undefined,
  { before, after }: Records,
): FieldChange[] {
  const whole = form !== undefined && isMap(form)
  const names = whole
    ? new Set([...Object.keys(before), ...Object.keys(after)])
    : Object.keys(after)
  return [...names].flatMap((name) =>
    differences(`${field}.${name}`, {
      schema: form?.properties?.[name],
      before: before[name],
      after: after[name],
    }),
  )
}

interface KeyedItems {
  readonly before: ReadonlyMap<string, unknown>
  readonly after: ReadonlyMap<string, unknown>
}

function inItems(
  field: string,
  items: JsonSchema | undefined,
  { before, after }: KeyedItems,
): FieldChange[] {
  const keys = new Set([...before.keys(), ...after.keys()])
  return [...keys].flatMap((key) =>
    differences(`${field}[${key}]`, {
      schema: items,
      before: before.get(key),
      after: after.get(key),
    }),
  )
}

/** Items by what names them, where their order says nothing; undefined for a list in which it does. */
function keyed(items: unknown): Map<string, unknown> | undefined {
  if (!Array.isArray(items)) return undefined
  const pairs = items.flatMap((item) =>
    isJsonRecord(item) && typeof item['trustDomain'] === 'string'
      ? [[item['trustDomain'], item] as const]
      : [],
  )
  const byKey = new Map<string, unknown>(pairs)
  return byKey.size === items.length && items.length > 0 ? byKey : undefined
}

function isSame(before: unknown, after: unknown, format: string | undefined): boolean {
  if (isEmpty(before) && isEmpty(after)) return true
  if (format === 'date-time' && typeof before === 'string' && typeof after === 'string') {
    return Date.parse(before) === Date.parse(after)
  }
  return canonical(before) === canonical(after)
}

/** One text for one JSON value: members in order of their names. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (!isJsonRecord(value)) return JSON.stringify(value) ?? 'null'
  const members = Object.keys(value)
    .filter((name) => value[name] !== undefined)
    .toSorted()
    .map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`)
  return `{${members.join(',')}}`
}
