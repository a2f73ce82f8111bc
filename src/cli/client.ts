import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { type RequestOptions, request as httpsRequest } from 'node:https'
import { messageOf, quoted } from '../errors.ts'
import { type ServiceAddress } from './address.ts'
import { CliFailure, EXIT, type RefusedField } from './failure.ts'

/** One HTTP exchange with a service that the operator named. */
export interface Exchange {
  readonly method: string
  readonly url: URL
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly timeoutSeconds?: number
  /** How the service is called in messages; default the URL's origin. */
  readonly shown?: string
  /** Socket, CA, client certificate, server name or identity check of the connection. */
  readonly connection?: Pick<
    RequestOptions,
    | 'socketPath'
    | 'ca'
    | 'cert'
    | 'key'
    | 'servername'
    | 'checkServerIdentity'
    | 'rejectUnauthorized'
  >
}

/** A whole answer. */
export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

/** Seconds within which a whole answer must have come, unless a call says otherwise. */
const DEFAULT_TIMEOUT_SECONDS = 30
const MAX_ANSWER_BYTES = 64 * 1024 * 1024

/**
 * Sends one request and reads the whole answer; redirects are answers like any other.
 *
 * The connections of the admin API; `workload-client.ts` has those of the workload listener. Throws a {@link CliFailure} with exit code 3 when no
 * complete answer comes in time.
 */
export async function send(exchange: Exchange): Promise<Answer> {
  const { url, connection = {}, timeoutSeconds = DEFAULT_TIMEOUT_SECONDS } = exchange
  const body = exchange.body === undefined ? undefined : Buffer.from(exchange.body, 'utf8')
  const length = body === undefined ? {} : { 'content-length': String(body.byteLength) }
  const options: RequestOptions = {
    ...connection,
    method: exchange.method,
    headers: { ...exchange.headers, ...length, connection: 'close' },
    agent: false,
    signal: AbortSignal.timeout(timeoutSeconds * 1000),
  }
  const open = url.protocol === 'https:' ? httpsRequest : httpRequest
  try {
    const incoming = await new Promise<IncomingMessage>((resolve, reject) => {
      open(url, options, resolve).once('error', reject).end(body)
    })
    return await readAnswer(incoming)
  } catch (cause) {
    throw unreachable(exchange, cause)
  }
}

/**
 * Speaks the admin API at one address with one token, each call a connection of its own.
 *
 * Answers other than 2xx become a {@link CliFailure} that says what the service said. One that asks to come again later
 * (429 with `Retry-After`; nothing was done then) is heeded for up to a minute a call.
 */
export class ServiceClient {
  readonly #address: ServiceAddress
  readonly #token: () => string
  readonly #waiting: Waiting

  constructor(address: ServiceAddress, token: () => string, waiting: Waiting) {
    this.#address = address
    this.#token = token
    this.#waiting = waiting
  }

  async call(method: string, target: string, options: CallOptions = {}): Promise<Answer> {
    let waited = 0
    for (;;) {
      const answer = await this.#send(method, target, options)
      if (answer.status >= 200 && answer.status < 300) return answer
      const failure = failureOf(answer, this.#address.shown)
      const seconds = secondsToWait(answer)
      if (seconds === undefined || waited + seconds > MOST_WAIT_SECONDS) throw failure
      this.#waiting.tell(failure.message, seconds)
      await this.#waiting.sleep(seconds * 1000)
      waited += seconds
    }
  }

  async #send(method: string, target: string, options: CallOptions): Promise<Answer> {
    const { baseUrl, socketPath, ca, shown } = this.#address
    return send({
      method,
      url: urlOf(baseUrl, target, options.query),
      headers: this.#headers(options),
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      ...(options.timeoutSeconds === undefined ? {} : { timeoutSeconds: options.timeoutSeconds }),
      shown,
      connection: {
        ...(socketPath === undefined ? {} : { socketPath }),
        ...(ca === undefined ? {} : { ca }),
      },
    })
  }

  #headers(options: CallOptions): Record<string, string> {
    return {
      accept: 'application/json, application/problem+json',
      authorization: `Bearer ${this.#token()}`,
      ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(options.ifMatch === undefined ? {} : { 'if-match': options.ifMatch }),
    }
  }
}

/** Seconds that one call may wait in all: a bucket that is empty has room in one, an address that failed to log in in 60. */
const MOST_WAIT_SECONDS = 60

/** How a call waits, and tells that it does. */
export interface Waiting {
  readonly sleep: (ms: number) => Promise<void>
  readonly tell: (why: string, seconds: number) => void
}

/** Seconds after which the service wants to be asked again; undefined when it does not say so. */
function secondsToWait({ status, headers }: Answer): number | undefined {
  const text = headers['retry-after']
  if (status !== 429 || text === undefined || !/^[0-9]{1,4}$/.test(text)) return undefined
  return Math.max(1, Number(text))
}

/** What a call may carry beside its path. */
export interface CallOptions {
  /** Sent as JSON. */
  readonly body?: unknown
  /** Members that are undefined are left out. */
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  /** ETag of the version that the change was made on. */
  readonly ifMatch?: string | undefined
  readonly timeoutSeconds?: number
  /** Says nothing of a dry run; for calls that only look ahead. */
  readonly quiet?: boolean
}

