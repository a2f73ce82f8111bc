/** Most DNS names in one certificate; more belongs to a second identity. */
export const MAX_DNS_NAMES = 20

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

/**
 * Why a text cannot be a DNS name in a certificate, or undefined when it can.
 *
 * Lower-case host names only (RFC 5280 §4.2.1.6, RFC 1123 §2.1): no wildcard, no trailing dot, no underscore, and
 * nothing that could be read as an IP address, `0x7f000001` as little as `127.1` (URL Standard, "ends in a number").
 */
export function dnsNameFault(text: string): string | undefined {
  if (text.length === 0 || text.length > 253) return 'is not 1 to 253 characters long'
  const labels = text.split('.')
  const odd = labels.find((label) => !LABEL.test(label))
  if (odd !== undefined) return 'has a label other than a-z, 0-9 and inner "-", up to 63 characters'
  if (/^(?:[0-9]+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? ''))
    return 'ends in a number as an IP address would'
  return undefined
}
