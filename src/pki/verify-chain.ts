import { messageOf, quoted, ServiceError } from '../errors.ts'
import { parseSpiffeId, pathOf, type SpiffeId, trustDomainOf } from '../spiffe/spiffe-id.ts'
import { type TrustDomain } from '../spiffe/trust-domain.ts'
import { type Certificate, isIssuedBy, readCertificate } from './certificate.ts'
import { KEY_USAGE } from './extensions.ts'
import { findNameFault } from './name-constraints.ts'

/** Most certificates that a chain may bring, the leaf included. */
export const MAX_CHAIN_LENGTH = 10

/** Most signatures checked for one chain, so that cross-signed knots cannot cost more than some milliseconds. */
export const MAX_SIGNATURE_CHECKS = 32

/** Whom to believe, and when. */
export interface ChainTrust {
  /** The anchors of exactly this trust domain (DER), or undefined when we know none (X5-26, FE-39). */
  readonly anchorsOf: (trustDomain: TrustDomain) => readonly Uint8Array[] | undefined
  readonly now: Date
}

/** A chain that holds, and what it proves. */
export interface VerifiedX509Svid {
  readonly id: SpiffeId
  readonly trustDomain: TrustDomain
  /** Lower-case hex. */
  readonly serial: string
  readonly leaf: Certificate
  /** Leaf first, anchor last. */
  readonly path: readonly Certificate[]
  readonly anchor: Certificate
  /** Key identifier of the leaf's issuer as the issuer's own certificate has it, lower-case hex. */
  readonly issuerKeyId: string | undefined
  /** When the first certificate of the path ends: the proof holds no longer than that. */
  readonly validUntil: Date
}

/**
 * Verifies an X509-SVID, leaf first, the order of the other certificates is free and spare ones are passed over.
 *
 * Order of work: read the one URI SAN, choose the anchors of its trust domain and no others, find a path, check
 * it as RFC 5280 §6.1 says (times, names, basic constraints, path length, key usage, name constraints); any
 * published authority is an anchor, self-signed or not. A critical extension or a kind of name constraint that we
 * do not know refuses (X5-16 to X5-26). Throws `SVID_INVALID`.
 */
export function verifyX509Svid(
  chain: readonly Uint8Array[],
  { anchorsOf, now }: ChainTrust,
): VerifiedX509Svid {
  const [leaf, ...others] = readChain(chain)
  if (leaf === undefined) throw invalid('chain is empty')
  const id = readLeafId(leaf)
  const trustDomain = trustDomainOf(id)
  const anchors = anchorsOf(trustDomain)
  if (anchors === undefined) {
    throw invalid(`no bundle of the trust domain ${quoted(trustDomain)} is known here`)
  }
  checkLeaf(leaf)
  const search = new PathSearch({ others, anchors: readAnchors(anchors), now })
  const path = search.from(leaf)
  if (path === undefined) throw invalid(search.reason(trustDomain))
  return describe({ id, trustDomain, leaf, path })
}

function describe(found: {
  id: SpiffeId
  trustDomain: TrustDomain
  leaf: Certificate
  path: readonly Certificate[]
}): VerifiedX509Svid {
  const { leaf, path } = found
  const anchor = path.at(-1) ?? leaf
  const ends = path.map(({ notAfter }) => notAfter.getTime())
  return {
    ...found,
    serial: leaf.serial,
    anchor,
    issuerKeyId: path[1]?.subjectKeyId,
    validUntil: new Date(Math.min(...ends)),
  }
}

function readChain(chain: readonly Uint8Array[]): Certificate[] {
  if (chain.length > MAX_CHAIN_LENGTH) {
    throw invalid(`chain has ${chain.length} certificates, at most ${MAX_CHAIN_LENGTH} are allowed`)
  }
  return chain.map((der) => {
    try {
      return readCertificate(der)
    } catch (cause) {
      throw invalid(messageOf(cause), cause)
    }
  })
}

