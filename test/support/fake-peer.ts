import 'reflect-metadata'
import { createHash, createPrivateKey, webcrypto, X509Certificate } from 'node:crypto'
import { type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import { type AddressInfo } from 'node:net'
import * as x509 from '@peculiar/x509'
import { type Bundle, type PublicJwk, writeBundle } from '../../src/spiffe/bundle.ts'
import { type EndpointUrl, parseEndpointUrl } from '../../src/spiffe/endpoint-profile.ts'
import { parseSpiffeId, type SpiffeId } from '../../src/spiffe/spiffe-id.ts'
import { parseTrustDomain, type TrustDomain } from '../../src/spiffe/trust-domain.ts'
import { type Teardown } from './database.ts'

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

/** What a certificate of a fake authority says; the defaults make a good X509-SVID. */
export interface CertificateWish {
  readonly uris?: readonly string[]
  readonly dnsNames?: readonly string[]
  readonly ipAddresses?: readonly string[]
  readonly notBefore?: Date
  readonly notAfter?: Date
  readonly isCa?: boolean
  readonly keyUsages?: x509.KeyUsageFlags
}

/** A certificate chain and its key, as a TLS server takes them. */
export interface Credential {
  readonly key: string
  readonly cert: string
}

/** A certificate authority that issues whatever it is asked for, right or wrong. */
export class FakeAuthority {
  readonly certificate: x509.X509Certificate
  readonly keys: webcrypto.CryptoKeyPair
  /** Certificates between this one and its root, PEM, own one included. */
  readonly chainPem: string

  constructor(certificate: x509.X509Certificate, keys: webcrypto.CryptoKeyPair, chainPem = '') {
    this.certificate = certificate
    this.keys = keys
    this.chainPem = chainPem
  }

  /** A self-signed root of a trust domain. */
  static async root(
    trustDomain: string,
    life: { notBefore?: Date; notAfter?: Date } = {},
    ownKeys?: webcrypto.CryptoKeyPair,
  ): Promise<FakeAuthority> {
    const keys = ownKeys ?? (await newKeys())
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: newSerial(),
      name: `O=${trustDomain},CN=root ${newSerial().slice(0, 8)}`,
      notBefore: life.notBefore ?? hours(-1),
      notAfter: life.notAfter ?? hours(24 * 30),
      keys,
      signingAlgorithm: ALGORITHM,
      extensions: await caExtensions(keys.publicKey, trustDomain),
    })
    return new FakeAuthority(certificate, keys)
  }

  /** Another self-signed certificate of this root on the same key. */
  async renewed(life: { notBefore?: Date; notAfter?: Date } = {}): Promise<FakeAuthority> {
    const trustDomain = /^O=([^,]+)/.exec(this.certificate.subject)?.[1] ?? ''
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: newSerial(),
      name: this.certificate.subject,
      notBefore: life.notBefore ?? hours(-1),
      notAfter: life.notAfter ?? hours(24 * 60),
      keys: this.keys,
      signingAlgorithm: ALGORITHM,
      extensions: await caExtensions(this.keys.publicKey, trustDomain),
    })
    return new FakeAuthority(certificate, this.keys)
  }

  get der(): Uint8Array {
    return new Uint8Array(this.certificate.rawData)
  }

  get pem(): string {
    return this.certificate.toString('pem')
  }

  /** An intermediate below this authority. */
  async intermediate(trustDomain: string): Promise<FakeAuthority> {
    const keys = await newKeys()
    const certificate = await this.#sign(keys.publicKey, {
      subject: `O=${trustDomain},CN=intermediate ${newSerial().slice(0, 8)}`,
      notBefore: hours(-1),
      notAfter: hours(24 * 7),
      extensions: await caExtensions(keys.publicKey, trustDomain),
    })
    return new FakeAuthority(certificate, keys, certificate.toString('pem') + '\n' + this.chainPem)
  }

  /** A leaf as wished, good or bad. */
  async issue(wish: CertificateWish): Promise<Credential> {
    const keys = await newKeys()
    const certificate = await this.#sign(keys.publicKey, {
      subject: '',
      notBefore: wish.notBefore ?? hours(-1),
      notAfter: wish.notAfter ?? hours(12),
      extensions: await leafExtensions(keys.publicKey, wish),
    })
    return {
      key: await keyPem(keys.privateKey),
      cert: `${certificate.toString('pem')}\n${this.chainPem}`,
    }
  }

  /** The authority itself as a server's credential: a CA certificate where a leaf belongs. */
  async asLeaf(): Promise<Credential> {
    return { key: await keyPem(this.keys.privateKey), cert: this.pem }
  }

  async #sign(
    publicKey: webcrypto.CryptoKey,
    about: { subject: string; notBefore: Date; notAfter: Date; extensions: x509.Extension[] },
  ): Promise<x509.X509Certificate> {
    const authorityKey = await x509.AuthorityKeyIdentifierExtension.create(this.keys.publicKey)
    return x509.X509CertificateGenerator.create({
      serialNumber: newSerial(),
      ...about,
      issuer: this.certificate.subjectName,
      publicKey,
      signingKey: this.keys.privateKey,
      signingAlgorithm: ALGORITHM,
      extensions: [...about.extensions, authorityKey],
    })
  }
}

