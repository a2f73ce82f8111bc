import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { runCli } from '../../src/cli/main.ts'

interface Teardown {
  teardown(end: () => unknown): unknown
}

/** What a small server saw of one request. */
export interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** An answer: status, JSON body (or text), headers. */
export interface Reply {
  readonly status?: number
  readonly json?: unknown
  readonly text?: string
  readonly headers?: Record<string, string>
}

/** A real HTTP server that answers as told and remembers what it was asked. */
export interface SmallServer {
  readonly seen: Seen[]
  /** `http://127.0.0.1:PORT` or `unix:PATH`. */
  readonly address: string
  readonly folder: string
}

/** Answers a request, or undefined to leave it without an answer. */
export type Answering = (request: Seen) => Reply | undefined

/** Starts a server on a free loopback port, or on `admin.sock` in a folder of its own. */
export async function smallServer(
  t: Teardown,
  answer: Answering,
  options: { unix?: boolean } = {},
): Promise<SmallServer> {
  const folder = dataFolder(t)
  const seen: Seen[] = []
  const server = createServer((request, response) => void handle(request, response))
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const one: Seen = {
      method: request.method ?? '',
      url: request.url ?? '',
      headers: request.headers,
      body: await text(request),
    }
    seen.push(one)
    const reply = answer(one)
    if (reply !== undefined) send(response, reply)
  }
  const socket = path.join(folder, 'admin.sock')
  await new Promise<void>((resolve) => {
    if (options.unix === true) server.listen(socket, resolve)
    else server.listen(0, '127.0.0.1', resolve)
  })
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = (options.unix === true ? { port: 0 } : server.address()) as AddressInfo
  return {
    seen,
    folder,
    address: options.unix === true ? `unix:${socket}` : `http://127.0.0.1:${port}`,
  }
}

/** A fresh folder with an `admin.token`, removed at the end of the test. */
export function dataFolder(t: Teardown): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'entente-cli-'))
  writeFileSync(path.join(folder, 'admin.token'), 'secret-token\n', { mode: 0o600 })
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** What a command line printed and how it ended. */
export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Runs one command line with this environment and standard input. */
export async function ran(
  argv: readonly string[],
  env: Record<string, string> = {},
  input = '',
): Promise<Ran> {
  const out: string[] = []
  const err: string[] = []
  const stdin = new PassThrough()
  stdin.end(input)
  const code = await runCli(argv, env, {
    stdin,
    stdout: { write: (chunk) => out.push(chunk) },
    stderr: { write: (chunk) => err.push(chunk) },
  })
  return { code, out: out.join(''), err: err.join('') }
}

function send(
  response: ServerResponse,
  { status = 200, json, text: body, headers = {} }: Reply,
): void {
  const type = status >= 400 ? 'application/problem+json' : 'application/json'
  response.writeHead(status, { 'content-type': type, ...headers })
  response.end(json === undefined ? (body ?? '') : JSON.stringify(json))
}
