import { type ChangePolicy } from '../../db/schema.ts'
import { type Bundle, type JwtAuthority, type X509Authority } from '../../spiffe/bundle.ts'
import { type PublicJwk } from '../../spiffe/jwk.ts'
import { effectiveBundle, type KeyDigests } from '../trust/effective-bundle.ts'

/** What a change policy makes of an offered bundle: all of it counts, or it waits for a person. */
export type PolicyVerdict =
  | { readonly kind: 'take' }
  | {
      readonly kind: 'hold'
      /** For people: what the policy misses. */
      readonly reason: string
      /** What we held without the authorities that the offer no longer has; undefined when it has them all. */
      readonly reduced: Bundle | undefined
    }

/** An offered bundle, what is held, and how additions to it are taken. */
export interface PolicyQuestion {
  readonly policy: ChangePolicy
  /** The bundle in use; undefined before the first one. */
  readonly held: Bundle | undefined
  readonly offered: Bundle
  /** Keys that vouch for nothing: one of them in common is no overlap. */
  readonly distrusted: KeyDigests
}

/**
 * Judges an offered bundle by change policy. A policy holds back additions only: an offer without any is taken, and
 * what it no longer has leaves at once, up to everything (BU-15, BU-17).
 *
 * An addition is a certificate or JWT key that is not held exactly as offered. An authority has gone when the offer
 * has no certificate on its public key, or for JWT not that key under its kid: so a certificate renewed on its old
 * key waits, and the old one stays meanwhile.
 */
export function judgeChange(question: PolicyQuestion): PolicyVerdict {
  const { policy, held, offered } = question
  if (policy === 'auto') return { kind: 'take' }
  const added = additionsTo(held, offered)
  const reason = added.length === 0 ? undefined : objection(question, added)
  return reason === undefined
    ? { kind: 'take' }
    : { kind: 'hold', reason, reduced: held === undefined ? undefined : reduce(held, offered) }
}

/** Names of the authorities that are in a bundle exactly so: `x509 <certificate>` or `jwt <kid> <key>`, opaque. */
export function exactKeys({ x509Authorities, jwtAuthorities }: Bundle): Set<string> {
  return new Set([...x509Authorities.map(exactX509), ...jwtAuthorities.map(exactJwt)])
}

function additionsTo(held: Bundle | undefined, offered: Bundle): string[] {
  const known = held === undefined ? new Set<string>() : exactKeys(held)
  return [...exactKeys(offered)].filter((key) => !known.has(key))
}

function objection(
  { policy, held, offered, distrusted }: PolicyQuestion,
  added: readonly string[],
): string | undefined {
  if (policy === 'approve') return `policy approve holds back ${counted(added)}`
  if (held === undefined || hasOverlap(effectiveBundle(held, distrusted), offered)) return undefined
  return `policy overlap found no X.509 authority in common with the bundle in use; it holds back ${counted(added)}`
}

function hasOverlap(held: Bundle, offered: Bundle): boolean {
  const keys = new Set(held.x509Authorities.map(({ jwk }) => keyText(jwk)))
  return offered.x509Authorities.some(({ jwk }) => keys.has(keyText(jwk)))
}

function reduce(held: Bundle, offered: Bundle): Bundle | undefined {
  const x509Keys = new Set(offered.x509Authorities.map(({ jwk }) => keyText(jwk)))
  const jwtKeys = new Set(offered.jwtAuthorities.map(exactJwt))
  const x509Authorities = held.x509Authorities.filter(({ jwk }) => x509Keys.has(keyText(jwk)))
  const jwtAuthorities = held.jwtAuthorities.filter((authority) => jwtKeys.has(exactJwt(authority)))
  const isWhole =
    x509Authorities.length === held.x509Authorities.length &&
    jwtAuthorities.length === held.jwtAuthorities.length
  return isWhole ? undefined : { ...held, x509Authorities, jwtAuthorities }
}

function counted(added: readonly string[]): string {
  const jwt = added.filter((key) => key.startsWith('jwt ')).length
  const x509 = added.length - jwt
  const parts = [
    ...(x509 === 0 ? [] : [`${x509} X.509 ${x509 === 1 ? 'authority' : 'authorities'}`]),
    ...(jwt === 0 ? [] : [`${jwt} JWT ${jwt === 1 ? 'authority' : 'authorities'}`]),
  ]
  return parts.join(' and ')
}

function exactX509({ certificate }: X509Authority): string {
  return `x509 ${Buffer.from(certificate).toString('base64')}`
}

function exactJwt({ kid, jwk }: JwtAuthority): string {
  return `jwt ${kid} ${keyText(jwk)}`
}

// Checked authorities have canonical members, so equal keys have equal texts.
function keyText({ kty, crv, x, y, n, e }: PublicJwk): string {
  return JSON.stringify([kty, crv, x, y, n, e])
}
