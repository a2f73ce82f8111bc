import { once } from 'node:events'
import { closeSync, openSync, writeSync } from 'node:fs'
import { createServer } from 'node:https'
import { type AddressInfo } from 'node:net'
import { createSecureContext, type SecureContext } from 'node:tls'
import { addSeconds, wholeSeconds } from '../../src/clock.ts'
import { serverTlsSettings } from '../../src/http/tls.ts'
import { createRoot } from '../../src/pki/ca-certificate.ts'
import { generateKeyPair, publicJwk, spkiOf } from '../../src/pki/key-pair.ts'
import { toPem } from '../../src/pki/pem.ts'
import { prepareX509Svid, signX509Svid } from '../../src/pki/x509-svid.ts'
import { writeBundle } from '../../src/spiffe/bundle.ts'
import { bundleEndpointId } from '../../src/spiffe/spiffe-id.ts'
import { parseTrustDomain, type TrustDomain } from '../../src/spiffe/trust-domain.ts'
import { type FarmPeer } from '../farm-peer.ts'

/** Peers made and written down at a time. */
const CHUNK = 2000

/** TLS contexts kept; each holds tens of kilobytes outside the heap. */
const MOST_CONTEXTS = 2000

/** How many peers there are, and where to write what one needs to federate with each, one JSON line a peer. */
interface FarmArgument {
  readonly peers: number
  readonly hintSeconds: number
  readonly file: string
}

// Peers share two keys: what a poll costs is the same, and a hundred thousand of them are made in half a minute.
const rootKeys = generateKeyPair()
const rootJwk = publicJwk(rootKeys.publicKey)
const leafKeys = generateKeyPair()
const leafSpki = spkiOf(leafKeys.publicKey)
const leafPem = leafKeys.privateKey.export({ format: 'pem', type: 'pkcs8' })
const now = wholeSeconds(new Date())
const domainOf = (index: number): TrustDomain => parseTrustDomain(`p${index}.example`)

/** What the farm keeps of a peer: its root and the bundle it serves, both bytes. */
interface Grown {
  readonly root: Uint8Array
  readonly document: Uint8Array
}

function growPeer(index: number, hintSeconds: number): Grown {
  const trustDomain = domainOf(index)
  const root = createRoot({
    trustDomain,
    keys: rootKeys,
    notBefore: addSeconds(now, -60),
    notAfter: addSeconds(now, 172_800),
  })
  const document = writeBundle({
    trustDomain,
    sequence: 1n,
    refreshHintSeconds: hintSeconds,
    x509Authorities: [{ certificate: root, jwk: rootJwk }],
    jwtAuthorities: [],
  })
  return { root, document }
}

const etagOf = (index: number): string => `"peer-${index}"`

function peerOf(index: number, { document }: Grown): FarmPeer {
  const trustDomain = domainOf(index)
  return {
    trustDomain,
    host: `p${index}.localhost`,
    endpointId: bundleEndpointId(trustDomain),
    document: Buffer.from(document).toString('base64'),
    etag: etagOf(index),
  }
}

const { peers, hintSeconds, file } = JSON.parse(process.argv[2] ?? '') as FarmArgument
const farm: Grown[] = []
const list = openSync(file, 'w')
for (let from = 0; from < peers; from += CHUNK) {
  const count = Math.min(CHUNK, peers - from)
  const grown = Array.from({ length: count }, (_, index) => growPeer(from + index, hintSeconds))
  const lines = grown.map((one, index) => `${JSON.stringify(peerOf(from + index, one))}\n`)
  writeSync(list, lines.join(''))
  farm.push(...grown)
}
closeSync(list)

/** A certificate is made when its peer is first asked: in one run a fraction of a large farm is. */
function makeContext(index: number): SecureContext {
  const issuer = {
    certificate: farm[index]?.root ?? new Uint8Array(),
    privateKey: rootKeys.privateKey,
  }
  const prepared = prepareX509Svid({
    id: bundleEndpointId(domainOf(index)),
    publicKey: leafSpki,
    dnsNames: [],
    notBefore: addSeconds(now, -30),
    notAfter: addSeconds(now, 86_400),
    issuer,
    purpose: 'endpoint',
  })
  const cert = toPem(signX509Svid(prepared, issuer).certificate)
  return createSecureContext({ ...serverTlsSettings(), key: leafPem, cert })
}

const contexts = new Map<number, SecureContext>()
function contextOf(index: number): SecureContext {
  const context = contexts.get(index) ?? makeContext(index)
  contexts.set(index, context)
  const [oldest] = contexts.keys()
  if (contexts.size > MOST_CONTEXTS && oldest !== undefined) contexts.delete(oldest)
  return context
}

const indexOf = (host: string): number => Number(/^p(\d+)\./.exec(host)?.[1] ?? 0)

/** Moments of polls since the last question: peer, Unix milliseconds. */
let arrivals: [number, number][] = []
const options = {
  ...serverTlsSettings(),
  SNICallback: (name: string, done: (error: null, context: SecureContext) => void) => {
    done(null, contextOf(indexOf(name)))
  },
}
const server = createServer(options, (request, response) => {
  const index = indexOf(request.headers.host ?? '')
  arrivals.push([index, Date.now()])
  const etag = etagOf(index)
  response.setHeader('etag', etag)
  if (request.headers['if-none-match'] === etag) {
    response.writeHead(304).end()
    return
  }
  response.writeHead(200, { 'content-type': 'application/json' })
  response.end(farm[index]?.document)
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
process.on('message', () => {
  process.send?.({ arrivals })
  arrivals = []
})
process.send?.({ port: (server.address() as AddressInfo).port })
