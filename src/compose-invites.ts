import type { Base } from './compose-base.ts'
import type { Endpoints } from './compose-endpoints.ts'
import { HandshakeLimits } from './federation/invite/handshake-limits.ts'
import { handshakeRoutes } from './federation/invite/handshake-routes.ts'
import { inviteRoutes } from './federation/invite/invite-routes.ts'
import type { Federation } from './federation/open-federation.ts'
import { OurSide } from './federation/invite/our-side.ts'
import { pruneInvites } from './federation/invite/prune-invites.ts'
import type { HandshakeDeps } from './federation/invite/receive-handshake.ts'
import type { App } from './http/listener.ts'
import type { X5cSigner } from './pki/x5c-jws.ts'
import type { TrustDomain } from './spiffe/trust-domain.ts'
import { startTicker, type Ticker } from './ticker.ts'

/** Makes what invites are made, accepted and answered with. */
export function buildInvites(
  base: Base,
  { endpoints, federation }: { readonly endpoints: Endpoints; readonly federation: Federation },
): HandshakeDeps {
  const { config, database, now, log, clock } = base
  const { peerBundles, scheduler, outbound, relationshipRoutes } = federation
  return {
    db: database.db,
    now,
    log,
    outbound,
    redirects: config.FOLLOW_REDIRECTS ? 'follow' : 'refuse',
    side: new OurSide({ publicUrl: config.PUBLIC_URL, secret: endpoints.readerSecret }),
    readers: relationshipRoutes.readers,
    limits: new HandshakeLimits(clock),
    signerOf: (trustDomain) => signerOf(endpoints, trustDomain),
    onChanged: (meshId) => {
      peerBundles.invalidate(meshId)
      scheduler.kick()
    },
  }
}

/** Mounts invites under `/v1`. */
export function mountInviteAdmin(
  v1: App,
  { invites, federation }: { readonly invites: HandshakeDeps; readonly federation: Federation },
): void {
  const { anchors, readers } = federation.relationshipRoutes
  v1.register(inviteRoutes, { accept: invites, view: { anchors, readers } })
}

/** Mounts the handshake on the federation listener. */
export function mountHandshake(app: App, invites: HandshakeDeps): void {
  app.register(handshakeRoutes, invites)
}

const MINUTE_MS = 60_000

/** Removes what invites that are over leave behind. */
export function inviteTicker({ clock, log, now, database }: Base, { side }: HandshakeDeps): Ticker {
  const db = database.background
  const run = (): Promise<void> => pruneInvites(db, { side, now })
  return startTicker({ name: 'invites', everyMs: 10 * MINUTE_MS, clock, log, run })
}

function signerOf({ contexts }: Endpoints, trustDomain: TrustDomain): X5cSigner | undefined {
  const svid = contexts.svidOf('federation', trustDomain)
  if (svid === undefined) return undefined
  return { chain: [svid.certificate, svid.intermediate], privateKey: svid.privateKey }
}
