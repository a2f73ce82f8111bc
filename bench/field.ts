import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Part, startPart } from './children.ts'
import { type Postgres, startPostgres } from './postgres.ts'
import {
  postgresSettings,
  scratchFolder,
  type ServiceProcess,
  startServiceProcess,
} from './service-process.ts'

/** The mesh that every service of a bench has. */
export const MESH = 'acme'

/** The service polls and hands out nothing by itself faster than a real one, but to loopback. */
const SETTINGS = { ENTENTE_EGRESS_ALLOW: 'localhost,127.0.0.0/8' }

/**
 * The processes that benches work on, each started when first asked for and shared by those of one run: starting
 * one costs seconds.
 */
export class Field {
  readonly #folder = scratchFolder()
  #embedded: Promise<ServiceProcess> | undefined
  #hasMesh = false
  #postgres: Postgres | undefined
  #onPostgres: Promise<ServiceProcess> | undefined
  #empty: Promise<Part<object>> | undefined

  /** A folder of this run. */
  folder(name: string): string {
    const path = join(this.#folder.path, name)
    mkdirSync(path, { recursive: true })
    return path
  }

  /** A service on the embedded database, with a mesh. */
  async embedded(): Promise<ServiceProcess> {
    this.#embedded ??= this.#startEmbedded()
    return this.#embedded
  }

  async #startEmbedded(): Promise<ServiceProcess> {
    const service = await startServiceProcess(this.folder('embedded'), SETTINGS)
    if (!this.#hasMesh) await withMesh(service)
    this.#hasMesh = true
    return service
  }

  /** Ends the embedded service; its folder stays. */
  async endEmbedded(): Promise<void> {
    await (await this.#embedded)?.end()
    this.#embedded = undefined
  }

  /** A process with an empty PGlite. */
  async empty(): Promise<Part<object>> {
    this.#empty ??= startPart('empty-pglite', { folder: this.folder('empty') })
    return this.#empty
  }

  /** Ends the empty PGlite; its folder stays. */
  async endEmpty(): Promise<void> {
    await (await this.#empty)?.finish({})
    this.#empty = undefined
  }

  /** The private Postgres of this run; throws with the reason when there can be none. */
  postgres(): Postgres {
    this.#postgres ??= startPostgres(this.folder('postgres'))
    return this.#postgres
  }

  /** A service on Postgres, with a mesh; throws with the reason when there can be none. */
  async onPostgres(): Promise<ServiceProcess> {
    this.#onPostgres ??= this.startOnPostgres('shared')
    return this.#onPostgres
  }

  /**
   * Another service on a Postgres database of its own, with a mesh; its caller ends it. `via` may put something
   * between the two.
   */
  async startOnPostgres(
    name: string,
    via: (url: string) => Promise<string> = async (url) => url,
  ): Promise<ServiceProcess> {
    const url = await via(await this.postgres().database(name))
    const folder = this.folder(`service-${name}`)
    const service = await startServiceProcess(folder, {
      ...SETTINGS,
      ...postgresSettings(folder, url),
    })
    return withMesh(service)
  }

  /** Ends everything and removes the folders. */
  async close(): Promise<void> {
    const services = await Promise.allSettled([this.#embedded, this.#onPostgres])
    for (const one of services) if (one.status === 'fulfilled') await one.value?.end()
    const empty = await this.#empty?.catch(() => undefined)
    await empty?.end()
    this.#postgres?.stop()
    rmSync(this.#folder.path, { recursive: true, force: true })
  }
}

async function withMesh(service: ServiceProcess): Promise<ServiceProcess> {
  await service.admin('POST', '/meshes', { meshId: MESH, trustDomain: `${MESH}.example` })
  return service
}
