import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** A program of `bench/parts/` in a process of its own. */
export interface Part<Ready> {
  readonly pid: number
  /** What it sent when it was ready. */
  readonly ready: Ready
  /** Sends a message and waits for the answer to it; one at a time. */
  ask<Answer>(message: object): Promise<Answer>
  /** Sends a message upon which the part ends by itself, and waits until it has. */
  finish(message: object): Promise<void>
  end(): Promise<void>
}

/** Starts a part and waits for its first message. */
export async function startPart<Ready>(name: string, argument: object = {}): Promise<Part<Ready>> {
  const program = fileURLToPath(new URL(`parts/${name}.ts`, import.meta.url))
  const child = fork(program, [JSON.stringify(argument)], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const ready = await nextMessage<Ready>(child, name)
  return {
    pid: pidOf(child),
    ready,
    ask: async (message) => {
      const answer = nextMessage(child, name)
      child.send(message)
      return answer as never
    },
    finish: async (message) => {
      const gone = once(child, 'exit')
      child.send(message)
      await gone
    },
    end: () => endChild(child),
  }
}

/** Ends a child and waits until it is gone. */
export async function endChild(
  child: ChildProcess,
  signal: NodeJS.Signals = 'SIGKILL',
): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill(signal)
  await gone
}

/** The process id of a child that did start. */
export function pidOf(child: ChildProcess): number {
  if (child.pid === undefined) throw new Error('the process did not start')
  return child.pid
}

async function nextMessage<Message>(child: ChildProcess, name: string): Promise<Message> {
  const gone = new AbortController()
  const message = once(child, 'message', { signal: gone.signal })
  const exit = once(child, 'exit', { signal: gone.signal }).then(([code]) => {
    throw new Error(`bench part ${name} ended with ${String(code)}`)
  })
  try {
    const [value] = (await Promise.race([message, exit])) as [Message]
    return value
  } finally {
    gone.abort()
    await Promise.allSettled([message, exit])
  }
}

const TICKS_PER_SECOND = 100

/**
 * Seconds of CPU that a process has used in all its threads, in steps of 10 ms; undefined where there is no `/proc`.
 */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** Bytes of memory that a process holds now. */
export function residentBytes(pid: number): number {
  const [, kib = '0'] =
    /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kib) * 1024
}

/** How many files and sockets a process has open now. */
export function openFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}
