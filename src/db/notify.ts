import type { PGlite } from '@electric-sql/pglite'
import { Client, escapeIdentifier } from 'pg'
import { messageOf } from '../errors.ts'
import type { DatabaseLog } from './log.ts'

/** What to hear. */
export interface Listening {
  readonly channel: string
  readonly onMessage: (payload: string) => void
  /** Messages may have been missed (first connection, and after every reconnect): compare everything. */
  readonly onReconnect: () => void
  readonly log: DatabaseLog
}

/** Milliseconds between attempts to bring the listening connection back. */
const RECONNECT_MS = 1000

/** LISTEN on the embedded engine. */
export async function listenOnPglite(
  pglite: PGlite,
  listening: Listening,
): Promise<() => Promise<void>> {
  const stop = await pglite.listen(listening.channel, listening.onMessage)
  listening.onReconnect()
  return async () => {
    if (!pglite.closed) await stop()
  }
}

/**
 * LISTEN on a Postgres connection of its own (a pool or pooler may swap connections), brought back every
 * second after it breaks.
 */
export async function listenOnPostgres(
  url: string,
  listening: Listening,
): Promise<() => Promise<void>> {
  let stopped = false
  let client: Client | undefined
  let timer: NodeJS.Timeout | undefined
  const connect = async (): Promise<void> => {
    client = new Client({ connectionString: url, keepAlive: true, application_name: 'entente' })
    const current = client
    current.on('notification', (message) => listening.onMessage(message.payload ?? ''))
    current.on('error', () => undefined)
    current.on('end', () => retry())
    try {
      await current.connect()
      await current.query(`listen ${escapeIdentifier(listening.channel)}`)
      listening.onReconnect()
    } catch (error) {
      listening.log.warn(
        { event: 'database.listen-failed', error: messageOf(error) },
        'cannot listen',
      )
      await current.end().catch(() => undefined)
      retry()
    }
  }
  const retry = (): void => {
    if (stopped || timer !== undefined) return
    timer = setTimeout(() => {
      timer = undefined
      void connect()
    }, RECONNECT_MS)
  }
  await connect()
  return async () => {
    stopped = true
    clearTimeout(timer)
    await client?.end().catch(() => undefined)
  }
}
