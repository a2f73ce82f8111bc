import { lookup as dnsLookup } from 'node:dns/promises'
import { type LookupFunction, isIP } from 'node:net'
import {
  type ConnectionOptions,
  createSecureContext,
  getCACertificates,
  type SecureContext,
  TLSSocket,
} from 'node:tls'
import { callbackify } from 'node:util'
import { buildConnector } from 'undici'
import { command, messageOf, ServiceError } from '../errors.ts'
import { toPem } from '../pki/pem.ts'
import { verifyX509Svid } from '../pki/verify-chain.ts'
import { type SpiffeId, trustDomainOf } from '../spiffe/spiffe-id.ts'
import { decideEgress, type Destination, isLocalhostName } from './egress.ts'
import { type EgressRule } from './egress-rule.ts'
import { type Resolve } from './lookups.ts'
import { boundBytes } from './outbound-bytes.ts'
import { type Contact, presentedChain, recordContact } from './outbound-presented.ts'
import { type Probe, reach } from './outbound-probe.ts'

export { type Contact } from './outbound-presented.ts'

/**
 * How a server proves who it is, chosen by the caller for each request; there is no falling back (FE-03).
 *
 * `web`: a chain to the machine's roots and the host's name. `spiffe`: exactly this SPIFFE ID under exactly
 * these anchors (DER), which are the newest stored bundle of the ID's trust domain; an empty list trusts nobody.
 */
export type ServerProof =
  | { readonly kind: 'web' }
  | { readonly kind: 'spiffe'; readonly id: SpiffeId; readonly anchors: readonly Uint8Array[] }

export { type Resolve } from './lookups.ts'

/** What a connector decides by. */
export interface ConnectOptions {
  readonly proof: ServerProof
  readonly rules: readonly EgressRule[]
  readonly contact: Contact
  /** Somebody asks how far this connection comes. */
  readonly probe?: Probe | undefined
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
    const { probe } = options
    reach(probe, isIP(bareHost(target.hostname)) === 0 ? 'name' : 'policy', { addresses: [] })
    const refusal = literalRefusal(target, options)
    if (refusal !== undefined) {
      callback(refusal, null)
      return
    }
    if (probe?.stage === 'policy') reach(probe, 'tcp')
    let presented: readonly Uint8Array[] = []
    const settings = tlsOptions(options)
    const connect = connectorTo(target, options, settings)
    const socket = connect(target, (error, connected) => {
      if (error) callback(error, null)
      else {
        handOver(() => proveServer(connected, presented, options), { connected, callback })
      }
    })
    boundBytes(socket, { maxBytes: options.maxBytes, host: `${target.hostname}:${portOf(target)}` })
    if (options.proof.kind === 'spiffe') socket.once('close', () => release(settings.secureContext))
    socket.once('connect', () => reach(probe, 'tls'))
    // Before verification, so that a refused certificate can still be named; `secureConnect` comes after it.
    socket.prependOnceListener('secure', () => {
      presented = presentedChain(socket)
      recordContact(socket, presented, options.contact)
      const tlsVersion = socket.getProtocol() ?? undefined
      reach(probe, 'proof', { tlsVersion, chain: presented })
    })
  }
}

interface ProofOptions extends Pick<ConnectionOptions, 'checkServerIdentity'> {
  readonly secureContext: SecureContext
}

/**
 * Gives back what OpenSSL holds for a context that only one connection used: tens of kilobytes that the garbage
 * collector does not know of and would leave there for minutes.
 */
function release({ context }: SecureContext): void {
  const native = context as { close?: () => void }
  native.close?.()
}

function connectorTo(
  target: buildConnector.Options,
  options: ConnectOptions,
  settings: ProofOptions,
) {
  // undici's types hide that its connector returns the socket.
  return buildConnector({
    ...settings,
    lookup: guardedLookup(portOf(target), options),
    timeout: options.connectMs,
    maxCachedSessions: 0,
    allowH2: false,
    rejectUnauthorized: true,
  }) as unknown as (...args: Parameters<buildConnector.connector>) => TLSSocket
}

function tlsOptions({ proof, webContext: web }: ConnectOptions): ProofOptions {
  if (proof.kind === 'web') return { secureContext: web() }
  const secureContext = createSecureContext({
    ca: proof.anchors.map((anchor) => toPem(anchor)),
    minVersion: MIN_VERSION,
    allowPartialTrustChain: true,
  })
  return { secureContext, checkServerIdentity: () => undefined }
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
  { proof, now, probe }: ConnectOptions,
): void {
  if (!(socket instanceof TLSSocket) || !socket.authorized || socket.isSessionReused()) {
    throw new ServiceError(
      'PEER_IDENTITY_REFUSED',
      'the server did not prove itself in this handshake',
    )
  }
  if (proof.kind === 'spiffe') proveSpiffeId(presented, proof, now)
  reach(probe, 'http')
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

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0
}

function bareHost(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, '')
}

// Node does not call `lookup` for a literal address.
function literalRefusal(
  target: buildConnector.Options,
  options: ConnectOptions,
): Error | undefined {
  const host = bareHost(target.hostname)
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
  { resolve, rules, probe }: ConnectOptions,
): Promise<{ address: string; family: number }[]> {
  const addresses = isLocalhostName(to.host) ? LOOPBACK : await resolve(to.host)
  reach(probe, 'policy')
  const refusals: ServiceError[] = []
  const open = addresses.filter(({ address }) => {
    const refusal = refusalOf({ ...to, address }, rules)
    if (refusal !== undefined) refusals.push(refusal)
    return refusal === undefined
  })
  if (open.length > 0) {
    reach(probe, 'tcp', { addresses: open.map(({ address }) => address) })
    return open
  }
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
    { next: command`entente egress allow ${decision.rule}` },
  )
}

function portOf(target: { port?: string | number | null }): number {
  return Number(target.port || 443)
}