/** Answers one request; the peer's state is there to be changed. */
export type Behaviour = (request: IncomingMessage, response: ServerResponse) => void

/** A bundle endpoint on loopback with a CA of its own, which can be told to misbehave. */
export class FakePeer {
  readonly trustDomain: TrustDomain
  readonly endpointId: SpiffeId
  /** Requests that arrived, the newest last. */
  readonly requests: { readonly path: string; readonly etag: string | undefined }[] = []
  root: FakeAuthority
  /** The document that well-behaved answers carry. */
  document: Uint8Array
  behaviour: Behaviour
  readonly #server: Server

  private constructor(server: Server, root: FakeAuthority, trustDomain: TrustDomain) {
    this.#server = server
    this.root = root
    this.trustDomain = trustDomain
    this.endpointId = parseSpiffeId(`spiffe://${trustDomain}/entente/bundle-endpoint`)
    this.document = this.bundle(1n)
    this.behaviour = behave.serve(this)
  }

  /** Opens a peer that presents a good SVID and serves sequence 1 with hint 300. */
  static async open(t: Teardown, trustDomain: string): Promise<FakePeer> {
    const root = await FakeAuthority.root(trustDomain)
    const server = createServer()
    const peer = new FakePeer(server, root, parseTrustDomain(trustDomain))
    await peer.presentId(peer.endpointId)
    server.on('request', (request, response) => {
      peer.requests.push({ path: request.url ?? '', etag: request.headers['if-none-match'] })
      peer.behaviour(request, response)
    })
    server.on('tlsClientError', () => undefined)
    server.on('clientError', (_error, socket) => socket.destroy())
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.teardown(() => peer.close())
    return peer
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get url(): EndpointUrl {
    return this.at('/bundle')
  }

  /** A URL of this peer; `host` resolves to loopback. */
  at(path: string, host = 'localhost'): EndpointUrl {
    return parseEndpointUrl(`https://${host}:${this.port}${path}`)
  }

  /** Presents this credential from the next handshake on. */
  present(credential: Credential): void {
    this.#server.setSecureContext(credential)
  }

  /** Presents a fresh certificate of the current root with these URI SANs. */
  async presentId(...uris: string[]): Promise<void> {
    this.present(await this.root.issue({ uris }))
  }

  /** A bundle of this peer: its current root, or the authorities given. */
  bundle(
    sequence: bigint | undefined,
    about: { hint?: number | undefined; roots?: readonly FakeAuthority[] } = {},
  ): Uint8Array {
    return bundleOf(this.trustDomain, {
      sequence,
      hint: 'hint' in about ? about.hint : 300,
      roots: about.roots ?? [this.root],
    })
  }

  close(): Promise<void> {
    this.#server.closeAllConnections()
    return new Promise((resolve) => {
      this.#server.close(() => resolve())
    })
  }
}

/** The bundle document of a domain. */
export function bundleOf(
  trustDomain: TrustDomain,
  about: {
    readonly sequence: bigint | undefined
    readonly hint: number | undefined
    readonly roots: readonly FakeAuthority[]
  },
): Uint8Array {
  const bundle: Bundle = {
    trustDomain,
    sequence: about.sequence,
    refreshHintSeconds: about.hint,
    x509Authorities: about.roots.map(({ der }) => ({ certificate: der, jwk: jwkOf(der) })),
    jwtAuthorities: [],
  }
  return writeBundle(bundle)
}

const send = (response: ServerResponse, status: number, body: string | Uint8Array): void => {
  response.writeHead(status, { 'content-type': 'application/json' }).end(body)
}

/** Ways to answer, good and bad. */
export const behave = {
  /** Serves the peer's document with its ETag, 304 included. */
  serve:
    (peer: { readonly document: Uint8Array }): Behaviour =>
    (request, response) => {
      const etag = `"${createHash('sha256').update(peer.document).digest('hex').slice(0, 16)}"`
      response.setHeader('etag', etag)
      if (request.headers['if-none-match'] === etag) response.writeHead(304).end()
      else send(response, 200, peer.document)
    },
  answer:
    (
      status: number,
      body: string | Uint8Array = '',
      headers: Record<string, string> = {},
    ): Behaviour =>
    (_request, response) => {
      response.writeHead(status, headers).end(body)
    },
  redirect:
    (location: string, status = 302): Behaviour =>
    (_request, response) => {
      response.writeHead(status, { location }).end()
    },
  /** Never sends a header. */
  silent: (): Behaviour => () => undefined,
  /** One byte at a time, for ever. */
  drip:
    (everyMs: number): Behaviour =>
    (_request, response) => {
      response.writeHead(200)
      const timer = setInterval(() => response.write('x'), everyMs)
      response.on('close', () => clearInterval(timer))
    },
  /** As fast as it goes, for ever. */
  endless: (): Behaviour => (_request, response) => {
    response.writeHead(200)
    const block = Buffer.alloc(64 * 1024, 'x')
    const more = (): void => {
      while (response.write(block));
    }
    response.on('drain', more)
    more()
  },
  /** Announces more than it sends, then cuts. */
  truncated:
    (body: Uint8Array): Behaviour =>
    (_request, response) => {
      response.writeHead(200, { 'content-length': String(body.length + 100) })
      response.write(body, () => response.destroy())
    },
  /** Cuts the connection without an answer. */
  cut: (): Behaviour => (request) => {
    request.socket.destroy()
  },
  /** Bytes that are no HTTP/1.1 answer. */
  raw:
    (bytes: string): Behaviour =>
    (request) => {
      request.socket.end(bytes)
    },
} as const

function hours(count: number): Date {
  return new Date(Math.floor(performance.timeOrigin + performance.now()) + count * 3_600_000)
}

async function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
}

