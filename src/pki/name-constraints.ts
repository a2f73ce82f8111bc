import { type Certificate } from './certificate.ts'
import { type ConstrainedKind, type NameConstraints } from './extensions.ts'

/**
 * Why a certificate's names break the constraints of a CA above it, or undefined when they do not.
 *
 * URI constraints match the host alone: without a leading dot that host, with one its subdomains; DNS constraints
 * match the name and everything below it (RFC 5280 §4.2.1.10, X5-19). A URI whose host cannot be compared
 * (an IP address) breaks every URI constraint.
 */
export function findNameFault(
  certificate: Certificate,
  constraints: NameConstraints,
): string | undefined {
  const uriFault = findFault(certificate.uriSans, { kind: 'uri', constraints, matches: uriMatches })
  if (uriFault !== undefined) return uriFault
  return findFault(certificate.dnsSans, { kind: 'dns', constraints, matches: dnsMatches })
}

interface Check {
  readonly kind: ConstrainedKind
  readonly constraints: NameConstraints
  /** Undefined when name and constraint cannot be compared at all. */
  readonly matches: (name: string, constraint: string) => boolean | undefined
}

function findFault(
  names: readonly string[],
  { kind, constraints, matches }: Check,
): string | undefined {
  const permitted = constraints.permitted.get(kind)
  const excluded = constraints.excluded.get(kind) ?? []
  for (const name of names) {
    if (excluded.some((constraint) => matches(name, constraint) !== false)) return 'is excluded'
    if (permitted === undefined) continue
    if (!permitted.some((constraint) => matches(name, constraint) === true))
      return 'is not permitted'
  }
  return undefined
}

function uriMatches(uri: string, constraint: string): boolean | undefined {
  const host = /^[a-zA-Z][a-zA-Z0-9+.-]*:\/\/([a-zA-Z0-9._-]+)(?:[/?#].*)?$/s.exec(uri)?.[1]
  if (host === undefined || /^[0-9.]+$/.test(host)) return undefined
  return constraint.startsWith('.')
    ? isBelow(host, constraint.slice(1))
    : host.toLowerCase() === constraint.toLowerCase()
}

function dnsMatches(name: string, constraint: string): boolean {
  if (constraint === '') return true
  if (constraint.startsWith('.')) return isBelow(name, constraint.slice(1))
  return name.toLowerCase() === constraint.toLowerCase() || isBelow(name, constraint)
}

function isBelow(name: string, parent: string): boolean {
  return name.toLowerCase().endsWith(`.${parent.toLowerCase()}`)
}
