import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import { bitsOf, type EgressRule } from './egress-rule.ts'

/** Where a connection would go: the host as the URL names it, and the address it resolved to. */
export interface Destination {
  readonly host: string
  readonly port: number
  readonly address: string
}

/** Whether a connection may be opened; a refusal says what the address is and which rule would allow it. */
export type EgressDecision =
  | { readonly allowed: true }
  | { readonly allowed: false; readonly what: string; readonly rule: string }

type Address = ipaddr.IPv4 | ipaddr.IPv6

/**
 * Addresses where clouds hand credentials to whoever asks; two of them lie in ranges that operators open
 * for other reasons and one is public. They need a rule that names exactly them.
 */
const METADATA = new Set([
  '169.254.169.254',
  '169.254.170.2',
  '169.254.170.23',
  '168.63.129.16',
  '100.100.100.200',
  '192.0.0.192',
  'fd00:ec2::254',
  'fd00:ec2::23',
  'fd20:ce::254',
])

const WORDS: Readonly<Record<string, string>> = {
  loopback: 'a loopback address',
  linkLocal: 'a link-local address',
  private: 'a private address',
  uniqueLocal: 'a private address',
  carrierGradeNat: 'an address of a carrier-grade NAT',
  unspecified: 'the unspecified address',
  metadata: 'the metadata service of a cloud',
  multicast: 'a multicast address',
  broadcast: 'the broadcast address',
}

/** Ranges that a rule on a host name opens: a name may move inside a private network, never onto this machine. */
const OPENED_BY_NAME: ReadonlySet<string> = new Set(['private', 'uniqueLocal', 'carrierGradeNat'])

/** Whether a host is `localhost` or a name under `.localhost` (RFC 6761 §6.3), which we resolve ourselves. */
export function isLocalhostName(host: string): boolean {
  const name = bareHost(host)
  return name === 'localhost' || name.endsWith('.localhost')
}

/**
 * Decides on one address: public ones are open, everything else needs a rule (FE-43).
 *
 * An IPv4 address inside an IPv6 one (mapped, NAT64) is judged as what it is. Pure: no lookup, no clock.
 */
export function decideEgress(to: Destination, rules: readonly EgressRule[]): EgressDecision {
  const address = effectiveAddress(to.address)
  if (address === undefined) return { allowed: false, what: 'not an address', rule: to.address }
  const range = rangeOf(address)
  if (range === 'unicast') return { allowed: true }
  if (rules.some((rule) => isOpenedBy(rule, { to, address, range }))) return { allowed: true }
  return {
    allowed: false,
    what: WORDS[range] ?? 'not a public address',
    rule: wantedRule(to, address, range),
  }
}

/**
 * The range that an IP address lies in, a cloud's metadata service being one; undefined for what is no address.
 *
 * Of an IPv4 address inside an IPv6 one, in whichever way and spelling, that of the inner one.
 */
export function addressRange(text: string): string | undefined {
  const address = effectiveAddress(text)
  if (address === undefined) return undefined
  return rangeOf(address.kind() === 'ipv6' ? (innerAddress(address) ?? address) : address)
}

/**
 * Where IPv6 addresses hold IPv4 ones beside those that {@link effectiveAddress} knows: IPv4-compatible (RFC 4291
 * §2.5.5.1, but `::` and `::1`), IPv4-translated (RFC 2765 §2.1), 6to4 (RFC 3056 §2) and NAT64 of local use (RFC 8215)
 * where its prefix is the /96 of zeros; otherwise local policy says where in it the IPv4 address is.
 */
function innerAddress(address: Address): Address | undefined {
  const bytes = address.toByteArray()
  const hex = Buffer.from(bytes).toString('hex')
  if (hex.startsWith('2002')) return new ipaddr.IPv4(bytes.slice(2, 6))
  const isLast = /^(?:0{24}(?!0{7})|0{16}ffff0000|0064ff9b00010{12})/.test(hex)
  return isLast ? new ipaddr.IPv4(bytes.slice(12)) : undefined
}

function effectiveAddress(text: string): Address | undefined {
  if (isIP(text) === 0) return undefined
  const address = ipaddr.process(text)
  if (address.kind() === 'ipv4' || address.range() !== 'rfc6052') return address
  const bytes = address.toByteArray()
  // 64:ff9b::/96 ends with the IPv4 address (RFC 6052 §2.2); in 64:ff9b:1::/48 its place is local policy.
  return bytes[5] === 1 ? address : new ipaddr.IPv4(bytes.slice(12))
}

function rangeOf(address: Address): string {
  if (METADATA.has(address.toString())) return 'metadata'
  const range = address.range()
  return range === 'unicast' && !isGlobal(address) ? 'reserved' : range
}

// What is no special range need not be public: of IPv6, only 2000::/3 is (RFC 4291 §2.4). `::7f00:1` is none.
function isGlobal(address: Address): boolean {
  return address.kind() === 'ipv4' || ((address.toByteArray()[0] ?? 0) & 0xe0) === 0x20
}

interface Judged {
  readonly to: Destination
  readonly address: Address
  readonly range: string
}

function isOpenedBy(rule: EgressRule, { to, address, range }: Judged): boolean {
  if (rule.port !== undefined && rule.port !== to.port) return false
  if (rule.kind === 'localhost') return range === 'loopback' && isOwnLoopback(to.host)
  if (rule.kind === 'name') return rule.host === bareHost(to.host) && OPENED_BY_NAME.has(range)
  if (range === 'metadata' && rule.prefixLength !== bitsOf(address)) return false
  return address.kind() === rule.address.kind() && inRange(address, rule)
}

function inRange(address: Address, rule: EgressRule & { kind: 'range' }): boolean {
  return address instanceof ipaddr.IPv4
    ? rule.address instanceof ipaddr.IPv4 && address.match(rule.address, rule.prefixLength)
    : rule.address instanceof ipaddr.IPv6 && address.match(rule.address, rule.prefixLength)
}

// `localhost` opens what a person means by it; a foreign name that resolves to loopback is still refused.
function isOwnLoopback(host: string): boolean {
  return isLocalhostName(host) || isIP(bareHost(host)) !== 0
}

function wantedRule(to: Destination, address: Address, range: string): string {
  if (range === 'loopback' && isOwnLoopback(to.host)) return `localhost:${to.port}`
  if (OPENED_BY_NAME.has(range) && isIP(bareHost(to.host)) === 0) {
    return `${bareHost(to.host)}:${to.port}`
  }
  return address.kind() === 'ipv6'
    ? `[${address.toString()}]:${to.port}`
    : `${address.toString()}:${to.port}`
}

function bareHost(host: string): string {
  return host
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
    .toLowerCase()
}
