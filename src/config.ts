import { readFileSync } from 'node:fs'
import { type Static, type TSchema, Type } from 'typebox'
import { Value } from 'typebox/value'
import { parse as parseYaml } from 'yaml'
import { ServiceError, messageOf } from './errors.ts'

const address = (value: string, description: string) =>
  Type.String({
    default: value,
    pattern: '^(\\[[0-9a-fA-F:.]+\\]|[^:\\s]+):[0-9]{1,5}$',
    description,
  })
const seconds = (value: number, minimum: number, description: string) =>
  Type.Integer({ default: value, minimum, maximum: 365 * 86_400, description })
const optional = (description: string) =>
  Type.Optional(Type.String({ minLength: 1, maxLength: 4096, description }))
const list = (description: string) =>
  Type.Array(Type.String({ minLength: 1, maxLength: 255 }), { default: [], description })

/**
 * Every setting of the service: the variable is `ENTENTE_` + its name, the key in the YAML file the same name in
 * lower case. This one schema validates both and makes docs/configuration.md.
 */
export const ConfigSchema = Type.Object(
  {
    DATA_DIR: Type.String({
      default: './data',
      minLength: 1,
      description:
        'Folder of the embedded database, the admin socket and token, and the KEK made for it',
    }),
    DATABASE_URL: optional(
      'Postgres to keep everything in; absent: embedded database in the data folder, one process',
    ),
    DATABASE_LISTEN_URL: optional(
      'Direct connection for LISTEN and migrations where DATABASE_URL goes through a pooler; default the same',
    ),
    DATABASE_MAX_CONNECTIONS: Type.Integer({
      default: 10,
      minimum: 2,
      maximum: 200,
      description: 'Connections of the request pool; the background pool has 4 more',
    }),
    KEK_FILE: optional(
      'Key encryption key (`entente kek create --out FILE`); required with Postgres, made in the data folder without',
    ),
    PORT_OFFSET: Type.Integer({
      default: 0,
      minimum: 0,
      maximum: 50_000,
      description:
        'Added to all default ports and to the default of PUBLIC_URL, for a second service on one machine',
    }),
    PUBLIC_URL: Type.String({
      default: 'https://localhost:8443',
      pattern: '^https://[^/@?#\\s]+$',
      description: 'Base of every bundle URL we print; meshes get hosts below its host',
    }),
    WORKLOAD_URL: Type.Optional(
      Type.String({
        pattern: '^https://[^/@?#\\s]+$',
        description:
          'Base of the workload listener as workloads reach it; default the public host with the port of WORKLOAD_ADDRESS',
      }),
    ),
    FEDERATION_ADDRESS: address('0.0.0.0:8443', 'Where peers fetch bundles, HTTPS'),
    WORKLOAD_ADDRESS: address('0.0.0.0:8444', 'Where workloads fetch SVIDs, HTTPS'),
    ADMIN_ADDRESS: address('127.0.0.1:8080', 'REST API of administrators and its reader'),
    TELEMETRY_ADDRESS: address('127.0.0.1:9464', '/metrics, /livez and /readyz, plain HTTP'),
    ADMIN_TLS: Type.Enum(['off', 'files'], {
      default: 'off',
      description: 'Beyond loopback `off` needs ADMIN_BEHIND_PROXY=true',
    }),
    ADMIN_TLS_CERT_FILE: optional('PEM chain of the admin listener, with ADMIN_TLS=files'),
    ADMIN_TLS_KEY_FILE: optional('PEM key of the admin listener, with ADMIN_TLS=files'),
    ADMIN_BEHIND_PROXY: Type.Boolean({
      default: false,
      description: 'A proxy in front of the admin listener ends TLS',
    }),
    ADMIN_HOSTS: list(
      'Further host names the admin listener answers to, beside localhost, 127.0.0.1 and [::1]',
    ),
    ADMIN_TOKEN_FILE: optional(
      'File with the first admin token; required with Postgres, made in the data folder without',
    ),
    DEFAULT_TLS: optional(
      'What a handshake without a known name gets: `web` or a trust domain; default the first made',
    ),
    WEB_CERT_FILE: optional('PEM chain for the https_web profile; reloaded when it changes'),
    WEB_KEY_FILE: optional('PEM key for the https_web profile; reloaded when it changes'),
    WEB_ROOTS_FILE: optional(
      'PEM roots trusted for https_web endpoints of peers beside the system roots',
    ),
    SERVE_STALE_SECONDS: seconds(
      3600,
      0,
      'How long bundles are served from memory while the database is away, then 503',
    ),
    POLL_MIN_SECONDS: seconds(60, 1, "Lower limit of a peer's refresh hint"),
    EGRESS_ALLOW: list(
      'Destinations beyond public addresses that may be connected to: CIDR, address or host name, each with optional :port',
    ),
    LIFECYCLE_TICK_SECONDS: seconds(5, 1, 'Seconds between looks at what authorities need'),
    LOG_LEVEL: Type.Enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], {
      default: 'info',
      description: 'Lowest level that is logged, as JSON lines on standard output',
    }),
  },
  { additionalProperties: false },
)

