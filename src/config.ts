import { readFileSync } from 'node:fs'
import type { TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { parse as parseYaml } from 'yaml'
import { type Config, ConfigSchema } from './config-schema.ts'
import { ServiceError, messageOf } from './errors.ts'

export type { Config } from './config-schema.ts'

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