function newSerial(): string {
  return `4${Buffer.from(webcrypto.getRandomValues(new Uint8Array(15))).toString('hex')}0`
}

async function keyPem(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key))
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    .export({ format: 'pem', type: 'pkcs8' })
    .toString()
}

async function caExtensions(
  publicKey: webcrypto.CryptoKey,
  trustDomain: string,
): Promise<x509.Extension[]> {
  return [
    new x509.BasicConstraintsExtension(true, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    new x509.SubjectAlternativeNameExtension([{ type: 'url', value: `spiffe://${trustDomain}` }]),
    await x509.SubjectKeyIdentifierExtension.create(publicKey),
  ]
}

async function leafExtensions(
  publicKey: webcrypto.CryptoKey,
  wish: CertificateWish,
): Promise<x509.Extension[]> {
  const names = [
    ...(wish.uris ?? []).map((value) => ({ type: 'url' as const, value })),
    ...(wish.dnsNames ?? []).map((value) => ({ type: 'dns' as const, value })),
    ...(wish.ipAddresses ?? []).map((value) => ({ type: 'ip' as const, value })),
  ]
  const { serverAuth, clientAuth } = x509.ExtendedKeyUsage
  return [
    new x509.BasicConstraintsExtension(wish.isCa ?? false, undefined, true),
    new x509.KeyUsagesExtension(wish.keyUsages ?? x509.KeyUsageFlags.digitalSignature, true),
    new x509.ExtendedKeyUsageExtension([serverAuth, clientAuth]),
    ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names, true)]),
    await x509.SubjectKeyIdentifierExtension.create(publicKey),
  ]
}

function jwkOf(certificate: Uint8Array): PublicJwk {
  return new X509Certificate(certificate).publicKey.export({ format: 'jwk' }) as PublicJwk
}
