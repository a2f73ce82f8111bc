import { constants } from 'node:crypto'
import type { Server as NetServer } from 'node:net'
import { createSecureContext, type SecureContext, Server, type TlsOptions } from 'node:tls'
import { messageOf, ServiceError } from '../errors.ts'

/** TLS 1.3 and TLS 1.2 suites of Mozilla's intermediate profile, version 6.0 (table FE-T1). */
export const CIPHER_SUITES = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
] as const

/** Key exchange groups of the profile; the first is left out where OpenSSL does not know it. */
export const GROUPS = ['X25519MLKEM768', 'X25519', 'prime256v1', 'secp384r1'] as const

/** The settings of every TLS listener of ours. */
export interface ServerTlsSettings {
  readonly minVersion: 'TLSv1.2'
  readonly ciphers: string
  readonly ecdhCurve: string
  /** The client's order counts (FE-T1). */
  readonly honorCipherOrder: false
  readonly secureOptions: number
}

let probed: string | undefined

// An OpenSSL without the post-quantum group refuses the whole list, so the list is tried once.
function knownGroups(): string {
  if (probed !== undefined) return probed
  const all = GROUPS.join(':')
  try {
    createSecureContext({ ecdhCurve: all })
    probed = all
  } catch {
    probed = GROUPS.slice(1).join(':')
  }
  return probed
}

/**
 * Mozilla's intermediate profile for every listener (SPIFFE Federation §5, FE-14).
 *
 * Session tickets are off, so that every connection shows its certificate and proves its key: a resumed session
 * would outlive a change of trust. Renegotiation is off too: whom a connection has proven cannot change under it.
 */
export function serverTlsSettings(): ServerTlsSettings {
  return {
    minVersion: 'TLSv1.2',
    ciphers: CIPHER_SUITES.join(':'),
    ecdhCurve: knownGroups(),
    honorCipherOrder: false,
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  }
}

// An empty list of CAs, or Node would load the system's roots into every context.
function contextSettings() {
  return { ...serverTlsSettings(), ca: [] }
}

/** A certificate chain and its key, both PEM. */
export interface KeyedCertificate {
  readonly cert: string
  readonly key: string
}

/** A context that presents this chain under our settings; throws CERTIFICATE_INVALID when the two do not fit. */
export function contextOf({ cert, key }: KeyedCertificate): SecureContext {
  try {
    return createSecureContext({ cert, key, ...contextSettings() })
  } catch (error) {
    const reason = `certificate and key cannot be used together: ${messageOf(error)}`
    throw new ServiceError('CERTIFICATE_INVALID', reason, { cause: error })
  }
}

/**
 * Which certificate a listener presents for which server name (SNI).
 *
 * Names can be set and taken away while the listener runs. No or an unknown name gets the default; without one
 * the handshake ends.
 */
export class SniContexts {
  readonly #contexts = new Map<string, SecureContext>()
  readonly #pairs = new Map<string, KeyedCertificate>()
  readonly #servers = new Set<Server>()
  #default: KeyedCertificate | undefined

  /** Presents these chains for these names and forgets all other names; equal pairs keep their context. */
  replaceAll(wanted: ReadonlyMap<string, KeyedCertificate>): void {
    for (const [name, pair] of wanted) this.#set(name.toLowerCase(), pair)
    const names = new Set([...wanted.keys()].map((name) => name.toLowerCase()))
    for (const name of this.#pairs.keys()) if (!names.has(name)) this.#forget(name)
  }

  #set(name: string, pair: KeyedCertificate): void {
    if (isSamePair(this.#pairs.get(name), pair)) return
    this.#contexts.set(name, contextOf(pair))
    this.#pairs.set(name, pair)
  }

  #forget(name: string): void {
    this.#contexts.delete(name)
    this.#pairs.delete(name)
  }

  /** The names that have a chain of their own. */
  names(): readonly string[] {
    return [...this.#pairs.keys()]
  }

  /** Presents a chain where no or an unknown name is asked for; undefined ends such handshakes. */
  setDefault(certificate: KeyedCertificate | undefined): void {
    if (isSamePair(this.#default, certificate)) return
    if (certificate !== undefined) contextOf(certificate)
    this.#default = certificate
    for (const server of this.#servers) this.#show(server)
  }

  /** The TLS options of a listener that presents these certificates. */
  serverOptions(client: 'none' | 'asked'): TlsOptions {
    return {
      ...contextSettings(),
      // Asked and never demanded, and no CA in any context: TLS proves possession of the key, our own validator
      // decides about the chain by the trust domain in it (FE-39).
      requestCert: client === 'asked',
      rejectUnauthorized: false,
      handshakeTimeout: 10_000,
      SNICallback: (name, callback) => callback(null, this.#contexts.get(name.toLowerCase())),
    }
  }

  /** Lets a listener that was made with these options follow the default from now on. */
  attach(server: NetServer): void {
    if (!(server instanceof Server))
      throw new TypeError('only a TLS listener presents certificates')
    this.#servers.add(server)
    server.once('close', () => this.#servers.delete(server))
    if (this.#default !== undefined) this.#show(server)
  }

  #show(server: Server): void {
    server.setSecureContext({ ...contextSettings(), ...this.#default })
  }
}

function isSamePair(
  one: KeyedCertificate | undefined,
  other: KeyedCertificate | undefined,
): boolean {
  return one === other || (one?.cert === other?.cert && one?.key === other?.key)
}
