import { readFile } from 'node:fs/promises'
import { buffer } from 'node:stream/consumers'
import { type Clock, systemClock } from '../clock.ts'
import { messageOf, quoted } from '../errors.ts'
import { type Environment, findAddress, isExposed, readToken } from './address.ts'
import { type Answer, type CallOptions, ServiceClient } from './client.ts'
import { CliFailure, usageFailure } from './failure.ts'
import { format, type OutputMode, type Table } from './output.ts'
import { sanitizeLine, sanitizeText } from './sanitize.ts'

/** Where a command reads and writes; tests hand in their own. */
export interface CliStreams {
  readonly stdin: NodeJS.ReadableStream
  readonly stdout: { write(text: string): unknown }
  readonly stderr: { write(text: string): unknown }
}

/** The options that every command takes. */
export interface GlobalOptions {
  readonly output: OutputMode
  readonly mesh?: string | undefined
  readonly dataDir?: string | undefined
}

/** What a {@link Cli} is made of. */
export interface CliParts {
  readonly env: Environment
  readonly streams: CliStreams
  /** Read when a command runs, after the command line was parsed. */
  readonly globals: () => GlobalOptions
  /** By which calls wait that the service puts off; default the machine's. */
  readonly clock?: Pick<Clock, 'sleep'>
}

/**
 * What a command works with: calls to the admin API, the mesh it is about, and printing.
 *
 * Paths are given below `/v1` (`/meshes`); build them with `path` of `client.ts`, which encodes values. All
 * calls throw a `CliFailure` for an answer other than 2xx, which ends the command with the right exit code.
 */
export class Cli {
  readonly env: Environment
  readonly #parts: CliParts
  #client: ServiceClient | undefined
  #meshId: string | undefined

  constructor(parts: CliParts) {
    this.env = parts.env
    this.#parts = parts
  }

  /** How results are to be printed. */
  get output(): OutputMode {
    return this.#parts.globals().output
  }

  async get<T = unknown>(target: string, options?: CallOptions): Promise<T> {
    return bodyOf(await this.call('GET', target, options)) as T
  }

  /** A resource with its ETag, or undefined when there is none at this path. */
  async find(
    target: string,
  ): Promise<{ readonly body: unknown; readonly etag: string | undefined } | undefined> {
    try {
      const answer = await this.call('GET', target)
      return { body: bodyOf(answer), etag: answer.headers.etag }
    } catch (thrown) {
      if (thrown instanceof CliFailure && thrown.status === 404) return undefined
      throw thrown
    }
  }

  async post<T = unknown>(target: string, body: unknown = {}, options?: CallOptions): Promise<T> {
    return bodyOf(await this.call('POST', target, { ...options, body })) as T
  }

  async put<T = unknown>(target: string, body: unknown, options?: CallOptions): Promise<T> {
    return bodyOf(await this.call('PUT', target, { ...options, body })) as T
  }

