import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import { messageOf } from '../errors.ts'
import { isLocalhost } from './bundle-host.ts'

/** What the host of a bundle endpoint resolves to, seen from here. */
export interface HostCheck {
  readonly resolvesToUs: boolean
  readonly addresses: readonly string[]
  /** What was found, and what to do when it is not enough. */
  readonly detail: string
}

/** Resolves a host to its addresses; throws when it has none. */
export type Resolve = (host: string) => Promise<readonly string[]>

const TIMEOUT_MS = 2000

/** The resolver of this machine, given two seconds. Names under `.localhost` are loopback (RFC 6761 §6.3). */
export const resolveHost: Resolve = async (host) => {
  if (isIP(host) !== 0) return [host]
  if (isLocalhost(host)) return ['127.0.0.1', '::1']
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`no answer within ${TIMEOUT_MS} ms`)), TIMEOUT_MS)
  try {
    const found = await Promise.race([lookup(host, { all: true }), promise])
    return found.map(({ address }) => address)
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Whether a bundle host leads to this service: it shares an address with the public host or with this machine.
 *
 * Behind a balancer only the public host can tell, so `resolvesToUs` is a hint for people, never a condition.
 */
export async function checkHost(
  host: string,
  publicHost: string,
  resolve: Resolve = resolveHost,
): Promise<HostCheck> {
  let addresses: readonly string[]
  try {
    addresses = await resolve(host)
  } catch (error) {
    const detail = `${host} does not resolve (${messageOf(error)}); add a DNS record that leads to ${publicHost}`
    return { resolvesToUs: false, addresses: [], detail }
  }
  const ours = new Set([...ownAddresses(), ...(await resolve(publicHost).catch(() => []))])
  const resolvesToUs = addresses.some((address) => ours.has(address))
  const detail = resolvesToUs
    ? `${host} resolves to this service`
    : `${host} resolves to ${addresses.join(', ')}, which is neither this machine nor ${publicHost}`
  return { resolvesToUs, addresses, detail }
}

function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((found) =>
    (found ?? []).map(({ address }) => address),
  )
}
