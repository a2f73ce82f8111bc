import { type Logger, type LoggerOptions, pino } from 'pino'

export type { Logger } from 'pino'

/**
 * The only fields that reach the log; anything else is shown as withheld.
 *
 * An allow-list, so that a key, token or CSR that somebody puts into a log call by mistake does not leave the
 * process. Values of listed fields are names, numbers, addresses and fixed words.
 */
const LOGGED_FIELDS = new Set([
  'action',
  'actor',
  'address',
  'alarm',
  'alarms',
  'attempt',
  'authorityId',
  'cause',
  'certificateSha256',
  'cluster',
  'code',
  'count',
  'database',
  'dataFolder',
  'durationMs',
  'endpointSpiffeId',
  'engine',
  'entryId',
  'error',
  'event',
  'failures',
  'finished',
  'hash',
  'health',
  'host',
  'instance',
  'intervalSeconds',
  'kind',
  'level',
  'listener',
  'meshId',
  'method',
  'migrations',
  'n',
  'next',
  'object',
  'outcome',
  'path',
  'peer',
  'pid',
  'port',
  'presentedSpiffeId',
  'profile',
  'reason',
  'redirects',
  'relationship',
  'remoteAddress',
  'requestId',
  'resolvedAddress',
  'revision',
  'route',
  'rules',
  'sampled',
  'seconds',
  'sequence',
  'service',
  'signal',
  'signature',
  'skipped',
  'source',
  'spiffeId',
  'stack',
  'state',
  'status',
  'ticker',
  'topic',
  'trustDomain',
  'url',
  'version',
  'waitMs',
])

/** A fields object with everything that is not on the list withheld. */
function withholdUnlisted(fields: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      LOGGED_FIELDS.has(name) ? plain(value) : '[withheld]',
    ]),
  )
}

function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Date) return value.toISOString()
  return value
}

/**
 * Characters that steer a terminal or reorder and hide what it shows, which JSON lets stand as they are: C1 controls,
 * DEL, format characters and breaks of lines.
 */
const UNSEEN = /[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu

/** The same line: whatever is not ASCII in it stands inside a string, where `\uXXXX` means the same. */
function withoutUnseen(line: string): string {
  return line.replaceAll(UNSEEN, (found) =>
    Array.from({ length: found.length }, (_, i) => unitOf(found.charCodeAt(i))).join(''),
  )
}

function unitOf(code: number): string {
  return `\\u${code.toString(16).padStart(4, '0')}`
}

/** A JSON-lines logger on standard output, or on the given stream. */
export function createLogger(
  options: Pick<LoggerOptions, 'level'>,
  stream?: { write(text: string): void },
): Logger {
  const settings: LoggerOptions = {
    level: options.level ?? 'info',
    base: null,
    timestamp: () =>
      `,"time":"${new Date(performance.timeOrigin + performance.now()).toISOString()}"`,
    formatters: { level: (level) => ({ level }), log: withholdUnlisted },
    hooks: { streamWrite: withoutUnseen },
  }
  return stream === undefined ? pino(settings) : pino(settings, stream)
}
