import { systemClock } from './clock.ts'
import { startService } from './compose.ts'
import { type Environment, readConfig } from './config-read.ts'
import { messageOf } from './errors.ts'
import { type Logger, createLogger } from './http/log.ts'
import { collectProcessMetrics } from './http/metrics.ts'
import { welcomeText } from './welcome.ts'

/** Longest time a stop may take before the process ends anyway. */
const STOP_LIMIT_MS = 10_000

const SERVE_HELP = `usage: entente serve [--config FILE] [--data-dir DIR] [--port-offset N]

Runs the service until SIGTERM or SIGINT. Settings are ENTENTE_* variables or a YAML file; see docs/configuration.md.
`

/** Runs the service until a signal ends it; answers an exit code only when there is nothing to run. */
export async function serve(
  args: readonly string[],
  environment: Environment,
): Promise<number | undefined> {
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(SERVE_HELP)
    return 0
  }
  const config = readConfig(args, environment)
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