  /** Changes a resource; without `ifMatch` on the version that is current now. */
  async patch<T = unknown>(target: string, body: unknown, options?: CallOptions): Promise<T> {
    const ifMatch = options?.ifMatch ?? (await this.#currentEtag(target))
    return bodyOf(await this.call('PATCH', target, { ...options, ifMatch, body })) as T
  }

  /** Deletes a resource; without `ifMatch` in the version that is current now. */
  async delete<T = unknown>(target: string, options?: CallOptions): Promise<T> {
    const ifMatch = options?.ifMatch ?? (await this.#currentEtag(target))
    return bodyOf(await this.call('DELETE', target, { ...options, ifMatch })) as T
  }

  /** Every item of a list, page after page. */
  async list<T = unknown>(target: string, query: CallOptions['query'] = {}): Promise<T[]> {
    const items: T[] = []
    let cursor: string | undefined
    do {
      const page = await this.get<Page<T>>(target, { query: { limit: 500, ...query, cursor } })
      items.push(...page.items)
      cursor = page.nextCursor ?? undefined
    } while (cursor !== undefined)
    return items
  }

  /** The ETag of a resource, or undefined when it has none. */
  async etag(target: string): Promise<string | undefined> {
    const { headers } = await this.call('GET', target)
    return headers.etag
  }

  /** One call with its whole answer: status, headers, text. */
  async call(method: string, target: string, options?: CallOptions): Promise<Answer> {
    this.#client ??= this.#connect()
    const answer = await this.#client.call(method, target, options)
    if (options?.query?.['dryRun'] === true && options.quiet !== true) {
      this.#parts.streams.stderr.write(
        'dry run: nothing was changed; new ids and URLs are examples\n',
      )
    }
    return answer
  }

  /** The mesh named by `--mesh` or `ENTENTE_MESH`, if any. */
  meshOption(): string | undefined {
    const named = this.#parts.globals().mesh ?? this.env['ENTENTE_MESH']
    return named === '' ? undefined : named
  }

  /** The mesh that the command is about: the named one, else the only one of the service. */
  async meshId(): Promise<string> {
    this.#meshId ??= this.meshOption() ?? (await this.#onlyMesh())
    return this.#meshId
  }

  /** Prints a result, in the chosen output mode: an object, a text, or a {@link Table}. */
  print(value: unknown): void {
    this.#parts.streams.stdout.write(format(value, this.output))
  }

  /** Prints a list as a table, or whole in JSON and YAML. */
  printTable(value: Table): void {
    this.print(value)
  }

  /** Prints a document as it is (PEM, a bundle), whatever the output mode. */
  printText(text: string): void {
    const ended = text.endsWith('\n') ? text : `${text}\n`
    this.#parts.streams.stdout.write(sanitizeText(ended))
  }

  /** Prints a sentence for a person: on stdout in table mode, never in JSON or YAML. */
  say(text: string): void {
    if (this.output === 'table') this.#parts.streams.stdout.write(`${sanitizeText(text)}\n`)
  }

  /** Prints a sentence for a person on stderr, where stdout is for what is piped on; never in JSON or YAML. */
  note(text: string): void {
    if (this.output === 'table') this.#parts.streams.stderr.write(`${sanitizeText(text)}\n`)
  }

  /** Prints a warning on stderr. */
  warn(text: string): void {
    this.#parts.streams.stderr.write(`warning: ${sanitizeLine(text)}\n`)
  }

  /** The bytes of a file, or of stdin for `-`; throws a failure with exit code 2. */
  async readInput(file: string): Promise<Uint8Array> {
    if (file === '-') return buffer(this.#parts.streams.stdin)
    try {
      return await readFile(file)
    } catch (cause) {
      throw usageFailure(`cannot read ${quoted(file)}: ${messageOf(cause)}`)
    }
  }

  #connect(): ServiceClient {
    const choice = { env: this.env, dataDir: this.#parts.globals().dataDir }
    const address = findAddress(choice)
    if (isExposed(address)) this.warn(`the token travels unencrypted to ${address.shown}`)
    return new ServiceClient(address, () => readToken(choice), {
      sleep: (ms) => (this.#parts.clock ?? systemClock).sleep(ms),
      tell: (why, seconds) => this.warn(`${why}; trying again in ${seconds} s`),
    })
  }

  /** What cannot be read has no ETag; the change itself then says what is wrong. */
  async #currentEtag(target: string): Promise<string | undefined> {
    try {
      return await this.etag(target)
    } catch (thrown) {
      if (thrown instanceof CliFailure && (thrown.status === 404 || thrown.status === 405))
        return undefined
      throw thrown
    }
  }

  async #onlyMesh(): Promise<string> {
    const { items } = await this.get<Page<{ meshId: string }>>('/meshes', { query: { limit: 10 } })
    const [only, another] = items
    if (only !== undefined && another === undefined) return only.meshId
    if (only === undefined) {
      throw new CliFailure('this service has no mesh yet', {
        next: ['entente mesh create acme --trust-domain acme.example'],
      })
    }
    const names = items.map(({ meshId }) => meshId).join(', ')
    throw usageFailure(`this service has several meshes (${names})`, 'name one with --mesh MESH')
  }
}

interface Page<T> {
  readonly items: readonly T[]
  readonly nextCursor?: string | null
}

function bodyOf(answer: Answer): unknown {
  if (answer.text === '') return undefined
  try {
    return JSON.parse(answer.text)
  } catch (cause) {
    throw new CliFailure(`the service answered ${answer.status} with text that is not JSON`, {
      cause,
    })
  }
}
