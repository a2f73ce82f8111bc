import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
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
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'
import { type FarmPeer } from '../farm-peer.ts'

/** How many peers there are, and where to write what one needs to federate with each. */
interface FarmArgument {
  readonly peers: number
  readonly hintSeconds: number
  readonly file: string
}

// Peers share two keys: what a poll costs is the same, and ten thousand of them are made in seconds.
const rootKeys = generateKeyPair()
const leafKeys = generateKeyPair()
const leafSpki = spkiOf(leafKeys.publicKey)
const leafPem = leafKeys.privateKey.export({ format: 'pem', type: 'pkcs8' })
const now = wholeSeconds(new Date())

function makePeer(index: number, hintSeconds: number): { peer: FarmPeer; cert: string } {
  const trustDomain = parseTrustDomain(`p${index}.example`)
  const certificate = createRoot({
    trustDomain,
    keys: rootKeys,
    notBefore: addSeconds(now, -60),
    notAfter: addSeconds(now, 172_800),
  })
  const issuer = { certificate, privateKey: rootKeys.privateKey }
  const id = bundleEndpointId(trustDomain)
  const prepared = prepareX509Svid({
    id,
    publicKey: leafSpki,
    dnsNames: [],
    notBefore: addSeconds(now, -30),
    notAfter: addSeconds(now, 86_400),
    issuer,
    purpose: 'endpoint',
  })
  const document = writeBundle({
    trustDomain,
    sequence: 1n,
    refreshHintSeconds: hintSeconds,
    x509Authorities: [{ certificate, jwk: publicJwk(rootKeys.publicKey) }],
    jwtAuthorities: [],
  })
  const etag = `"${createHash('sha256').update(document).digest('hex').slice(0, 16)}"`
  const bytes = Buffer.from(document).toString('base64')
  return {
    peer: { trustDomain, host: `p${index}.localhost`, endpointId: id, document: bytes, etag },
    cert: toPem(signX509Svid(prepared, issuer).certificate),
  }
}

const { peers, hintSeconds, file } = JSON.parse(process.argv[2] ?? '') as FarmArgument
const farm = Array.from({ length: peers }, (_, index) => makePeer(index, hintSeconds))
writeFileSync(file, JSON.stringify(farm.map(({ peer }) => peer)))

const contexts = new Map<number, SecureContext>()
function contextOf(index: number): SecureContext {
  const present = contexts.get(index)
  if (present !== undefined) return present
  const made = createSecureContext({
    ...serverTlsSettings(),
    key: leafPem,
    cert: farm[index]?.cert,
  })
  contexts.set(index, made)
  return made
}

const indexOf = (host: string): number => Number(/^p(\d+)\./.exec(host)?.[1] ?? 0)

/** Moments of polls since the last question: peer, Unix milliseconds. */
let arrivals: [number, number][] = []
const options = {
  ...serverTlsSettings(),
  key: leafPem,
  cert: farm[0]?.cert,
  SNICallback: (name: string, done: (error: null, context: SecureContext) => void) => {
    done(null, contextOf(indexOf(name)))
  },
}
const server = createServer(options, (request, response) => {
  const index = indexOf(request.headers.host ?? '')
  arrivals.push([index, Date.now()])
  const peer = farm[index]?.peer
  response.setHeader('etag', peer?.etag ?? '')
  if (request.headers['if-none-match'] === peer?.etag) {
    response.writeHead(304).end()
    return
  }
  response.writeHead(200, { 'content-type': 'application/json' })
  response.end(Buffer.from(peer?.document ?? '', 'base64'))
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
process.on('message', () => {
  process.send?.({ arrivals })
  arrivals = []
})
process.send?.({ port: (server.address() as AddressInfo).port })
