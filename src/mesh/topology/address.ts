import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import { type FieldError, quoted, ServiceError } from '../../errors.ts'
import { dnsNameFault } from '../../pki/dns-name.ts'

/** Ranges in which nothing can be reached from another machine. */
const NOWHERE: ReadonlySet<string> = new Set(['unspecified', 'broadcast', 'multicast', 'linkLocal'])

/** Refuses what is neither an IP address nor a DNS name in lower case (INVALID_REQUEST); no port, no scheme. */
export function checkHost(text: string, pointer: string): void {
  if (isHost(text)) return
  const detail = 'must be an IP address that can be reached, or a DNS name in lower case, no port'
  throw refusal(text, pointer, detail)
}

/**
 * Refuses what is no address of a control plane (INVALID_REQUEST): a host, or `host:port`; an IPv6 address stands in
 * brackets before a port.
 */
export function checkHostAndPort(text: string, pointer: string): void {
  const [, bracketed, host, port] =
    /^(?:\[([0-9a-f:.]+)\]|([^:[\]]+)):([0-9]{1,5})$/i.exec(text) ?? []
  const named = bracketed ?? host
  const isPort = Number(port) >= 1 && Number(port) <= 65_535
  if (isHost(text) || (named !== undefined && isHost(named) && isPort)) return
  const detail =
    'must be an IP address that can be reached, or a DNS name in lower case, with or without :port'
  throw refusal(text, pointer, detail)
}

function isHost(text: string): boolean {
  if (isIP(text) === 0) return dnsNameFault(text) === undefined
  // A zone (fe80::1%eth0) means something on one machine only.
  return !text.includes('%') && !NOWHERE.has(ipaddr.process(text).range())
}

function refusal(text: string, pointer: string, detail: string): ServiceError {
  const fields: FieldError[] = [{ in: 'body', pointer, detail }]
  return new ServiceError('INVALID_REQUEST', `address ${quoted(text)} ${detail}`, { fields })
}
