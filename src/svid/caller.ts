import { type TLSSocket } from 'node:tls'
import { type FastifyRequest } from 'fastify'
import { type Clock } from '../clock.ts'
import { type MeshId } from '../db/ids.ts'
import { publicKeySha256 } from '../pki/key-pair.ts'
import { MAX_CHAIN_LENGTH, type VerifiedX509Svid, verifyX509Svid } from '../pki/verify-chain.ts'
import { type OwnBundle, type OwnBundles } from './own-bundles.ts'
import { type KnownWorkload } from './rate-limit.ts'

/** Who is calling, proven by an X509-SVID of a trust domain of ours. */
export interface Caller {
  readonly meshId: MeshId
  readonly svid: VerifiedX509Svid
  readonly publicKeySha256: Uint8Array
}

/** Whose requests those of a caller are counted with. */
export function workloadOf({ meshId, svid }: Caller): KnownWorkload {
  return { meshId, spiffeId: svid.id }
}

/** One connection, as its requests see it. */
export interface Connection {
  /** The same object for all requests of the connection. */
  readonly key: object
  /** All certificates that the client showed, its own first; TLS has proven that it holds the key of the first. */
  readonly chain: () => readonly Uint8Array[]
}

/** The TLS connection that a request came over, of HTTP/1.1 and HTTP/2 alike. */
export function connectionOf(request: FastifyRequest): Connection {
  // Under HTTP/2 `socket` is a proxy made anew for each stream; the session is the connection.
  const raw = request.raw as { stream?: { session?: object | null } | null }
  const { socket } = request.raw
  return { key: raw.stream?.session ?? socket, chain: () => peerChain(socket as TLSSocket) }
}

/** What a connection was found to prove, and under which bundle. */
interface Proof {
  readonly caller: Caller
  readonly bundle: OwnBundle
}

/** Verifies clients once per connection and bundle revision, by the trust domain in their own certificate. */
export class Callers {
  readonly #bundles: OwnBundles
  readonly #clock: Clock
  readonly #proofs = new WeakMap<object, Proof>()

  constructor(bundles: OwnBundles, clock: Clock) {
    this.#bundles = bundles
    this.#clock = clock
  }

  /**
   * Who is at the other end; undefined when the client showed no certificate.
   *
   * The chain is checked against the current bundle of exactly the trust domain that it names, so a revoked
   * authority counts no more from the next request on, also on connections that stay open. Throws SVID_INVALID.
   */
  find(connection: Connection): Caller | undefined {
    const now = this.#clock.now()
    const known = this.#proofs.get(connection.key)
    if (known !== undefined && this.#stillHolds(known, now)) return known.caller
    const chain = connection.chain()
    if (chain.length === 0) return undefined
    const proof = this.#prove(chain, now)
    this.#proofs.set(connection.key, proof)
    return proof.caller
  }

  #stillHolds({ caller, bundle }: Proof, now: Date): boolean {
    const current = this.#bundles.find(caller.svid.trustDomain)
    return current === bundle && now <= caller.svid.validUntil
  }

  #prove(chain: readonly Uint8Array[], now: Date): Proof {
    const svid = verifyX509Svid(chain, {
      anchorsOf: (trustDomain) => this.#bundles.find(trustDomain)?.anchors,
      now,
    })
    const bundle = this.#bundles.load(svid.trustDomain)
    const hash = publicKeySha256(svid.leaf.spki)
    return { caller: { meshId: bundle.served.meshId, svid, publicKeySha256: hash }, bundle }
  }
}

/**
 * Everything that the client sent, as Node links it. Node may add issuers from its own store, which proves
 * nothing and harms nothing: our validator takes anchors from the bundle alone.
 */
function peerChain(socket: TLSSocket): readonly Uint8Array[] {
  const chain: Uint8Array[] = []
  const seen = new Set<string>()
  for (
    let certificate = socket.getPeerCertificate(true);
    certificate?.raw !== undefined && !seen.has(certificate.fingerprint256);
    certificate = certificate.issuerCertificate
  ) {
    seen.add(certificate.fingerprint256)
    chain.push(certificate.raw)
    if (chain.length > MAX_CHAIN_LENGTH) break // one too many: the validator refuses it by name
  }
  return chain
}
