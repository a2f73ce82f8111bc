import type { FastifyRequest } from 'fastify'
import { type App } from '../../http/listener.ts'
import {
  type ArrivedCall,
  type AuthenticatedPeer,
  authenticatePeer,
  notAuthenticated,
} from './authenticate-peer.ts'
import { PEER_API } from './call-peer.ts'
import { MAX_PEER_BODY, readNotice } from './notice.ts'
import { ownStatus } from './own-status.ts'
import { writeStatus } from './peer-status.ts'
import { type ExchangeRoutesOptions } from './exchange-routes-options.ts'

const NOTHING = new Uint8Array()

/**
 * What peers call, on the federation listener, beneath `/federation/v1`: authenticated by JWT-SVID, so that it works
 * behind a balancer that ends TLS; no client certificate is ever asked for (FE-13).
 */
export const exchangeRoutes = async (app: App, options: ExchangeRoutesOptions): Promise<void> => {
  const { limits } = options
  // The token names the SHA-256 of the very bytes.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'buffer', bodyLimit: MAX_PEER_BODY },
    (_request, body, done) => done(null, body),
  )
  app.addHook('onRequest', async (request) =>
    limits.takeForSource(request.raw.socket.remoteAddress),
  )

  app.get(`${PEER_API}/relationship`, async (request, reply) => {
    const peer = await authenticated(options, request, 'status')
    const status = await ownStatus(options.db, peer, options.side)
    options.metrics.peerRequests.inc({ kind: 'status', outcome: 'served' })
    reply.header('cache-control', 'no-store')
    return writeStatus(status)
  })

  app.post(`${PEER_API}/notices`, { bodyLimit: MAX_PEER_BODY }, async (request, reply) => {
    const arrived = arrivedCall(request)
    options.takeLater(arrived, readNotice(arrived.call.body))
    // The same answer to everybody: it tells nobody whether we know them, or which keys of theirs we hold.
    return reply.code(202).send()
  })
}

async function authenticated(
  options: ExchangeRoutesOptions,
  request: FastifyRequest,
  kind: 'status',
): Promise<AuthenticatedPeer> {
  const found = await authenticatePeer(options, arrivedCall(request))
  if ('peer' in found) return found.peer
  options.metrics.peerRequests.inc({ kind, outcome: 'refused' })
  options.log.info(
    { event: 'peer-call.refused', kind, reason: found.reason, spiffeId: found.claimed?.from },
    'a call of a peer was refused',
  )
  throw notAuthenticated()
}

function arrivedCall(request: FastifyRequest): ArrivedCall {
  const { method, body } = request
  return {
    token: bearerToken(request),
    call: {
      method: method === 'POST' ? 'POST' : 'GET',
      path: request.raw.url ?? '',
      body: Buffer.isBuffer(body) ? body : NOTHING,
    },
  }
}

/** The token of the one `Authorization` header; with two of them nobody knows which one counts. */
function bearerToken({ raw }: FastifyRequest): string | undefined {
  const headers = raw.rawHeaders.filter((name, index) => {
    return index % 2 === 0 && name.toLowerCase() === 'authorization'
  })
  if (headers.length !== 1) return undefined
  return /^Bearer ([A-Za-z0-9._-]+)$/i.exec(raw.headers.authorization ?? '')?.[1]
}
