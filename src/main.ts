import { parseArgs } from 'node:util'
import { systemClock } from './clock.ts'
import { startService } from './compose.ts'
import { migrateCommand, operatorFileCommand } from './compose-commands.ts'
import { type Config, parseConfig, readConfigFile } from './config.ts'
import { isServiceError, messageOf } from './errors.ts'
import { type Logger, createLogger } from './http/log.ts'
import { collectProcessMetrics } from './http/metrics.ts'
import { welcomeText } from './welcome.ts'
import { runCli } from './cli/main.ts'

/** Longest time a stop may take before the process ends anyway. */
const STOP_LIMIT_MS = 10_000

const FLAGS = {
  config: { type: 'string' },
  'data-dir': { type: 'string' },
  'port-offset': { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const

const SERVE_HELP = `usage: entente serve [--config FILE] [--data-dir DIR] [--port-offset N]

Runs the service until SIGTERM or SIGINT. Settings are ENTENTE_* variables or a YAML file; see docs/configuration.md.
`

async function main(argv: readonly string[]): Promise<number | undefined> {
  const [command, ...rest] = argv
  if (command === 'serve') return serve(rest)
  if (command === 'migrate') return migrateCommand(configFrom(rest))
  const ours = operatorFileCommand(argv)
  if (ours !== undefined) return ours((flags) => configFrom(flags))
  return runCli(argv, process.env)
}

function configFrom(args: readonly string[]): Config {
  const { values } = parseArgs({ args: [...args], options: FLAGS, strict: true })
  const file = values.config ?? process.env['ENTENTE_CONFIG']
  return parseConfig({
    yaml: file === undefined ? undefined : readConfigFile(file),
    environment: process.env,
    flags: {
      ...(values['data-dir'] === undefined ? {} : { DATA_DIR: values['data-dir'] }),
      ...(values['port-offset'] === undefined ? {} : { PORT_OFFSET: values['port-offset'] }),
    },
  })
}

async function serve(args: readonly string[]): Promise<number | undefined> {
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(SERVE_HELP)
    return 0
  }
  const config = configFrom(args)
  const log = createLogger({ level: config.LOG_LEVEL })
  endOnBug(log)
  const service = await startService({ config, clock: systemClock, log })
  collectProcessMetrics(service.base.metrics)
  stopOnSignal(log, () => service.stop())
  process.stderr.write(await welcomeText(service))
  return undefined
}

/** A bug that nobody caught: what the process knows can no longer be trusted. */
function endOnBug(log: Logger): void {
  const end = (event: string) => (error: unknown) => {
    const stack = error instanceof Error ? error.stack : undefined
    log.fatal({ event, error: messageOf(error), stack }, 'ending after a bug')
    process.exit(1)
  }
  process.on('uncaughtException', end('process.uncaught-exception'))
  process.on('unhandledRejection', end('process.unhandled-rejection'))
}

function stopOnSignal(log: Logger, stop: () => Promise<void>): void {
  let stopping = false
  const onSignal = (signal: string): void => {
    if (stopping) process.exit(1)
    stopping = true
    log.info({ event: 'process.stopping', signal }, 'stopping')
    setTimeout(() => process.exit(1), STOP_LIMIT_MS).unref()
    stop().then(
      () => {
        log.info({ event: 'process.stopped' }, 'stopped')
        process.exit(0)
      },
      (error: unknown) => {
        log.error({ event: 'process.stop-failed', error: messageOf(error) }, 'stop failed')
        process.exit(1)
      },
    )
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
}

function explain(error: unknown): string {
  if (isServiceError(error)) {
    return `entente: ${error.message}\n${error.next === undefined ? '' : `next: ${error.next}\n`}`
  }
  return `entente: ${messageOf(error)}\n`
}

try {
  const code = await main(process.argv.slice(2))
  if (code !== undefined) process.exitCode = code
} catch (error) {
  process.stderr.write(explain(error))
  process.exitCode = isServiceError(error) ? 1 : 2
}
