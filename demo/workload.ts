import { readFileSync } from 'node:fs'
import { request } from 'node:https'
import path from 'node:path'
import { buffer } from 'node:stream/consumers'
import { connect, type TLSSocket } from 'node:tls'
import { readCertificate, splitPem } from '../src/pki/certificate.ts'
import { type Bundle } from '../src/spiffe/bundle.ts'
import { parseBundleMap } from '../src/spiffe/bundle-map.ts'
import {
  parseSpiffeId,
  type SpiffeId,
  trustDomainOf,
  workloadEndpointId,
} from '../src/spiffe/spiffe-id.ts'
import { type TrustDomain } from '../src/spiffe/trust-domain.ts'
import { checkPeer } from './peer-check.ts'
import { type DemoService } from './service.ts'

/** The files that `svid fetch` writes, as `tls` takes them. */
export interface Identity {
  readonly cert: string
  readonly key: string
  readonly serial: string
  /** Moment of half life, when it is renewed. */
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
  /** Called with each new identity. */
  onRenewed: (identity: Identity) => void = () => undefined

  constructor(plan: WorkloadPlan) {
    this.#plan = plan
    this.id = parseSpiffeId(plan.id)
    this.folder = plan.folder
    this.#identity = readIdentity(plan.folder)
  }

  get identity(): Identity {
    return this.#identity
  }

  get bundles(): ReadonlyMap<TrustDomain, Bundle> {
    return this.#bundles
  }

  /** Fetches its bundles, one per trust domain, over mutual TLS with its own SVID. */
  async refreshBundles(): Promise<void> {
    const document = await this.#getBundles()
    this.#bundles = parseBundleMap(document)
  }

  /** Renews its SVID, with the one it holds as evidence. */
  async renew(): Promise<void> {
    await this.#plan.service.run('svid', 'fetch', '--renew', '--out', this.folder)
    this.#identity = readIdentity(this.folder)
    this.onRenewed(this.#identity)
  }

  /** Keeps bundles and SVID fresh until stopped; while the service is away it goes on with what it has. */
  startRefreshing(everyMs = 1000): void {
    const tick = async (): Promise<void> => {
      await this.refreshBundles().catch(() => undefined)
      if (new Date() >= this.#identity.renewAt) await this.renew().catch(() => undefined)
    }
    this.#timer = setInterval(() => {
      this.#renewing ??= tick().finally(() => (this.#renewing = undefined))
    }, everyMs)
  }

  async stopRefreshing(): Promise<void> {
    clearInterval(this.#timer)
    await this.#renewing
  }

  async #getBundles(): Promise<Buffer> {
    const socket = await this.#connect()
    try {
      return await new Promise<Buffer>((resolve, reject) => {
        const options = {
          path: '/v1/bundles',
          createConnection: () => socket,
          agent: false as const,
        }
        request(options, (answer) => {
          if (answer.statusCode === 200) buffer(answer).then(resolve, reject)
          else reject(new Error(`GET /v1/bundles answered ${answer.statusCode}`))
        })
          .once('error', reject)
          .end()
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
    return readBundles(this.folder)
  }
}

function readIdentity(folder: string): Identity {
  const cert = readFileSync(path.join(folder, 'svid.pem'), 'utf8')
  const key = readFileSync(path.join(folder, 'svid.key'), 'utf8')
  const [leaf] = splitPem(cert)
  if (leaf === undefined) throw new Error(`no certificate in ${folder}`)
  const { serial, notBefore, notAfter } = readCertificate(leaf)
  const renewAt = new Date((notBefore.getTime() + notAfter.getTime()) / 2)
  return { cert, key, serial, renewAt }
}

function readBundles(folder: string): ReadonlyMap<TrustDomain, Bundle> {
  return parseBundleMap(readFileSync(path.join(folder, 'bundles.json')))
}
