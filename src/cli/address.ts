import { existsSync, readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import path from 'node:path'
import { messageOf, quoted } from '../errors.ts'
import { CliFailure, EXIT, usageFailure } from './failure.ts'

/** Environment of the program, as handed in by its caller. */
export type Environment = Readonly<Record<string, string | undefined>>

/** Where the service answers: a base URL, or the socket of a service on this machine. */
export interface ServiceAddress {
  /** How the address is called in messages. */
  readonly shown: string
  readonly baseUrl: URL
  readonly socketPath?: string
  /** PEM certificates that the service's own certificate may chain to, instead of the system's. */
  readonly ca?: string
}

/** What decides the address and the token. */
export interface AddressChoice {
  readonly env: Environment
  /** `--data-dir`, which wins over the environment. */
  readonly dataDir?: string | undefined
}

const START = 'start a service with `npm start`, or name one: --data-dir DIR or ENTENTE_ADDR=URL'

/**
 * Finds the service: `--data-dir`, else `ENTENTE_ADDR` (`http(s)://…` or `unix:PATH`), else `admin.sock` in
 * `ENTENTE_DATA_DIR` (default `./data`). Throws a {@link CliFailure}.
 */
export function findAddress({ env, dataDir }: AddressChoice): ServiceAddress {
  const address = env['ENTENTE_ADDR']
  if (dataDir !== undefined || address === undefined || address === '') {
    return socketAddress(path.join(dataDirOf({ env, dataDir }), 'admin.sock'))
  }
  if (address.startsWith('unix:')) return socketAddress(address.slice('unix:'.length))
  return urlAddress(address, env)
}

/** Reads the bearer token from `ENTENTE_TOKEN_FILE`, else from `admin.token` in the data folder. */
export function readToken(choice: AddressChoice): string {
  const { env, dataDir } = choice
  const named = dataDir === undefined ? env['ENTENTE_TOKEN_FILE'] : undefined
  const file = named ?? path.join(dataDirOf(choice), 'admin.token')
  const token = readText(file, 'ENTENTE_TOKEN_FILE').trim()
  if (/^[\x21-\x7e]+$/.test(token)) return token
  throw usageFailure(`token file ${quoted(file)} does not hold one token`)
}

/** Whether what we send could be read on the way: plain HTTP to another machine. */
export function isExposed({ baseUrl, socketPath }: ServiceAddress): boolean {
  if (socketPath !== undefined || baseUrl.protocol === 'https:') return false
  const host = baseUrl.hostname.replace(/^\[|\]$/g, '')
  const isLoopback = isIP(host) === 0 ? /(^|\.)localhost$/.test(host) : /^(127\.|::1$)/.test(host)
  return !isLoopback
}

function dataDirOf({ env, dataDir }: AddressChoice): string {
  return dataDir ?? env['ENTENTE_DATA_DIR'] ?? './data'
}

function socketAddress(file: string): ServiceAddress {
  if (!existsSync(file)) {
    throw new CliFailure(`no service answers: there is no socket ${quoted(file)}`, {
      exitCode: EXIT.unreachable,
      next: [START],
    })
  }
  return { shown: file, baseUrl: new URL('http://localhost'), socketPath: shortest(file) }
}

/** The kernel takes about 100 bytes of socket path, so the shorter way to the same file is used. */
function shortest(file: string): string {
  const absolute = path.resolve(file)
  const relative = path.relative('.', absolute)
  return relative.length < absolute.length ? relative : absolute
}

function urlAddress(address: string, env: Environment): ServiceAddress {
  const url = URL.canParse(address) ? new URL(address) : undefined
  const isHttp = url !== undefined && /^https?:$/.test(url.protocol)
  if (!isHttp || url.username !== '' || url.search !== '' || url.hash !== '') {
    throw usageFailure(
      `ENTENTE_ADDR is ${quoted(address)}, wanted http://HOST:PORT, https://HOST:PORT or unix:PATH`,
    )
  }
  const file = env['ENTENTE_CA_FILE']
  const ca = file === undefined || file === '' ? {} : { ca: readText(file, 'ENTENTE_CA_FILE') }
  return { shown: address, baseUrl: url, ...ca }
}

function readText(file: string, variable: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new CliFailure(`cannot read ${quoted(file)}: ${messageOf(cause)}`, {
      exitCode: EXIT.usage,
      next: [`name the right file with ${variable}`],
      cause,
    })
  }
}
