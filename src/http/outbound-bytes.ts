import { type TLSSocket } from 'node:tls'
import { ServiceError } from '../errors.ts'

/** What a connection may bring beside its body: the handshake, the head of the answer, and chunks that are not absurdly small. */
const OVERHEAD_FACTOR = 2
const OVERHEAD_BYTES = 64 * 1024

/**
 * Ends a connection that brings more bytes than any answer with a body of `maxBytes` needs (FE-43).
 *
 * The HTTP parser bounds headers and body, but not informational answers and chunk extensions, which may go on for
 * ever. The connection then fails with PEER_ANSWER_REFUSED.
 */
export function boundBytes(
  socket: TLSSocket,
  { maxBytes, host }: { readonly maxBytes: number; readonly host: string },
): void {
  const most = maxBytes * OVERHEAD_FACTOR + OVERHEAD_BYTES
  socket.on('readable', () => {
    if (socket.bytesRead <= most) return
    const message = `the answer of ${host} is larger than ${maxBytes} bytes, its framing included`
    socket.destroy(new ServiceError('PEER_ANSWER_REFUSED', message))
  })
}
