/** A source of numbers that gives the same ones in every run. */
export interface Numbers {
  /** A whole number from 0 to `limit` - 1. */
  below(limit: number): number
}

/** Numbers from a seed (mulberry32); good enough to spread test data, for nothing else. */
export function seededNumbers(seed: number): Numbers {
  let state = seed
  return {
    below: (limit) => {
      state = (state + 0x6d2b79f5) | 0
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
      return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296) * limit)
    },
  }
}
