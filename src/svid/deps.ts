import { type Signers } from '../authority/signers.ts'
import { type Clock } from '../clock.ts'
import { type Db } from '../db/schema.ts'
import { type DbClock } from '../db/time.ts'
import { ServiceError } from '../errors.ts'
import { type PeerBundles } from '../federation/peer-bundle/peer-bundles.ts'
import { type IssuanceUsage } from './issuance-usage.ts'
import { type OwnBundles } from './own-bundles.ts'
import { type RateLimiter } from './rate-limit.ts'
import { type IssuedReader, type IssuedWriter } from './record-issued.ts'

/** What the issuing of SVIDs stands on. */
export interface IssueDeps {
  readonly db: Db
  /** The database's clock: join tokens end by it. */
  readonly now: DbClock
  /** This process's clock: certificates and tokens begin by it. */
  readonly clock: Clock
  readonly signers: Pick<Signers, 'x509' | 'jwt' | 'forget'>
  readonly bundles: OwnBundles
  readonly peers: Pick<PeerBundles, 'of' | 'missing' | 'groups'>
  readonly writer: Pick<IssuedWriter, 'add'>
  readonly reader: Pick<IssuedReader, 'find'>
  readonly limiter: RateLimiter
  readonly usage: Pick<IssuanceUsage, 'count' | 'requireRoom'>
  readonly reattestAfterSeconds: number
}

/** Times that an SVID is signed again because its authority retired while it was being recorded. */
export const MOST_ATTEMPTS = 3

/** The failure when an authority retired each time. */
export function issuerMoved(): ServiceError {
  return new ServiceError('ISSUER_UNAVAILABLE', 'the authority changed while the SVID was signed', {
    retryAfterSeconds: 1,
  })
}
