import { AsyncLocalStorage } from 'node:async_hooks'
import { ServiceError } from '../errors.ts'

const scope = new AsyncLocalStorage<true>()

/** Runs `body` in an async context marked as being inside a transaction. */
export function markTransaction<T>(body: () => Promise<T>): Promise<T> {
  return scope.run(true, body)
}

/** Runs `body` outside any transaction mark, for work that only begins inside one (timers, caches). */
export function leaveTransaction<T>(body: () => T): T {
  return scope.exit(body)
}

/**
 * Throws TRANSACTION_MISUSE when called inside a transaction.
 *
 * The plain database handle (a deadlock on PGlite, a torn transaction on Postgres) and every outgoing
 * connection (a network call under a lock) ask this first. `what` names the act that was refused.
 */
export function assertOutsideTransaction(what: string): void {
  if (scope.getStore() === undefined) return
  throw new ServiceError(
    'TRANSACTION_MISUSE',
    `${what} was used inside a transaction; use the transaction's own handle, and the network only before or after it`,
  )
}
