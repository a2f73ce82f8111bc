/** Shards for a map of one entry; of more, times the root of their number: to copy a pointer costs so much less. */
const SHARDS = 8
/** How far a map may outgrow its shards before they are laid out anew. */
const OUTGROWN = 8

type Shard<V> = ReadonlyMap<string, V>

/**
 * A map that is never changed: {@link with} answers with the next one, which shares nearly everything with it.
 *
 * Entries lie in shards whose number grows with the root of the size, as does what lies in each: so the next map costs
 * a copy of the list of shards and of those that a change touches. The order of entries means nothing.
 */
export class ShardedMap<V extends object> implements ReadonlyMap<string, V> {
  readonly size: number
  /** As many as a power of two. */
  readonly #shards: readonly Shard<V>[]

  private constructor(shards: readonly Shard<V>[], size: number) {
    this.#shards = shards
    this.size = size
  }

  /** A map of these entries; of equal keys the last counts. */
  static of<V extends object>(entries: Iterable<readonly [string, V]>): ShardedMap<V> {
    const all = [...entries]
    const count = 2 ** Math.ceil(Math.log2(SHARDS * Math.sqrt(all.length + 1)))
    const shards = Array.from({ length: count }, () => new Map<string, V>())
    for (const [key, value] of all) shards[shardOf(key, count)]?.set(key, value)
    return new ShardedMap(
      shards,
      shards.reduce((sum, shard) => sum + shard.size, 0),
    )
  }

  /** This map with some entries put in, and those taken out whose value is `undefined`. */
  with(changes: ReadonlyMap<string, V | undefined>): ShardedMap<V> {
    if (changes.size === 0) return this
    const shards = [...this.#shards]
    const touched = new Map<number, Map<string, V>>()
    let { size } = this
    for (const [key, value] of changes) {
      const at = shardOf(key, shards.length)
      const shard = touched.get(at) ?? new Map(shards[at])
      touched.set(at, shard)
      size += Number(value !== undefined) - Number(shard.has(key))
      if (value === undefined) shard.delete(key)
      else shard.set(key, value)
      shards[at] = shard
    }
    const next = new ShardedMap(shards, size)
    return size > OUTGROWN * (shards.length / SHARDS) ** 2 ? ShardedMap.of(next) : next
  }

  get(key: string): V | undefined {
    return this.#shards[shardOf(key, this.#shards.length)]?.get(key)
  }

  has(key: string): boolean {
    return this.get(key) !== undefined
  }

  forEach(visit: (value: V, key: string, map: ReadonlyMap<string, V>) => void): void {
    for (const [key, value] of this) visit(value, key, this)
  }

  *entries(): MapIterator<[string, V]> {
    for (const shard of this.#shards) yield* shard
    return undefined
  }

  *keys(): MapIterator<string> {
    for (const shard of this.#shards) yield* shard.keys()
    return undefined
  }

  *values(): MapIterator<V> {
    for (const shard of this.#shards) yield* shard.values()
    return undefined
  }

  [Symbol.iterator](): MapIterator<[string, V]> {
    return this.entries()
  }
}

/** FNV-1a; `count` is a power of two. */
function shardOf(key: string, count: number): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < key.length; at += 1) {
    hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193)
  }
  return (hash ^ (hash >>> 15)) & (count - 1)
}
