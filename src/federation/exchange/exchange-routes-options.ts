import { type Logger } from '../../http/log.ts'
import { type ArrivedCall, type AuthenticatePeerDeps } from './authenticate-peer.ts'
import { type Notice } from './notice.ts'
import { type OurSide } from '../invite/our-side.ts'
import { type PeerLimits } from './peer-limits.ts'
import { type TakeNoticeDeps } from './take-notice.ts'

/** What the routes for peers need. */
export interface ExchangeRoutesOptions extends AuthenticatePeerDeps {
  readonly limits: PeerLimits
  /** Tells our own parameters. */
  readonly side: OurSide
  readonly metrics: TakeNoticeDeps['metrics']
  readonly log: Pick<Logger, 'info'>
  /** Takes a notice after its sender was answered; throws RATE_LIMITED when too many wait. */
  readonly takeLater: (arrived: ArrivedCall, notice: Notice) => void
}