/** Exactly one URI SAN whatever the others are, a valid SPIFFE ID with a path (X5-21, X5-24, X5-25). */
function readLeafId(leaf: Certificate): SpiffeId {
  const [uri, ...more] = leaf.uriSans
  if (uri === undefined || more.length > 0) {
    throw invalid(`certificate has ${leaf.uriSans.length} URI SANs, wanted exactly one`)
  }
  const id = parseLeafId(uri)
  if (pathOf(id) === '')
    throw invalid(`SPIFFE ID ${quoted(id)} has no path, so it names no workload`)
  return id
}

function parseLeafId(uri: string): SpiffeId {
  try {
    return parseSpiffeId(uri)
  } catch (cause) {
    throw invalid(messageOf(cause), cause)
  }
}

/** What sets a leaf apart from a CA (X5-17, X5-22, X5-23). */
function checkLeaf(leaf: Certificate): void {
  if (leaf.isCa) throw invalid('certificate is a CA, which never authenticates anybody')
  const usage = leaf.keyUsage
  if (usage === undefined) return
  if ((usage & (KEY_USAGE.keyCertSign | KEY_USAGE.cRLSign)) !== 0) {
    throw invalid('certificate may sign certificates or CRLs, which no workload may')
  }
  if ((usage & KEY_USAGE.digitalSignature) === 0) {
    throw invalid('certificate has a key usage without digitalSignature')
  }
}

const readOnce = new WeakMap<Uint8Array, Certificate | null>()

/** Anchors stay the same for many chains, so each is read once; what cannot be read is no anchor. */
function readAnchors(anchors: readonly Uint8Array[]): Certificate[] {
  return anchors.flatMap((der) => {
    let anchor = readOnce.get(der)
    if (anchor === undefined) {
      anchor = readAnchor(der)
      readOnce.set(der, anchor)
    }
    return anchor === null ? [] : [anchor]
  })
}

function readAnchor(der: Uint8Array): Certificate | null {
  try {
    return readCertificate(der)
  } catch {
    return null
  }
}

interface SearchSpace {
  readonly others: readonly Certificate[]
  readonly anchors: readonly Certificate[]
  readonly now: Date
}

/** Depth-first search for a path that holds; remembers why the most promising one did not. */
class PathSearch {
  readonly #space: SearchSpace
  #fault: string | undefined
  #checks = 0

  constructor(space: SearchSpace) {
    this.#space = space
  }

  from(leaf: Certificate): readonly Certificate[] | undefined {
    return this.#extend([leaf])
  }

