/** Prints the story: one tick per step that held, with its evidence, and a cross for the one that did not. */
export class Ticks {
  readonly #startedAt = performance.now()
  #held = 0

  /** Steps that held so far. */
  get held(): number {
    return this.#held
  }

  /** Seconds since the demo began. */
  seconds(): number {
    return (performance.now() - this.#startedAt) / 1000
  }

  heading(text: string): void {
    console.log(`\n${text}`)
  }

  note(text: string): void {
    console.log(`        ${text}`)
  }

  /** Runs one step; it answers its evidence, one line each, or throws when it does not hold. */
  async step(title: string, run: () => Promise<readonly string[]>): Promise<void> {
    try {
      const evidence = await run()
      this.#held += 1
      console.log(`  ✔ ${title}  (${this.seconds().toFixed(1)} s)`)
      for (const line of evidence) this.note(line)
    } catch (cause) {
      console.log(`  ✘ ${title}  (${this.seconds().toFixed(1)} s)`)
      throw new StepFailed(title, cause)
    }
  }
}

/** A step of the story did not hold. */
export class StepFailed extends Error {
  constructor(title: string, cause: unknown) {
    super(`${title}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}

/** Ends a step that does not hold. */
export function insist(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Error(otherwise)
}
