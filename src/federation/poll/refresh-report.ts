import { type ServiceError } from '../../errors.ts'
import { type PollTask } from './claim-store.ts'
import { type FetchResult } from './fetch-bundle.ts'
import { type PollOutcome } from './poll-store.ts'

/** How a poll of one domain ended. */
export interface RefreshReport {
  readonly task: PollTask
  /** `discarded`: the relationship changed meanwhile, so nothing of this poll counts. */
  readonly outcome: 'accepted' | 'unchanged' | 'quarantined' | 'failed' | 'discarded'
  readonly error: ServiceError | undefined
  readonly sequence: bigint | undefined
  readonly warnings: readonly string[]
  readonly result: FetchResult
  /** What was written; undefined when discarded. */
  readonly settled: PollOutcome | undefined
  readonly changesLastHour: number
  readonly activated: boolean
}