/** A path whose values are percent-encoded: path`/meshes/${mesh}/rules/${id}`. */
export function path(pieces: TemplateStringsArray, ...values: readonly string[]): string {
  return pieces.map((piece, index) => piece + encodeURIComponent(values[index] ?? '')).join('')
}

function urlOf(baseUrl: URL, target: string, query: CallOptions['query'] = {}): URL {
  const prefix = baseUrl.pathname.replace(/\/$/, '')
  const versioned = /^\/(v1|docs)\//.test(target) ? target : `/v1${target}`
  const url = new URL(`${baseUrl.origin}${prefix}${versioned}`)
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) url.searchParams.set(name, String(value))
  }
  return url
}

/** Reads a whole answer, at most 64 MiB. */
export async function readAnswer(incoming: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of incoming) {
    const bytes = Buffer.from(chunk)
    size += bytes.byteLength
    if (size > MAX_ANSWER_BYTES) throw new Error(`answer is larger than ${MAX_ANSWER_BYTES} bytes`)
    chunks.push(bytes)
  }
  if (!incoming.complete) throw new Error('the answer was cut off')
  const text = Buffer.concat(chunks).toString('utf8')
  return { status: incoming.statusCode ?? 0, headers: incoming.headers, text }
}

const REMEDIES = new Map([
  ['ECONNREFUSED', 'is it running? start it with `npm start`, or check ENTENTE_ADDR'],
  ['ENOENT', 'is it running? start it with `npm start`, or check --data-dir and ENTENTE_ADDR'],
  ['EACCES', 'the socket belongs to the user who runs the service; call as that user'],
  ['ENOTFOUND', 'check the host name in ENTENTE_ADDR'],
  ['ENAMETOOLONG', 'the path of the socket is too long; call from a folder nearer to it'],
])

function unreachable({ shown, url, timeoutSeconds }: Exchange, cause: unknown): CliFailure {
  const isTimeout = cause instanceof Error && /^(Timeout|Abort)Error$/.test(cause.name)
  const seconds = timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS
  const reason = isTimeout ? `no whole answer within ${seconds} s` : reasonOf(cause)
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  const remedy = REMEDIES.get(code) ?? remedyOfTls(code)
  return new CliFailure(`no answer from ${shown ?? url.origin}: ${reason}`, {
    exitCode: EXIT.unreachable,
    next: remedy === undefined ? [] : [remedy],
    cause,
  })
}

/** A name with several addresses fails with an aggregate whose own message is empty. */
function reasonOf(cause: unknown): string {
  if (cause instanceof AggregateError) return cause.errors.map(messageOf).join('; ')
  return messageOf(cause)
}

function remedyOfTls(code: string): string | undefined {
  const isTrust = /CERT|SELF_SIGNED|UNABLE_TO|ERR_TLS/.test(code)
  return isTrust ? "name the CA of the service's certificate with ENTENTE_CA_FILE" : undefined
}

/** An answer other than 2xx as a failure that says what the service said. */
export function failureOf(answer: Answer, shown: string): CliFailure {
  const problem = problemIn(answer)
  if (problem === undefined) {
    const start = quoted(answer.text, 200)
    const message = `${shown} answered ${answer.status} without saying why: ${start}`
    return new CliFailure(message, { status: answer.status, next: remedyOfStatus(answer.status) })
  }
  const detail = textIn(problem, 'detail') ?? textIn(problem, 'title') ?? 'refused'
  const code = textIn(problem, 'code')
  const next = nextIn(problem)
  const failedStep = textIn(problem, 'failedStep')
  return new CliFailure(detail, {
    status: answer.status,
    ...(code === undefined ? {} : { code }),
    ...(failedStep === undefined ? {} : { failedStep }),
    fields: fieldsIn(problem),
    next: next.length > 0 ? next : remedyOfStatus(answer.status),
  })
}

function remedyOfStatus(status: number): string[] {
  if (status !== 401) return []
  return ['check the token: ENTENTE_TOKEN_FILE, or admin.token in the data folder of this service']
}

type Problem = Readonly<Record<string, unknown>>

function problemIn({ headers, text }: Answer): Problem | undefined {
  if (!/^application\/(problem\+)?json\b/i.test(headers['content-type'] ?? '')) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return isRecord(value) && 'detail' in value ? value : undefined
  } catch {
    return undefined
  }
}

function nextIn({ next }: Problem): string[] {
  if (Array.isArray(next)) return next.map(String)
  return typeof next === 'string' ? [next] : []
}

function fieldsIn({ errors }: Problem): RefusedField[] {
  if (!Array.isArray(errors)) return []
  return errors.filter(isRecord).map((field) => ({
    in: textIn(field, 'in') ?? '',
    pointer: textIn(field, 'pointer') ?? '',
    detail: textIn(field, 'detail') ?? '',
  }))
}

function textIn(record: Problem, name: string): string | undefined {
  const value = record[name]
  return typeof value === 'string' ? value : undefined
}

function isRecord(value: unknown): value is Problem {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
