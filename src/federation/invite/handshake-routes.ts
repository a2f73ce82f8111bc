import { type App } from '../../http/listener.ts'
import { HANDSHAKE_MEDIA_TYPE, MAX_HANDSHAKE_CHARACTERS } from './handshake.ts'
import { type HandshakeDeps, receiveHandshake } from './receive-handshake.ts'

/** The door for acceptors of our invites: no client certificate, the invite's secret and a signature (FE-13). */
export const handshakeRoutes = async (app: App, options: HandshakeDeps): Promise<void> => {
  app.addContentTypeParser(
    HANDSHAKE_MEDIA_TYPE,
    { parseAs: 'string', bodyLimit: MAX_HANDSHAKE_CHARACTERS },
    async (_request: unknown, body: string) => body,
  )
  // Before the body is read: a flood costs no reading of 1 MiB each.
  app.addHook('onRequest', async (request) =>
    options.limits.takeForSource(request.raw.socket.remoteAddress),
  )
  app.post(
    '/federation/v1/handshake',
    { bodyLimit: MAX_HANDSHAKE_CHARACTERS },
    async (request, reply) => {
      const token = typeof request.body === 'string' ? request.body : ''
      const answer = await receiveHandshake(options, token)
      return reply.type(HANDSHAKE_MEDIA_TYPE).header('cache-control', 'no-store').send(answer)
    },
  )
}
