import { createHash } from 'node:crypto'
import { lookup as dnsLookup } from 'node:dns/promises'
import { type LookupFunction, isIP } from 'node:net'
import {
  type ConnectionOptions,
  createSecureContext,
  type DetailedPeerCertificate,
  getCACertificates,
  type SecureContext,
  TLSSocket,
} from 'node:tls'
import { callbackify } from 'node:util'
import { buildConnector } from 'undici'
import { messageOf, ServiceError } from '../errors.ts'
import { readCertificate } from '../pki/certificate.ts'
import { toPem } from '../pki/pem.ts'
import { verifyX509Svid } from '../pki/verify-chain.ts'
import { MAX_SPIFFE_ID_BYTES, type SpiffeId, trustDomainOf } from '../spiffe/spiffe-id.ts'
import { decideEgress, type Destination, isLocalhostName } from './egress.ts'
import { type EgressRule } from './egress-rule.ts'
import { boundBytes } from './outbound-bytes.ts'

/**
 * How a server proves who it is, chosen by the caller for each request; there is no falling back (FE-03).
 *
 * `web`: a chain to the machine's roots and the host's name. `spiffe`: exactly this SPIFFE ID under exactly
 * these anchors (DER), which are the newest stored bundle of the ID's trust domain; an empty list trusts nobody.
 */
export type ServerProof =
  | { readonly kind: 'web' }
  | { readonly kind: 'spiffe'; readonly id: SpiffeId; readonly anchors: readonly Uint8Array[] }

/** Whom a connection reached, kept for logs and for how a document was authenticated (FE-42). */
export interface Contact {
  address: string | undefined
  presentedIds: readonly string[]
  /** SHA-256, hex, over the presented certificates in order. */
  chainSha256: string | undefined
}

/** Resolves a name to all its addresses. */
export type Resolve = (host: string) => Promise<readonly { address: string; family: number }[]>

/** What a connector decides by. */
export interface ConnectOptions {
  readonly proof: ServerProof
  readonly rules: readonly EgressRule[]
  readonly contact: Contact
  readonly resolve: Resolve
  readonly webContext: () => SecureContext
  readonly connectMs: number
  readonly maxBytes: number
  readonly now: Date
}

const MIN_VERSION = 'TLSv1.2'

/** All addresses of a name as the machine's resolver has them. */
export const resolveByMachine: Resolve = (host) => dnsLookup(host, { all: true, verbatim: true })

/** The machine's root certificates (Node's own list where it has none), and those handed in as PEM. */
export function webContext(extraRootsPem: readonly string[]): SecureContext {
  const system = getCACertificates('system')
  const roots = system.length > 0 ? system : getCACertificates('default')
  return createSecureContext({
    ca: [...new Set([...roots, ...extraRootsPem])],
    minVersion: MIN_VERSION,
  })
}

/**
 * Opens one TLS connection and proves the server before undici gets the socket, hence before any byte of a
 * request (FE-19, FE-21): OpenSSL during the handshake, then for `spiffe` our own validator on the presented
 * chain. Sessions are never resumed. Fails with EGRESS_REFUSED for an address that policy does not open.
 */
export function guardedConnector(options: ConnectOptions): buildConnector.connector {
  return (target, callback) => {
    const refusal = literalRefusal(target, options)
    if (refusal !== undefined) {
      callback(refusal, null)
      return
    }
    let presented: readonly Uint8Array[] = []
    const connect = connectorTo(target, options)
    const socket = connect(target, (error, connected) => {
      if (error) callback(error, null)
      else handOver(() => proveServer(connected, presented, options), { connected, callback })
    })
    boundBytes(socket, { maxBytes: options.maxBytes, host: `${target.hostname}:${portOf(target)}` })
    // Before verification, so that a refused certificate can still be named; `secureConnect` comes after it.
    socket.prependOnceListener('secure', () => {
      presented = presentedChain(socket)
      recordContact(socket, presented, options.contact)
    })
  }
}

type ProofOptions = Pick<
  ConnectionOptions,
  'ca' | 'secureContext' | 'minVersion' | 'allowPartialTrustChain' | 'checkServerIdentity'
>

function connectorTo(target: buildConnector.Options, options: ConnectOptions) {
  // undici's types hide that its connector returns the socket.
  return buildConnector({
    ...tlsOptions(options),
    lookup: guardedLookup(portOf(target), options),
    timeout: options.connectMs,
    maxCachedSessions: 0,
    allowH2: false,
    rejectUnauthorized: true,
  }) as unknown as (...args: Parameters<buildConnector.connector>) => TLSSocket
}

function tlsOptions({ proof, webContext: web }: ConnectOptions): ProofOptions {
  if (proof.kind === 'web') return { secureContext: web() }
  return {
    ca: proof.anchors.map((anchor) => toPem(anchor)),
    minVersion: MIN_VERSION,
    allowPartialTrustChain: true,
    checkServerIdentity: () => undefined,
  }
}

function handOver(
  prove: () => void,
  { connected, callback }: { connected: { destroy(): void }; callback: buildConnector.Callback },
): void {
  try {
    prove()
  } catch (error) {
    connected.destroy()
    callback(error as Error, null)
    return
  }
  callback(null, connected as TLSSocket)
}

function proveServer(
  socket: unknown,
  presented: readonly Uint8Array[],
  { proof, now }: ConnectOptions,
): void {
  if (!(socket instanceof TLSSocket) || !socket.authorized || socket.isSessionReused()) {
    throw new ServiceError(
      'PEER_IDENTITY_REFUSED',
      'the server did not prove itself in this handshake',
    )
  }
  if (proof.kind === 'spiffe') proveSpiffeId(presented, proof, now)
}

