/** A share of some weight: of `amount`, `weight` parts out of `total`. */
export interface Share {
  readonly amount: number
  readonly weight: number
  readonly total: number
}

/** Largest factor by which weights grow so that shares come out whole; beyond it they are rounded. */
const MAX_SCALE = 1000

/** Smallest factor that makes every share a whole number, at most 1,000. */
export function scaleOf(shares: readonly Share[]): number {
  let scale = 1
  for (const { weight, total } of shares) {
    const parts = total / greatestCommon(weight, total)
    scale = (scale * parts) / greatestCommon(scale, parts)
    if (scale > MAX_SCALE) return MAX_SCALE
  }
  return scale
}

/** What shares add up to under a scale: a whole number, never less than 1. */
export function scaledWeight(shares: readonly Share[], scale: number): number {
  const sum = shares.reduce(
    (so, { amount, weight, total }) => so + (amount * weight * scale) / total,
    0,
  )
  return Math.max(1, Math.round(sum))
}

function greatestCommon(a: number, b: number): number {
  let [x, y] = [a, b]
  while (y !== 0) [x, y] = [y, x % y]
  return x
}
