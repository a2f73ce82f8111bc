import { isIP } from 'node:net'
import { quoted } from '../errors.ts'
import { dnsNameFault } from '../pki/dns-name.ts'
import { addressRange, isLocalhostName } from './egress.ts'

/**
 * Ranges in which whoever gets an address of ours to call finds itself or nobody, as Kubernetes refuses them for
 * EndpointSlices; and the metadata services of clouds, which no mesh runs: a caller who is sent there would hand its
 * request to its own machine's keeper of credentials. Link-local is refused with them, its zone included (RFC 4007 §6).
 */
const NOWHERE: ReadonlyMap<string, string> = new Map([
  ['unspecified', 'the unspecified address'],
  ['broadcast', 'the broadcast address'],
  ['multicast', 'a multicast address'],
  ['loopback', 'a loopback address'],
  ['linkLocal', 'a link-local address'],
  ['metadata', 'the metadata service of a cloud'],
])

/**
 * Why a text is no address at which others can reach an endpoint, gateway or control plane; undefined when it is.
 *
 * An IP address without a zone, or a DNS name in lower case, of at most 253 characters and without a final dot; no port,
 * no wildcard. Private addresses are what networks have. An IPv4 address inside an IPv6 one is judged as what it is.
 * What a name resolves to is not looked up here.
 */
export function addressFault(text: string): string | undefined {
  const fault = isIP(text) === 0 ? nameFault(text) : ipFault(text)
  return fault === undefined ? undefined : `address ${quoted(text)} ${fault}`
}

function nameFault(text: string): string | undefined {
  const wrong = dnsNameFault(text)
  if (wrong !== undefined) return `is no IP address, and as a DNS name ${wrong}`
  // RFC 6761 §6.3: every machine takes these names for itself.
  return isLocalhostName(text)
    ? 'is whoever looks it up, which nobody elsewhere can reach'
    : undefined
}

function ipFault(text: string): string | undefined {
  if (text.includes('%')) return 'has a zone, which means nothing elsewhere'
  const what = NOWHERE.get(addressRange(text) ?? '')
  return what === undefined ? undefined : `is ${what}, which nobody elsewhere can reach`
}