/** The settings, validated and with defaults. */
export type Config = Static<typeof ConfigSchema>

/** The settings that move with PORT_OFFSET while they are not set. */
const MOVED = [
  'FEDERATION_ADDRESS',
  'WORKLOAD_ADDRESS',
  'ADMIN_ADDRESS',
  'TELEMETRY_ADDRESS',
  'PUBLIC_URL',
] as const

const PREFIX = 'ENTENTE_'

/** Variables of ours that are no settings of the service: the CLI's own, and those of tests. */
const NOT_OURS = new Set(['ADDR', 'TOKEN_FILE', 'CA_FILE', 'MESH', 'CONFIG', 'TEST_DATABASE_URL'])

/** Where settings come from; later sources win. */
export interface ConfigSources {
  /** Text of the YAML file, if there is one. */
  readonly yaml?: string | undefined
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Command line flags, by setting name. */
  readonly flags?: Partial<Record<keyof Config, string>>
}

/**
 * Validates the YAML file, the environment and the flags (the later wins) and freezes the result.
 *
 * Throws CONFIGURATION_INVALID with every problem at once, each with the name of its variable.
 */
export function parseConfig(sources: ConfigSources): Config {
  const problems: string[] = []
  const raw: Record<string, unknown> = {
    ...fromYaml(sources.yaml, problems),
    ...fromEnvironment(sources.environment, problems),
    ...fromFlags(sources.flags),
  }
  for (const name of settingNames()) raw[name] = parseSetting(name, raw[name], problems)
  const moved = moveDefaults(raw)
  const settings = Value.Default(ConfigSchema, dropUndefined(moved))
  for (const error of Value.Errors(ConfigSchema, settings)) {
    problems.push(`${PREFIX}${settingIn(error.instancePath)} ${error.message}`)
  }
  problems.push(...contradictions(settings as Config))
  if (problems.length > 0) {
    throw new ServiceError(
      'CONFIGURATION_INVALID',
      `configuration is not valid:\n  ${problems.join('\n  ')}`,
      {
        next: 'see docs/configuration.md',
      },
    )
  }
  return Object.freeze(settings as Config)
}