function proveSpiffeId(
  presented: readonly Uint8Array[],
  proof: ServerProof & { kind: 'spiffe' },
  now: Date,
): void {
  const domain = trustDomainOf(proof.id)
  const { id } = verifiedSvid(withoutAnchors(presented, proof.anchors), {
    anchorsOf: (trustDomain) => (trustDomain === domain ? proof.anchors : undefined),
    now,
  })
  if (id === proof.id) return
  throw new ServiceError(
    'PEER_IDENTITY_REFUSED',
    `the endpoint shows SPIFFE ID ${id}, wanted ${proof.id}`,
  )
}

function verifiedSvid(...input: Parameters<typeof verifyX509Svid>) {
  try {
    return verifyX509Svid(...input)
  } catch (cause) {
    throw new ServiceError(
      'PEER_IDENTITY_REFUSED',
      `the endpoint's certificate is no valid X509-SVID: ${messageOf(cause)}`,
      { cause },
    )
  }
}

// The handshake's chain ends with the anchor that OpenSSL found; the validator looks for anchors itself.
function withoutAnchors(chain: readonly Uint8Array[], anchors: readonly Uint8Array[]) {
  return chain.filter(
    (certificate, index) => index === 0 || !anchors.some((anchor) => isSame(anchor, certificate)),
  )
}

function uriSansOf(certificate: Uint8Array): readonly string[] {
  try {
    return readCertificate(certificate).uriSans.map(printable)
  } catch {
    return []
  }
}

// Whoever answers writes this: a NUL in it could not be stored, and its length must not become ours.
function printable(uri: string): string {
  return uri.slice(0, MAX_SPIFFE_ID_BYTES).replaceAll(/[^\x21-\x7e]/g, '?')
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0
}

/**
 * The presented certificates in order of issue, leaf first, then the anchor if OpenSSL found one.
 *
 * Not `getPeerX509Certificate`: its first call takes the certificates away, and every later reader, Node's own
 * host name check among them, finds none (Node 24.21).
 */
function presentedChain(socket: TLSSocket): Uint8Array[] {
  const chain: Uint8Array[] = []
  let certificate: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true)
  while (certificate?.raw !== undefined && chain.length < MAX_CHAIN) {
    chain.push(new Uint8Array(certificate.raw))
    const issuer: DetailedPeerCertificate | undefined = certificate.issuerCertificate
    certificate = issuer === certificate ? undefined : issuer
  }
  return chain
}

/** Certificates read of a presented chain; OpenSSL verifies at most 100, real ones have two to four. */
const MAX_CHAIN = 16

/** URI SANs that are kept of a presented certificate, for logs; more than one is already a refusal. */
const MAX_SHOWN_IDS = 3

function recordContact(socket: TLSSocket, chain: readonly Uint8Array[], contact: Contact): void {
  contact.address = socket.remoteAddress
  const leaf = chain[0]
  contact.presentedIds = leaf === undefined ? [] : uriSansOf(leaf).slice(0, MAX_SHOWN_IDS)
  const hash = createHash('sha256')
  for (const certificate of chain) hash.update(certificate)
  contact.chainSha256 = hash.digest('hex')
}

// Node does not call `lookup` for a literal address.
function literalRefusal(
  target: buildConnector.Options,
  options: ConnectOptions,
): Error | undefined {
  const host = target.hostname.replace(/^\[|\]$/g, '')
  if (isIP(host) === 0) return undefined
  options.contact.address = host
  return refusalOf({ host, port: portOf(target), address: host }, options.rules)
}

/** Resolves and judges in one step, so that the address that was checked is the one that is used. */
function guardedLookup(port: number, options: ConnectOptions): LookupFunction {
  const resolveOpen = callbackify(openAddresses)
  return (host, { all }, callback) => {
    resolveOpen({ host, port }, options, (error, addresses) => {
      const first = addresses?.[0]
      if (error || first === undefined) callback(error, [])
      else if (all === true) callback(null, addresses)
      else callback(null, first.address, first.family)
    })
  }
}

async function openAddresses(
  to: { host: string; port: number },
  { resolve, rules }: ConnectOptions,
): Promise<{ address: string; family: number }[]> {
  const addresses = isLocalhostName(to.host) ? LOOPBACK : await resolve(to.host)
  const refusals: ServiceError[] = []
  const open = addresses.filter(({ address }) => {
    const refusal = refusalOf({ ...to, address }, rules)
    if (refusal !== undefined) refusals.push(refusal)
    return refusal === undefined
  })
  if (open.length > 0) return open
  throw refusals[0] ?? new ServiceError('PEER_UNREACHABLE', `the host ${to.host} has no address`)
}

/** Names under .localhost never leave the machine (RFC 6761 §6.3). */
const LOOPBACK = [
  { address: '127.0.0.1', family: 4 },
  { address: '::1', family: 6 },
]

function refusalOf(to: Destination, rules: readonly EgressRule[]): ServiceError | undefined {
  const decision = decideEgress(to, rules)
  if (decision.allowed) return undefined
  const where = to.host === to.address ? to.address : `${to.host} (${to.address})`
  return new ServiceError(
    'EGRESS_REFUSED',
    `egress policy does not open ${where} port ${to.port}: it is ${decision.what}`,
    { next: `entente egress allow ${decision.rule}` },
  )
}

function portOf(target: { port?: string | number | null }): number {
  return Number(target.port || 443)
}
