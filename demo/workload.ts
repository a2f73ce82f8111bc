import { readFileSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import path from 'node:path'
import { buffer } from 'node:stream/consumers'
import { connect, type TLSSocket } from 'node:tls'
import { readCertificate, splitPem, toPem } from '../src/pki/certificate.ts'
import { createCsr } from '../src/pki/csr.ts'
import { exportPrivateKey, generateKeyPair } from '../src/pki/key-pair.ts'
import { type Bundle, parseBundle } from '../src/spiffe/bundle.ts'
import { parseBundleMap } from '../src/spiffe/bundle-map.ts'
import {
  parseSpiffeId,
  type SpiffeId,
  trustDomainOf,
  workloadEndpointId,
} from '../src/spiffe/spiffe-id.ts'
import { type X509AnswerView } from '../src/svid/api.ts'
import { type TrustDomain } from '../src/spiffe/trust-domain.ts'
import { checkPeer } from './peer-check.ts'
import { type DemoService } from './service.ts'

/** The files that `svid fetch` writes, as `tls` takes them. */
export interface Identity {
  readonly cert: string
  readonly key: string
  readonly serial: string
  /** When the service wants it renewed. */
  readonly renewAt: Date
}

/** Where a workload lives. */
export interface WorkloadPlan {
  readonly service: DemoService
  readonly id: string
  /** `host:port` of its service's workload listener. */
  readonly endpoint: { readonly host: string; readonly port: number }
  readonly folder: string
}

/** One workload: its SVID and bundles, kept fresh from its own service and nowhere else. */
export class Workload {
  readonly id: SpiffeId
  readonly folder: string
  readonly #plan: WorkloadPlan
  #identity: Identity
  #bundles: ReadonlyMap<TrustDomain, Bundle> = new Map()
  #timer: NodeJS.Timeout | undefined
  #renewing: Promise<void> | undefined
  #trouble: string | undefined
  /** Called with each new identity. */
  onRenewed: (identity: Identity) => void = () => undefined

  constructor(plan: WorkloadPlan) {
    this.#plan = plan
    this.id = parseSpiffeId(plan.id)
    this.folder = plan.folder
    this.#identity = readIdentity(plan.folder)
  }

  get trustDomain(): TrustDomain {
    return trustDomainOf(this.id)
  }

  get identity(): Identity {
    return this.#identity
  }

  get bundles(): ReadonlyMap<TrustDomain, Bundle> {
    return this.#bundles
  }

  /** The last thing that went wrong while refreshing, if anything did. */
  get trouble(): string | undefined {
    return this.#trouble
  }

  /** Fetches its bundles, one per trust domain, over mutual TLS with its own SVID. */
  async refreshBundles(): Promise<void> {
    this.#bundles = parseBundleMap(await this.#call('/v1/bundles'))
  }

  /** Renews its SVID for a new key, with the one it holds as evidence. */
  async renew(): Promise<void> {
    const keys = generateKeyPair()
    const csr = toPem(createCsr(keys), 'CERTIFICATE REQUEST')
    const answer = await this.#call('/v1/svids/x509', { csr })
    const { certificateChain: cert, renewAt } = JSON.parse(answer.toString()) as X509AnswerView
    const key = toPem(exportPrivateKey(keys.privateKey), 'PRIVATE KEY')
    this.#identity = { cert, key, serial: serialOf(cert), renewAt: new Date(renewAt) }
    this.onRenewed(this.#identity)
  }

  /** Keeps bundles and SVID fresh until stopped; while the service is away it goes on with what it has. */
  startRefreshing(everyMs = 1000): void {
    const tick = async (): Promise<void> => {
      try {
        await this.refreshBundles()
        if (new Date() >= this.#identity.renewAt) await this.renew()
      } catch (error) {
        this.#trouble = error instanceof Error ? error.message : String(error)
      }
    }
    this.#timer = setInterval(() => {
      this.#renewing ??= tick().finally(() => (this.#renewing = undefined))
    }, everyMs)
  }

  async stopRefreshing(): Promise<void> {
    clearInterval(this.#timer)
    await this.#renewing
  }

  async #call(target: string, body?: object): Promise<Buffer> {
    const socket = await this.#connect()
    const payload = body === undefined ? undefined : JSON.stringify(body)
    const headers = payload === undefined ? {} : { 'content-type': 'application/json' }
    const options = { path: target, method: payload === undefined ? 'GET' : 'POST', headers }
    try {
      return await new Promise<Buffer>((resolve, reject) => {
        const answered = (answer: IncomingMessage): void => {
          if (answer.statusCode === 200) buffer(answer).then(resolve, reject)
          else reject(new Error(`${target} answered ${answer.statusCode}`))
        }
        request({ ...options, createConnection: () => socket }, answered)
          .once('error', reject)
          .end(payload)
      })
    } finally {
      socket.destroy()
    }
  }

  /** Connects to the workload listener and speaks only to `…/entente/workload-endpoint` of the own domain. */
  async #connect(): Promise<TLSSocket> {
    const { host, port } = this.#plan.endpoint
    const { cert, key } = this.#identity
    const own = trustDomainOf(this.id)
    const socket = connect({
      host,
      port,
      cert,
      key,
      servername: own,
      rejectUnauthorized: false, // checked below, against the bundle of the own trust domain only
    })
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve)
      socket.once('error', reject)
    })
    const found = checkPeer(socket, this.#knownBundles())
    if (found.id === workloadEndpointId(own)) return socket
    socket.destroy()
    throw new Error(`the workload listener presents ${found.id}`)
  }

  /** Before the first refresh: the own bundle that came with the SVID. */
  #knownBundles(): ReadonlyMap<TrustDomain, Bundle> {
    if (this.#bundles.size > 0) return this.#bundles
    return readBundle(this.folder, this.trustDomain)
  }
}

function readIdentity(folder: string): Identity {
  const read = (name: string): string => readFileSync(path.join(folder, name), 'utf8')
  const cert = read('svid.pem')
  const { renewAt } = JSON.parse(read('svid.json')) as { renewAt: string }
  return {
    cert,
    key: read('key.pem'),
    serial: serialOf(cert),
    renewAt: new Date(renewAt),
  }
}

function serialOf(chain: string): string {
  const [leaf] = splitPem(chain)
  if (leaf === undefined) throw new Error('a chain without certificate')
  return readCertificate(leaf).serial
}

function readBundle(folder: string, trustDomain: TrustDomain): ReadonlyMap<TrustDomain, Bundle> {
  const document = readFileSync(path.join(folder, 'bundles', `${trustDomain}.json`))
  return new Map([[trustDomain, parseBundle(trustDomain, document).bundle]])
}
