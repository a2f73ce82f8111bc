/** Fewest changes that are worth a look-up of their own before they are merged into the rest. */
const LEAST_ON_TOP = 64

/**
 * A map that is never changed: {@link with} answers with the next one, which shares nearly everything with it.
 *
 * A few changes lie on top of a large rest that all successors share, so the next map costs as much as what lies on
 * top; when that is more than the square root of the rest, both are merged. The order of entries means nothing.
 */
export class LayeredMap<V extends object> implements ReadonlyMap<string, V> {
  readonly size: number
  readonly #rest: ReadonlyMap<string, V>
  /** `undefined` = taken out. */
  readonly #top: ReadonlyMap<string, V | undefined>

  private constructor(
    rest: ReadonlyMap<string, V>,
    top: ReadonlyMap<string, V | undefined>,
    size: number,
  ) {
    this.#rest = rest
    this.#top = top
    this.size = size
  }

  /** A map of these entries; of equal keys the last counts. */
  static of<V extends object>(entries: Iterable<readonly [string, V]>): LayeredMap<V> {
    const rest = new Map(entries)
    return new LayeredMap(rest, new Map(), rest.size)
  }

  /** This map with some entries put in, and those taken out whose value is `undefined`. */
  with(changes: ReadonlyMap<string, V | undefined>): LayeredMap<V> {
    if (changes.size === 0) return this
    const top = new Map(this.#top)
    let { size } = this
    for (const [key, value] of changes) {
      size += Number(value !== undefined) - Number(this.has(key))
      top.set(key, value)
    }
    const isSmall = top.size <= Math.max(LEAST_ON_TOP, Math.sqrt(this.#rest.size))
    return isSmall ? new LayeredMap(this.#rest, top, size) : this.#merged(top)
  }

  get(key: string): V | undefined {
    const value = this.#top.get(key)
    if (value !== undefined) return value
    return this.#top.has(key) ? undefined : this.#rest.get(key)
  }

  has(key: string): boolean {
    return this.get(key) !== undefined
  }

  forEach(visit: (value: V, key: string, map: ReadonlyMap<string, V>) => void): void {
    for (const [key, value] of this) visit(value, key, this)
  }

  *entries(): MapIterator<[string, V]> {
    for (const entry of this.#rest) if (!this.#top.has(entry[0])) yield entry
    for (const [key, value] of this.#top) if (value !== undefined) yield [key, value]
    return undefined
  }

  *keys(): MapIterator<string> {
    for (const [key] of this) yield key
    return undefined
  }

  *values(): MapIterator<V> {
    for (const [, value] of this) yield value
    return undefined
  }

  [Symbol.iterator](): MapIterator<[string, V]> {
    return this.entries()
  }

  #merged(top: ReadonlyMap<string, V | undefined>): LayeredMap<V> {
    const rest = new Map(this.#rest)
    for (const [key, value] of top) {
      if (value === undefined) rest.delete(key)
      else rest.set(key, value)
    }
    return new LayeredMap(rest, new Map(), rest.size)
  }
}
