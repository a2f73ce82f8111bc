import { parseArgs } from 'node:util'
import { type Config, parseConfig, readConfigFile } from './config.ts'

const FLAGS = {
  config: { type: 'string' },
  'data-dir': { type: 'string' },
  'port-offset': { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const

/** The environment of the process. */
export type Environment = Readonly<Record<string, string | undefined>>

/** The configuration that flags, environment and file give; throws CONFIGURATION_INVALID. */
export function readConfig(args: readonly string[], environment: Environment): Config {
  const { values } = parseArgs({ args: [...args], options: FLAGS, strict: true })
  const file = values.config ?? environment['ENTENTE_CONFIG']
  return parseConfig({
    yaml: file === undefined ? undefined : readConfigFile(file),
    environment,
    flags: {
      ...(values['data-dir'] === undefined ? {} : { DATA_DIR: values['data-dir'] }),
      ...(values['port-offset'] === undefined ? {} : { PORT_OFFSET: values['port-offset'] }),
    },
  })
}
