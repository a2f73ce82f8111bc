/** What the exit codes of every command mean; `diff` alone answers 1 for differences and 4 where others answer 1. */
export const EXIT = { ok: 0, refused: 1, usage: 2, unreachable: 3, diffFailed: 4 } as const

/** One of {@link EXIT}. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** One refused field of a request, as the service named it. */
export interface RefusedField {
  readonly in?: string
  readonly pointer?: string
  readonly detail: string
}

/** What a {@link CliFailure} may carry beside its message. */
export interface CliFailureOptions {
  readonly exitCode?: ExitCode
  /** HTTP status and stable code of the service's answer. */
  readonly status?: number
  readonly code?: string
  readonly fields?: readonly RefusedField[]
  /** Commands or acts that help. */
  readonly next?: readonly string[]
  /** The step of a longer act that failed; those before it succeeded. */
  readonly failedStep?: string
  readonly cause?: unknown
}

/** A failure that ends a command: what was found, what helps, and the exit code (default 1, refused). */
export class CliFailure extends Error {
  override readonly name = 'CliFailure'
  readonly exitCode: ExitCode
  readonly status: number | undefined
  readonly code: string | undefined
  readonly fields: readonly RefusedField[]
  readonly next: readonly string[]
  readonly failedStep: string | undefined

  constructor(message: string, options: CliFailureOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.exitCode = options.exitCode ?? EXIT.refused
    this.status = options.status
    this.code = options.code
    this.fields = options.fields ?? []
    this.next = options.next ?? []
    this.failedStep = options.failedStep
  }
}

/** Ends a command that did not fail with an exit code that says something, and nothing more is printed. */
export class CliExit extends Error {
  override readonly name = 'CliExit'
  readonly exitCode: number

  constructor(exitCode: number) {
    super(`exit code ${exitCode}`)
    this.exitCode = exitCode
  }
}

/** A failure of the call itself (exit code 2): a wrong argument, option or file. */
export function usageFailure(message: string, ...next: readonly string[]): CliFailure {
  return new CliFailure(message, { exitCode: EXIT.usage, next })
}