  reason(trustDomain: TrustDomain): string {
    if (this.#fault !== undefined) return this.#fault
    const { anchors } = this.#space
    const count = `${anchors.length} authorit${anchors.length === 1 ? 'y' : 'ies'}`
    return `certificate is not signed under any of the ${count} in the bundle of ${quoted(trustDomain)}`
  }

  #extend(path: readonly Certificate[]): readonly Certificate[] | undefined {
    const last = path.at(-1)
    if (last === undefined) return undefined
    for (const anchor of this.#space.anchors) {
      const whole = [...path, anchor]
      if (this.#isStep(last, anchor) && this.#holds(whole)) return whole
    }
    for (const next of this.#space.others) {
      if (path.some(({ der }) => der.equals(next.der)) || !this.#isStep(last, next)) continue
      const found = this.#extend([...path, next])
      if (found !== undefined) return found
    }
    return undefined
  }

  #isStep(certificate: Certificate, issuer: Certificate): boolean {
    if (!certificate.issuer.equals(issuer.subject) || !keyIdsAgree(certificate, issuer))
      return false
    if (this.#checks === MAX_SIGNATURE_CHECKS) {
      this.#fault = `chain needs more than ${MAX_SIGNATURE_CHECKS} signature checks`
      return false
    }
    this.#checks += 1
    if (certificate.signatureAlgorithm === undefined) {
      this.#fault = 'certificate is signed with an algorithm other than SHA-256 and better'
      return false
    }
    return isStepSigned(certificate, issuer)
  }

  #holds(path: readonly Certificate[]): boolean {
    const fault = findPathFault(path, this.#space.now)
    if (fault !== undefined) this.#fault = fault
    return fault === undefined
  }
}

function isStepSigned(certificate: Certificate, issuer: Certificate): boolean {
  try {
    return isIssuedBy(certificate, issuer)
  } catch {
    return false // the issuer's key is of a kind that we do not accept
  }
}

/** Key identifiers only rule out: where both are given and differ, the names are alike by chance. */
function keyIdsAgree(certificate: Certificate, issuer: Certificate): boolean {
  const { authorityKeyId } = certificate
  const { subjectKeyId } = issuer
  return (
    authorityKeyId === undefined || subjectKeyId === undefined || authorityKeyId === subjectKeyId
  )
}

/** RFC 5280 §6.1 over a path whose names and signatures already link, leaf first and anchor last. */
function findPathFault(path: readonly Certificate[], now: Date): string | undefined {
  for (const [depth, certificate] of path.entries()) {
    const fault =
      findCommonFault(certificate, now) ??
      (depth === 0 ? undefined : (findCaFault(certificate) ?? findBelowFault(path, depth)))
    if (fault !== undefined) return `${positionOf(depth, path.length)} ${fault}`
  }
  return undefined
}

function findCommonFault(certificate: Certificate, now: Date): string | undefined {
  const { notBefore, notAfter, unknownCritical } = certificate
  if (now < notBefore) return `is not valid before ${notBefore.toISOString()}`
  if (now > notAfter) return `ended at ${notAfter.toISOString()}`
  if (unknownCritical.length === 0) return undefined
  return `has the critical extension ${unknownCritical.join(', ')}, which is not known here`
}

function findCaFault(certificate: Certificate): string | undefined {
  if (certificate.version !== 3 || !certificate.isCa) return 'is no CA'
  const { keyUsage } = certificate
  if (keyUsage === undefined || (keyUsage & KEY_USAGE.keyCertSign) !== 0) return undefined
  return 'has a key usage without keyCertSign'
}

/** What a CA demands of everything below it: how many CAs, and which names. */
function findBelowFault(path: readonly Certificate[], depth: number): string | undefined {
  const ca = path[depth]
  if (ca === undefined) return undefined
  const below = path.slice(0, depth)
  const room = ca.basicConstraints?.pathLength
  const authorities = below.slice(1).filter((certificate) => !isSelfIssued(certificate)).length
  if (room !== undefined && authorities > room) {
    return `has path length ${room}, found ${authorities} further CAs below it`
  }
  return findConstraintFault(ca, below)
}

function findConstraintFault(ca: Certificate, below: readonly Certificate[]): string | undefined {
  const { nameConstraints } = ca
  if (nameConstraints === undefined) return undefined
  if (nameConstraints === 'unknown') return 'has name constraints of a kind not known here'
  for (const [depth, certificate] of below.entries()) {
    if (depth > 0 && isSelfIssued(certificate)) continue // RFC 5280 §6.1.3 (b)
    const fault = findNameFault(certificate, nameConstraints)
    if (fault !== undefined) return `has name constraints by which a name below it ${fault}`
  }
  return undefined
}

function isSelfIssued(certificate: Certificate): boolean {
  return certificate.issuer.equals(certificate.subject)
}

function positionOf(depth: number, length: number): string {
  if (depth === 0) return 'certificate'
  return depth === length - 1 ? 'authority in the bundle' : 'intermediate certificate'
}

function invalid(what: string, cause?: unknown): ServiceError {
  return new ServiceError(
    'SVID_INVALID',
    `X509-SVID: ${what}`,
    cause === undefined ? {} : { cause },
  )
}
