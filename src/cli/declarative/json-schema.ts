/** The part of JSON Schema (2020-12) that the API's description of bodies uses. */
export interface JsonSchema {
  readonly type?: string
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly patternProperties?: Readonly<Record<string, JsonSchema>>
  readonly additionalProperties?: boolean | JsonSchema
  readonly required?: readonly string[]
  readonly items?: JsonSchema
  readonly minItems?: number
  readonly anyOf?: readonly JsonSchema[]
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly format?: string
}

/** A JSON object of unknown shape. */
export type JsonRecord = Readonly<Record<string, unknown>>

/** Whether a value is a JSON object. */
export function isJsonRecord(value: unknown): value is JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Stands for a value that a schema has no place for. */
export const NOTHING = Symbol('nothing')

/**
 * What of a value a body of this schema can carry: members that the schema does not know, and values of another
 * type, are left out; {@link NOTHING} when nothing is left.
 */
export function pick(schema: JsonSchema, value: unknown): unknown {
  if (schema.anyOf !== undefined) return pickAny(schema.anyOf, value)
  if (schema.enum !== undefined && !schema.enum.includes(value)) return NOTHING
  if ('const' in schema && schema.const !== value) return NOTHING
  if (schema.type === 'object') return isJsonRecord(value) ? pickMembers(schema, value) : NOTHING
  if (schema.type === 'array') return Array.isArray(value) ? pickItems(schema, value) : NOTHING
  return isOfType(schema.type, value) ? value : NOTHING
}

function pickAny(alternatives: readonly JsonSchema[], value: unknown): unknown {
  for (const alternative of alternatives) {
    const picked = pick(alternative, value)
    if (picked !== NOTHING) return picked
  }
  return NOTHING
}

function pickMembers(schema: JsonSchema, value: JsonRecord): unknown {
  if (isMap(schema)) return value
  const members = Object.entries(schema.properties ?? {})
    .filter(([name]) => Object.hasOwn(value, name))
    .map(([name, member]) => [name, pick(member, value[name])] as const)
    .filter(([, member]) => member !== NOTHING)
  const picked: JsonRecord = Object.fromEntries(members)
  const isWhole = (schema.required ?? []).every((name) => Object.hasOwn(picked, name))
  return isWhole ? picked : NOTHING
}

function pickItems(schema: JsonSchema, value: readonly unknown[]): unknown {
  const items = value.map((item) => pick(schema.items ?? {}, item))
  return items.includes(NOTHING) ? NOTHING : items
}

function isOfType(type: string | undefined, value: unknown): boolean {
  if (type === undefined) return true
  if (type === 'null') return value === null
  if (type === 'integer') return Number.isInteger(value)
  return typeof value === type
}

/** Whether objects of a schema have members of any name (labels), and not a fixed set. */
export function isMap(schema: JsonSchema): boolean {
  return schema.type === 'object' && schema.properties === undefined
}

/** The alternative of a schema that a value is meant for; the schema itself without alternatives. */
export function alternativeFor(schema: JsonSchema, value: unknown): JsonSchema {
  if (schema.anyOf === undefined) return schema
  return schema.anyOf.find((alternative) => pick(alternative, value) !== NOTHING) ?? schema
}

/**
 * The value that takes a member away in a change: null where it may be null, no members, no items; undefined where
 * the API cannot take it away.
 */
export function emptyOf(schema: JsonSchema): unknown {
  if (pick(schema, null) === null) return null
  if (isMap(schema)) return {}
  return schema.type === 'array' && (schema.minItems ?? 0) === 0 ? [] : undefined
}

/** Whether members of a map are taken away one by one with null, the others kept (JSON Merge Patch, RFC 7396). */
export function isMerged(schema: JsonSchema): boolean {
  const form = alternativeFor(schema, {})
  const { additionalProperties: members } = form
  return isMap(form) && typeof members === 'object' && pick(members, null) === null
}

/** A value without members that may be absent and say nothing. */
export function lean(schema: JsonSchema, value: unknown): unknown {
  const form = alternativeFor(schema, value)
  if (Array.isArray(value)) return value.map((item) => lean(form.items ?? {}, item))
  if (!isJsonRecord(value) || isMap(form)) return value
  const required = new Set(form.required)
  const members = Object.entries(value)
    .filter(([name, member]) => required.has(name) || !isEmpty(member))
    .map(([name, member]) => [name, lean(form.properties?.[name] ?? {}, member)])
  return Object.fromEntries(members)
}

/** Whether a value says as much as an absent one. */
export function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null) return true
  if (Array.isArray(value)) return value.length === 0
  return isJsonRecord(value) && Object.keys(value).length === 0
}
