import { execFileSync } from 'node:child_process'
import type { Test } from 'tap'

/** A network namespace with one address, joined to its twin and to nothing else. */
export interface Namespace {
  readonly name: string
  readonly address: string
}

/** Two namespaces on a cable of their own, removed when the test ends; or why there are none. */
export type Cable =
  { readonly ends: readonly [Namespace, Namespace] } | { readonly missing: string }

/** Lays a cable between two new namespaces with the addresses 10.77.0.1 and 10.77.0.2; needs root and iproute2. */
export function layCable(t: Pick<Test, 'teardown'>): Cable {
  const ends = [1, 2].map((n) => ({ name: `ent${process.pid}n${n}`, address: `10.77.0.${n}` }))
  const [one, two] = ends
  if (one === undefined || two === undefined) throw new Error('there are two ends')
  t.teardown(() => {
    for (const { name } of ends) tryIp('netns', 'del', name)
  })
  const links = [`e${process.pid}a`, `e${process.pid}b`] as const
  try {
    for (const { name } of ends) ip('netns', 'add', name)
    ip('link', 'add', links[0], 'type', 'veth', 'peer', 'name', links[1])
    for (const [index, end] of ends.entries()) {
      const link = links[index] ?? ''
      ip('link', 'set', link, 'netns', end.name)
      ip('-n', end.name, 'addr', 'add', `${end.address}/24`, 'dev', link)
      ip('-n', end.name, 'link', 'set', link, 'up')
      ip('-n', end.name, 'link', 'set', 'lo', 'up')
    }
    return { ends: [one, two] }
  } catch (error) {
    return { missing: String(error).split('\n').slice(0, 2).join(' ') }
  }
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] })
}

function tryIp(...args: string[]): void {
  try {
    ip(...args)
  } catch {
    // It was never made.
  }
}
