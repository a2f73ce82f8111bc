import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import { quoted } from '../errors.ts'
import { dnsNameFault } from '../pki/dns-name.ts'

/** Ranges in which no workload or gateway can be reached from elsewhere (as Kubernetes refuses for EndpointSlices). */
const NOWHERE: ReadonlySet<string> = new Set([
  'unspecified',
  'broadcast',
  'multicast',
  'linkLocal',
  'loopback',
])

/** Why a text is no address at which others can reach something, or undefined when it is: an IP address or DNS name. */
export function addressFault(text: string): string | undefined {
  if (isIP(text) === 0) {
    const wrong = dnsNameFault(text)
    if (wrong !== undefined) return `address ${quoted(text)} is no IP address, and ${wrong}`
    return isLocalName(text)
      ? `address ${quoted(text)} is whoever looks it up, which nobody elsewhere can reach`
      : undefined
  }
  if (text.includes('%')) return `address ${quoted(text)} has a zone, which means nothing elsewhere`
  const range = ipaddr.process(text).range()
  return NOWHERE.has(range)
    ? `address ${quoted(text)} is ${range}, which nobody elsewhere can reach`
    : undefined
}

/** Names that every machine takes for its own loopback address (RFC 6761 §6.3). */
function isLocalName(text: string): boolean {
  return text === 'localhost' || text.endsWith('.localhost')
}
