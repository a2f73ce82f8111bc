import { type ReadDocument } from './accept-bundle.ts'
import { type Anchors } from './anchors.ts'
import { type PollTask, type WaitingBundle } from './claim-store.ts'
import { type KeyDigests } from '../trust/effective-bundle.ts'
import { type Relationship } from '../relationship.ts'
import { type PeerRevision, type VerifiedBy } from '../peer-bundle/revision-store.ts'
import { type Voucher } from './voucher.ts'

/** A fetched document that is to be stored, how it came, and on whose word. */
export interface Served {
  readonly read: ReadDocument
  readonly verifiedBy: VerifiedBy
  /** Of an endpoint that stands in another trust domain. */
  readonly voucher: Voucher | undefined
  readonly etag: string | undefined
  readonly actor: string
  readonly acceptLowerSequence: boolean
}

/** Everything that storing one document happens within. */
export interface Storing {
  readonly task: PollTask
  readonly relationship: Relationship
  /** The revision in use until now. */
  readonly previous: PeerRevision | undefined
  readonly served: Served
  readonly distrusted: KeyDigests
  readonly now: Date
}

/** What is in use and what waits once a document was stored. */
export interface InForce {
  readonly hintSeconds: number | undefined
  readonly httpEtag: string | undefined
  readonly anchors: Anchors
  readonly waiting: WaitingBundle | undefined
}
