import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { type BundleView } from '../src/bundle/api.ts'
import { type RelationshipView } from '../src/federation/api.ts'
import { type CreatedMeshView } from '../src/mesh/api.ts'
import { type CreatedEntryView, type CreatedJoinTokenView } from '../src/registry/api.ts'
import { DemoService, type ServicePlan } from './service.ts'
import { until } from './wait.ts'
import { Workload } from './workload.ts'

/** Seconds between fetches that each side asks for; five of them must pass before a new root signs. */
export const HINT_SECONDS = 1

/** Lives and waits of both meshes, scaled down from days to seconds. */
const SETTINGS = {
  hintSeconds: HINT_SECONDS,
  minPublishSeconds: 2,
  removalSkewSeconds: 1,
}

/** A workload to be registered. */
export interface NewWorkload {
  /** Path of its SPIFFE ID. */
  readonly idPath: string
  /** Life of its SVIDs; renewed at half of it. */
  readonly svidSeconds: number
}

/** One organisation: its service, its mesh and its workload. */
export class Side {
  readonly name: string
  readonly trustDomain: string
  readonly service: DemoService
  readonly #workloadPort: number
  #mesh: CreatedMeshView | undefined
  #workload: Workload | undefined

  constructor(plan: ServicePlan) {
    this.name = plan.name
    this.trustDomain = `${plan.name}.example`
    this.service = new DemoService(plan)
    this.#workloadPort = 8444 + plan.portOffset
  }

  get workload(): Workload {
    if (this.#workload === undefined) throw new Error(`${this.name} has no workload yet`)
    return this.#workload
  }

  /** The last thing that went wrong for its workload, if anything did. */
  get trouble(): string | undefined {
    return this.#workload?.trouble
  }

  /** The mesh as it was made. */
  get mesh(): CreatedMeshView {
    if (this.#mesh === undefined) throw new Error(`${this.name} has no mesh yet`)
    return this.#mesh
  }

  async createMesh(): Promise<void> {
    const settings = Object.entries(SETTINGS).flatMap(([name, value]) => [
      '--set',
      `${name}=${value}`,
    ])
    const args = ['mesh', 'create', this.name, '--trust-domain', this.trustDomain]
    this.#mesh = await this.service.ask<CreatedMeshView>(...args, ...settings)
  }

  /** Our bundle as it is published now. */
  async bundle(): Promise<BundleView> {
    return this.service.ask<BundleView>('bundle', 'show')
  }

  /** Allows connections to this machine, on which the other side is. */
  async allowLocalhost(): Promise<void> {
    await this.service.run('egress', 'allow', 'localhost')
  }

  /** Invites the other side; the file with the invite is sent to it as a secret. */
  async invite(peer: Side): Promise<string> {
    const file = path.join(this.service.folder, `${peer.name}.invite`)
    const whom = ['--for', peer.trustDomain, '--auto-approve']
    await this.service.run('federation', 'invite', ...whom, '--out', file)
    return file
  }

  /** Accepts an invite; answers with the lines that the command prints: four ticks and the fingerprints. */
  async accept(inviteFile: string): Promise<string[]> {
    const text = await this.service.run('federation', 'accept', inviteFile)
    return text.split('\n').filter((line) => line !== '')
  }

  /** Our relationship with the other side. */
  async relationship(peer: Side): Promise<RelationshipView> {
    return this.service.api<RelationshipView>(`/meshes/${this.name}/relationships/${peer.name}`)
  }

  /** Waits until our service has fetched the other side's bundle by itself. */
  async untilFetched(peer: Side): Promise<RelationshipView> {
    const what = `${this.name} fetching the bundle of ${peer.name}`
    return until({ what, seconds: 20, everyMs: 500 }, async () => {
      const found = await this.relationship(peer)
      const isFetched = found.domains.every(({ bundle }) => bundle?.origin === 'fetched')
      return found.state === 'active' && found.health === 'ok' && isFetched ? found : undefined
    })
  }

  /** Registers a workload and fetches its SVID with a join token, as its machine would. */
  async startWorkload({ idPath, svidSeconds }: NewWorkload): Promise<void> {
    const ttl = ['--x509-ttl', String(svidSeconds)]
    await this.service.ask<CreatedEntryView>('entry', 'create', '--id', idPath, ...ttl)
    const made = await this.service.ask<CreatedJoinTokenView>(
      'join-token',
      'create',
      '--id',
      idPath,
    )
    const tokenFile = path.join(this.service.folder, 'join.token')
    writeFileSync(tokenFile, `${made.token}\n`, { mode: 0o600 })
    const folder = path.join(this.service.folder, 'svid')
    const address = `localhost:${this.#workloadPort}`
    const fetched = ['--address', address, '--token-file', tokenFile, '--out', folder]
    await this.service.run('svid', 'fetch', ...fetched)
    const endpoint = { host: '127.0.0.1', port: this.#workloadPort }
    const id = `spiffe://${this.trustDomain}${idPath}`
    this.#workload = new Workload({ service: this.service, id, endpoint, folder })
    await this.#workload.refreshBundles()
    this.#workload.startRefreshing()
  }

  /** Stops the workload and lets the service live on. */
  async release(): Promise<void> {
    await this.#workload?.stopRefreshing()
    this.service.release()
  }

  async end(): Promise<void> {
    await this.#workload?.stopRefreshing()
    await this.service.end('SIGTERM')
  }
}
