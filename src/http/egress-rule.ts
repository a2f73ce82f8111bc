import { isIP, isIPv4, isIPv6 } from 'node:net'
import ipaddr from 'ipaddr.js'
import { isLabel } from '../db/ids.ts'
import { quoted, ServiceError } from '../errors.ts'

/** One line of the allow list: what outgoing connections may reach although it is not a public address. */
export type EgressRule =
  | { readonly kind: 'localhost'; readonly port: number | undefined }
  | { readonly kind: 'name'; readonly host: string; readonly port: number | undefined }
  | {
      readonly kind: 'range'
      readonly address: ipaddr.IPv4 | ipaddr.IPv6
      readonly prefixLength: number
      readonly port: number | undefined
    }

/**
 * Reads `10.20.0.0/16`, `10.0.0.7:8443`, `fd00::/8`, `[fd00::1]:8443`, `localhost` or `peer.internal:8443`.
 *
 * @throws ServiceError EGRESS_RULE_INVALID for anything else, host bits set in a range among them
 */
export function parseEgressRule(text: string): EgressRule {
  const { target, port } = splitPort(text)
  if (target === 'localhost') return { kind: 'localhost', port }
  if (target.includes('/')) return { kind: 'range', ...parseRange(target, text), port }
  if (isIP(target) !== 0) return { kind: 'range', ...parseAddress(target, text), port }
  if (!isName(target)) {
    throw refused(
      text,
      'wanted an address, a range, localhost or a host name, each with or without :port',
    )
  }
  return { kind: 'name', host: target, port }
}

/** The one way to write a rule, used as its key: `10.0.0.7/32` and `10.0.0.7` are the same. */
export function formatEgressRule(rule: EgressRule): string {
  const port = rule.port === undefined ? '' : `:${rule.port}`
  if (rule.kind === 'localhost') return `localhost${port}`
  if (rule.kind === 'name') return `${rule.host}${port}`
  const address = rule.address.toString()
  const full = rule.prefixLength === bitsOf(rule.address)
  if (!full) return `${address}/${rule.prefixLength}${port}`
  return rule.address.kind() === 'ipv6' && port !== '' ? `[${address}]${port}` : `${address}${port}`
}

/** Bits of an address: 32 or 128. */
export function bitsOf(address: ipaddr.IPv4 | ipaddr.IPv6): number {
  return address.kind() === 'ipv4' ? 32 : 128
}

function splitPort(text: string): { target: string; port: number | undefined } {
  const bracketed = /^\[([0-9a-fA-F:./]+)\](?::(\d{1,5}))?$/.exec(text)
  if (bracketed) return withPort(bracketed[1] ?? '', bracketed[2], text)
  if (isIPv6(text)) return { target: text, port: undefined }
  const plain = /^(.*?)(?::(\d{1,5}))?$/s.exec(text)
  const ported = /^([^/]+\/\d{1,3})(?::(\d{1,5}))?$/.exec(text)
  const match = ported ?? plain
  return withPort((match?.[1] ?? '').toLowerCase(), match?.[2], text)
}

function withPort(target: string, digits: string | undefined, text: string) {
  const port = digits === undefined ? undefined : Number(digits)
  if (port !== undefined && (port < 1 || port > 65_535))
    throw refused(text, 'its port is not 1 to 65535')
  return { target, port }
}

function parseAddress(target: string, text: string) {
  if (target.includes('%')) throw refused(text, 'a zone does not belong into a rule')
  const address = ipaddr.parse(target)
  if (address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress()) {
    throw refused(text, `write the IPv4 address itself: ${address.toIPv4Address().toString()}`)
  }
  return { address, prefixLength: bitsOf(address) }
}

function parseRange(target: string, text: string) {
  const [network = '', bits = ''] = target.split('/')
  if (!(isIPv4(network) || isIPv6(network)) || !/^\d{1,3}$/.test(bits)) {
    throw refused(text, 'wanted a range such as 10.20.0.0/16 or fd00::/8')
  }
  const { address } = parseAddress(network, text)
  const prefixLength = Number(bits)
  if (prefixLength > bitsOf(address)) throw refused(text, `at most /${bitsOf(address)} is possible`)
  const first =
    address instanceof ipaddr.IPv4
      ? ipaddr.IPv4.networkAddressFromCIDR(`${address.toString()}/${prefixLength}`)
      : ipaddr.IPv6.networkAddressFromCIDR(`${address.toString()}/${prefixLength}`)
  if (first.toString() !== address.toString()) {
    throw refused(text, `the range begins at ${first.toString()}/${prefixLength}`)
  }
  return { address, prefixLength }
}

function isName(target: string): boolean {
  const labels = target.split('.')
  const last = labels.at(-1) ?? ''
  // A last label of digits, or one that begins 0x, is an IPv4 address to URL parsers (WHATWG URL §3.5).
  const numeric = /^(?:\d+|0x[0-9a-f]*)$/.test(last)
  return target.length <= 253 && !numeric && labels.every(isLabel)
}

function refused(text: string, why: string): ServiceError {
  return new ServiceError(
    'EGRESS_RULE_INVALID',
    `egress rule ${quoted(text)} cannot be used: ${why}`,
  )
}
