import { once } from 'node:events'
import { request, type RequestOptions } from 'node:https'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { PeerCertificate, TLSSocket } from 'node:tls'
import { buffer } from 'node:stream/consumers'

export interface TlsAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  /** What the server presented, leaf first, as it came over the wire. */
  readonly chain: readonly Buffer[]
}

/** One HTTPS request on a fresh connection that checks nothing about the server; tests look at what it presented. */
export async function tlsGet(
  url: string,
  options: Omit<RequestOptions, 'headers'> & { readonly headers?: Record<string, string> } = {},
): Promise<TlsAnswer> {
  const target = new URL(url)
  const asked = request({
    host: '127.0.0.1',
    port: target.port,
    path: target.pathname,
    servername: target.hostname,
    rejectUnauthorized: false,
    agent: false,
    ...options,
    headers: { host: target.host, ...options.headers },
  })
  asked.end()
  const [answer] = (await once(asked, 'response')) as [IncomingMessage]
  const chain = chainOf(answer.socket as TLSSocket)
  const body = await buffer(answer)
  return { status: answer.statusCode ?? 0, headers: answer.headers, body, chain }
}

function chainOf(socket: TLSSocket): Buffer[] {
  const chain: Buffer[] = []
  let next: PeerCertificate | undefined = socket.getPeerCertificate(true)
  while (next !== undefined && next.raw !== undefined && chain.length < 10) {
    chain.push(next.raw)
    const issuer: PeerCertificate | undefined =
      'issuerCertificate' in next ? (next.issuerCertificate as PeerCertificate) : undefined
    if (issuer === undefined || issuer.fingerprint256 === next.fingerprint256) break
    next = issuer
  }
  return chain
}
