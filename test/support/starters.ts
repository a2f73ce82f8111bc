import type { Test } from 'tap'
import { type ServiceProcess, readyStatus, spawnProcess } from './process.ts'
import { setTimeout as delay } from 'node:timers/promises'

/** How one round of {@link sixStarters} ended. */
export interface Round {
  readonly running: ServiceProcess
  /** Exit codes and last words of those that did not get the folder. */
  readonly refused: readonly { readonly code: number | string; readonly output: string }[]
}

const LIMIT_MS = 60_000

/** Kills the holder of a data folder the hard way, starts six services on it at once, and waits until one runs. */
export async function sixStarters(
  t: Pick<Test, 'teardown'>,
  folder: string,
  holder: ServiceProcess,
): Promise<Round> {
  holder.kill('SIGKILL')
  const starters = await Promise.all(
    Array.from({ length: 6 }, () => spawnProcess(t, { ENTENTE_DATA_DIR: folder })),
  )
  const deadline = Date.now() + LIMIT_MS
  while (Date.now() < deadline) {
    const alive = starters.filter(isAlive)
    const [running] = alive
    if (running === undefined) throw new Error(starters.map((one) => one.output()).join('\n'))
    if (alive.length === 1 && (await readyStatus(running)) === 200) {
      const ended = starters.filter((one) => one !== running)
      const refused = ended.map(async (one) => ({ code: await one.ended(), output: one.output() }))
      return { running, refused: await Promise.all(refused) }
    }
    await delay(50)
  }
  throw new Error(`${starters.filter(isAlive).length} of six were alive after ${LIMIT_MS} ms`)
}

function isAlive({ child }: ServiceProcess): boolean {
  return child.exitCode === null && child.signalCode === null
}
