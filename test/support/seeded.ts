import fc from 'fast-check'

/** The seed of every property test; fixed so that a run can be repeated, overridden for exploring. */
const SEED = 20_270_115

/** Runs a property with the fixed seed, or the one given, and says so; a failure prints the smallest counterexample. */
export function seeded<T>(
  t: { comment(text: string): void; pass(text: string): void },
  property: fc.IRawProperty<T>,
  numRuns = 500,
  seed = SEED,
): void {
  t.comment(`fast-check seed ${seed}, ${numRuns} runs`)
  fc.assert(property, { seed, numRuns })
  t.pass(`held for ${numRuns} inputs`)
}

/** As {@link seeded}, for a property that waits. */
export async function seededAsync<T>(
  t: { comment(text: string): void; pass(text: string): void },
  property: fc.IAsyncProperty<T>,
  numRuns = 500,
): Promise<void> {
  t.comment(`fast-check seed ${SEED}, ${numRuns} runs`)
  await fc.assert(property, { seed: SEED, numRuns })
  t.pass(`held for ${numRuns} inputs`)
}