/** Reads the YAML file at `path` as text; throws CONFIGURATION_INVALID when it cannot be read. */
export function readConfigFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new ServiceError('CONFIGURATION_INVALID', `cannot read --config: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

/** Names of all settings, in the order of the documentation. */
export function settingNames(): readonly (keyof Config)[] {
  return Object.keys(ConfigSchema.properties) as (keyof Config)[]
}

function fromYaml(text: string | undefined, problems: string[]): Record<string, unknown> {
  if (text === undefined) return {}
  const found = parseFile(text, problems)
  const entries: [string, unknown][] = []
  for (const [key, value] of Object.entries(found)) {
    const name = key.toUpperCase()
    if (key === key.toLowerCase() && isSetting(name)) entries.push([name, value])
    else problems.push(`the configuration file has the unknown key ${JSON.stringify(key)}`)
  }
  return Object.fromEntries(entries)
}

function parseFile(text: string, problems: string[]): object {
  try {
    const found: unknown = parseYaml(text)
    if (typeof found === 'object' && found !== null && !Array.isArray(found)) return found
    problems.push('the configuration file must be a YAML mapping')
  } catch (error) {
    problems.push(`the configuration file is no YAML: ${messageOf(error)}`)
  }
  return {}
}

function fromEnvironment(
  environment: ConfigSources['environment'],
  problems: string[],
): Record<string, unknown> {
  const entries: [string, unknown][] = []
  for (const [variable, value] of Object.entries(environment)) {
    if (!variable.startsWith(PREFIX) || value === undefined || value === '') continue
    const name = variable.slice(PREFIX.length)
    if (isSetting(name)) entries.push([name, value])
    else if (!NOT_OURS.has(name)) problems.push(`${variable} is not a setting of this version`)
  }
  return Object.fromEntries(entries)
}

function fromFlags(flags: ConfigSources['flags']): Record<string, unknown> {
  return dropUndefined({ ...flags })
}

function isSetting(name: string): name is keyof Config {
  return Object.hasOwn(ConfigSchema.properties, name)
}

/** Text becomes what the setting is: a number, a truth value, a list at commas. */
function parseSetting(name: keyof Config, value: unknown, problems: string[]): unknown {
  if (typeof value !== 'string') return value
  const schema: TSchema & { type?: string } = ConfigSchema.properties[name]
  if (schema.type === 'integer') return /^-?[0-9]+$/.test(value) ? Number(value) : value
  if (schema.type === 'array') return value.split(',').map((item) => item.trim())
  if (schema.type !== 'boolean') return value
  if (value === 'true' || value === 'false') return value === 'true'
  problems.push(`${PREFIX}${name} must be true or false, found ${JSON.stringify(value)}`)
  return undefined
}

function moveDefaults(raw: Record<string, unknown>): Record<string, unknown> {
  const offset = raw['PORT_OFFSET']
  if (typeof offset !== 'number' || !Number.isInteger(offset) || offset < 0) return raw
  const moved = { ...raw }
  for (const name of MOVED) {
    const schema: TSchema & { default?: unknown } = ConfigSchema.properties[name]
    moved[name] ??= String(schema.default).replace(/[0-9]+$/, (port) =>
      String(Number(port) + offset),
    )
  }
  return moved
}

function dropUndefined(record: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined))
}

function settingIn(pointer: string): string {
  return pointer.split('/')[1] ?? ''
}

/** What no single setting shows to be wrong. */
function contradictions(config: Config): string[] {
  const found: string[] = []
  const pairs = [
    ['WEB_CERT_FILE', 'WEB_KEY_FILE'],
    ['ADMIN_TLS_CERT_FILE', 'ADMIN_TLS_KEY_FILE'],
  ] as const
  for (const [a, b] of pairs) {
    if ((config[a] === undefined) !== (config[b] === undefined)) {
      found.push(`${PREFIX}${a} and ${PREFIX}${b} go together: set both or neither`)
    }
  }
  if (config.ADMIN_TLS === 'files' && config.ADMIN_TLS_CERT_FILE === undefined) {
    found.push(
      `${PREFIX}ADMIN_TLS=files needs ${PREFIX}ADMIN_TLS_CERT_FILE and ${PREFIX}ADMIN_TLS_KEY_FILE`,
    )
  }
  if (
    config.ADMIN_TLS === 'off' &&
    !config.ADMIN_BEHIND_PROXY &&
    !isLoopback(config.ADMIN_ADDRESS)
  ) {
    found.push(
      `${PREFIX}ADMIN_ADDRESS=${config.ADMIN_ADDRESS} is reachable from outside without TLS: set ${PREFIX}ADMIN_TLS=files, or ${PREFIX}ADMIN_BEHIND_PROXY=true when a proxy ends TLS`,
    )
  }
  if (config.DATABASE_URL === undefined) return found
  for (const name of ['KEK_FILE', 'ADMIN_TOKEN_FILE'] as const) {
    if (config[name] === undefined)
      found.push(`${PREFIX}${name} is required with ${PREFIX}DATABASE_URL`)
  }
  return found
}

function isLoopback(listen: string): boolean {
  return /^(127\.[0-9.]+|\[::1\]|localhost):/.test(listen)
}

/** Host and port of an address setting such as `0.0.0.0:8443` or `[::1]:8443`. */
export function splitAddress(text: string): { readonly host: string; readonly port: number } {
  const at = text.lastIndexOf(':')
  return { host: text.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(text.slice(at + 1)) }
}
