import { type Pattern } from '../rule/pattern.ts'

/**
 * A map keyed by patterns and asked with names: finds every pattern that fits without trying them all.
 *
 * One look-up costs one hash for the whole name and one for each distinct length of a beginning.
 */
export interface PatternMap<T> {
  readonly exact: Map<string, T>
  readonly beginnings: Map<string, T>
  readonly lengths: number[]
}

/** A pattern map without entries. */
export function emptyPatternMap<T>(): PatternMap<T> {
  return { exact: new Map(), beginnings: new Map(), lengths: [] }
}

/** The entry of a pattern, made by `make` when it is the first of its kind. */
export function entryOf<T>(map: PatternMap<T>, pattern: Pattern, make: () => T): T {
  const side = pattern.wild ? map.beginnings : map.exact
  const present = side.get(pattern.literal)
  if (present !== undefined) return present
  const made = make()
  side.set(pattern.literal, made)
  const { length } = pattern.literal
  if (pattern.wild && !map.lengths.includes(length)) map.lengths.push(length)
  return made
}

/** Calls `visit` with the entry of every pattern that fits the name. */
export function visitFitting<T>(map: PatternMap<T>, name: string, visit: (entry: T) => void): void {
  const exact = map.exact.get(name)
  if (exact !== undefined) visit(exact)
  for (const length of map.lengths) {
    if (length > name.length) continue
    const entry = map.beginnings.get(length === name.length ? name : name.slice(0, length))
    if (entry !== undefined) visit(entry)
  }
}

/** A map of its own with the same entries. */
export function copyOf<T>({ exact, beginnings, lengths }: PatternMap<T>): PatternMap<T> {
  return { exact: new Map(exact), beginnings: new Map(beginnings), lengths: [...lengths] }
}

/** Puts an entry in the place of the one that a pattern has, and answers with it. */
export function setEntry<T>(map: PatternMap<T>, pattern: Pattern, entry: T): T {
  entryOf(map, pattern, () => entry)
  const side = pattern.wild ? map.beginnings : map.exact
  side.set(pattern.literal, entry)
  return entry
}

/** Takes the entry of a pattern out. */
export function deleteEntry<T>(map: PatternMap<T>, { wild, literal }: Pattern): void {
  if (!wild) {
    map.exact.delete(literal)
    return
  }
  map.beginnings.delete(literal)
  const { length } = literal
  for (const one of map.beginnings.keys()) if (one.length === length) return
  const at = map.lengths.indexOf(length)
  if (at >= 0) map.lengths.splice(at, 1)
}

/** Whether a map has no entries. */
export function isEmpty({ exact, beginnings }: PatternMap<unknown>): boolean {
  return exact.size + beginnings.size === 0
}
