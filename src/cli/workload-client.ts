import { request as httpRequest, type IncomingMessage } from 'node:http'
import { isIP, type LookupFunction } from 'node:net'
import { lookup as systemLookup } from 'node:dns'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { messageOf } from '../errors.ts'
import { publicKeySha256 } from '../pki/key-pair.ts'
import { readCertificate } from '../pki/certificate.ts'
import { verifyX509Svid } from '../pki/verify-chain.ts'
import { workloadEndpointId } from '../spiffe/spiffe-id.ts'
import { type TrustDomain } from '../spiffe/trust-domain.ts'
import { type Answer, failureOf, readAnswer } from './client.ts'
import { CliFailure, EXIT, usageFailure } from './failure.ts'

/** Which certificates of the server's chain may be its anchor. */
export type Anchors = (chain: readonly Uint8Array[]) => readonly Uint8Array[]

/** One call of the workload listener. */
export interface WorkloadCall {
  /** `host:port`, or an https URL. */
  readonly address: string
  readonly trustDomain: TrustDomain
  readonly anchors: Anchors
  /** The SVID to show, PEM; its key proves it. */
  readonly identity?: { readonly cert: string; readonly key: string }
  readonly path: string
  /** Sent as JSON; without one it is a GET. */
  readonly body?: object
  /** Of a call with a body; default POST. */
  readonly method?: 'POST' | 'PUT'
  readonly now: Date
}

const TIMEOUT_MS = 30_000
const DEFAULT_PORT = 8444
/** One more than a chain may have, so that a longer one is refused rather than cut. */
const MOST_CERTIFICATES = 11

/**
 * Calls the workload listener of a trust domain and answers with what it said.
 *
 * Not a byte of the request leaves before the server has proven, by a chain to one of the anchors, that it is
 * exactly `spiffe://<trust domain>/entente/workload-endpoint`; host names count for nothing. Throws a
 * {@link CliFailure}: exit code 3 when it cannot be reached, 1 when it is somebody else or refuses.
 */
export async function callWorkloadListener(call: WorkloadCall): Promise<Answer> {
  const socket = await openSocket(call)
  try {
    checkServer(socket, call)
    const answer = await exchange(socket, call)
    if (answer.status >= 200 && answer.status < 300) return answer
    throw failureOf(answer, call.address)
  } finally {
    socket.destroy()
  }
}

/** The anchors of a join token: certificates of the chain whose key has this SHA-256. */
export function anchorsByKey(sha256: Uint8Array): Anchors {
  const wanted = Buffer.from(sha256)
  return (chain) => chain.filter((der) => wanted.equals(publicKeySha256(readCertificate(der).spki)))
}

function checkServer(
  socket: TLSSocket,
  { trustDomain, anchors, now, address }: WorkloadCall,
): void {
  const wanted = workloadEndpointId(trustDomain)
  const next = [`check that ${address} is the workload listener of ${trustDomain}`]
  let found: string
  try {
    const chain = chainOf(socket)
    const trusted = anchors(chain)
    const anchorsOf = (of: TrustDomain) => (of === trustDomain ? trusted : undefined)
    found = verifyX509Svid(chain, { anchorsOf, now }).id
  } catch (cause) {
    const message = `${address} does not prove to be ${wanted}: ${messageOf(cause)}`
    throw new CliFailure(message, { cause, next })
  }
  if (found !== wanted) throw new CliFailure(`${address} is ${found}, wanted ${wanted}`, { next })
}

function chainOf(socket: TLSSocket): Uint8Array[] {
  const chain: Uint8Array[] = []
  const seen = new Set<string>()
  for (
    let certificate = socket.getPeerCertificate(true);
    certificate?.raw !== undefined && !seen.has(certificate.fingerprint256);
    certificate = certificate.issuerCertificate
  ) {
    seen.add(certificate.fingerprint256)
    if (chain.push(certificate.raw) === MOST_CERTIFICATES) break
  }
  return chain
}

/** A connected socket whose server has yet to be checked. */
async function openSocket(call: WorkloadCall): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>()
  const socket = connect(optionsOf(call))
  socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error(`silent for ${TIMEOUT_MS} ms`)))
  socket.once('secureConnect', () => resolve(socket))
  socket.once('error', reject)
  try {
    return await promise
  } catch (cause) {
    socket.destroy()
    throw unreachable(call, cause)
  }
}

function optionsOf({ address, trustDomain, identity }: WorkloadCall): ConnectionOptions {
  const { host, port } = readAddress(address)
  return {
    host,
    port,
    lookup: localhostLookup,
    // A trust domain that looks like an IP address cannot be a server name; the listener has a default then.
    ...(isIP(trustDomain) === 0 ? { servername: trustDomain } : {}),
    ALPNProtocols: ['http/1.1'],
    minVersion: 'TLSv1.2',
    // OpenSSL could only ask whether some CA signed it; who it is, is decided by checkServer before use.
    ca: [],
    rejectUnauthorized: false,
    ...identity,
  }
}

function readAddress(address: string): { readonly host: string; readonly port: number } {
  const text = address.includes('://') ? address : `https://${address}`
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol !== 'https:' || url.hostname === '') {
    throw usageFailure(
      `"${address}" is no address`,
      `write it as host:port, as localhost:${DEFAULT_PORT}`,
    )
  }
  const hasPort = /:\d+\/?$/.test(text)
  const port = url.port === '' ? (hasPort ? 443 : DEFAULT_PORT) : Number(url.port)
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port }
}

/** Names under `.localhost` are this machine, whether or not the resolver knows (RFC 6761 §6.3). */
const localhostLookup: LookupFunction = (hostname, options, callback) => {
  const isLocal = hostname === 'localhost' || hostname.endsWith('.localhost')
  systemLookup(isLocal ? 'localhost' : hostname, options, callback)
}

async function exchange(socket: TLSSocket, call: WorkloadCall): Promise<Answer> {
  const payload = call.body === undefined ? undefined : JSON.stringify(call.body)
  const { host } = readAddress(call.address)
  const headers = {
    host,
    connection: 'close',
    ...(payload === undefined
      ? {}
      : {
          'content-type': 'application/json',
          'content-length': String(Buffer.byteLength(payload)),
        }),
  }
  const method = payload === undefined ? 'GET' : (call.method ?? 'POST')
  const createConnection = (): TLSSocket => socket
  try {
    const incoming = await new Promise<IncomingMessage>((resolve, reject) => {
      httpRequest({ createConnection, method, path: call.path, headers }, resolve)
        .once('error', reject)
        .end(payload)
    })
    return await readAnswer(incoming)
  } catch (cause) {
    throw unreachable(call, cause)
  }
}

function unreachable({ address }: WorkloadCall, cause: unknown): CliFailure {
  const reason = cause instanceof AggregateError ? cause.errors.map(messageOf) : [messageOf(cause)]
  return new CliFailure(
    `no answer from the workload listener at ${address}: ${reason.join('; ')}`,
    {
      exitCode: EXIT.unreachable,
      next: [
        'is the service running? its start names the address; give it with --address HOST:PORT',
      ],
      cause,
    },
  )
}
