import { isLabel } from '../db/ids.ts'
import { type FieldError, messageOf, quoted, ServiceError } from '../errors.ts'
import {
  isReserved,
  parseSpiffeId,
  pathOf,
  type SpiffeId,
  spiffeIdOf,
  trustDomainOf,
} from '../spiffe/spiffe-id.ts'
import { type TrustDomain } from '../spiffe/trust-domain.ts'
import { type OfferGateway } from './endpoint.ts'
import { labelErrors, type Labels, sortedLabels } from './label.ts'

/** Protocols that a port may name; without one the port is plain TCP under mutual TLS. */
export const PROTOCOLS = ['tcp', 'tls', 'http', 'http2', 'grpc'] as const

/** One of {@link PROTOCOLS}. */
export type Protocol = (typeof PROTOCOLS)[number]

/** A port of a service. */
export interface Port {
  readonly name: string
  readonly port: number
  readonly protocol?: Protocol
}

/** Most ports of one service. */
export const MAX_PORTS = 32
/** Most identities that may serve one service. */
export const MAX_IDENTITIES = 32

/** A service as a mesh names it; unique in the mesh together. */
export interface ServiceName {
  readonly namespace: string
  readonly name: string
}

/** An offer by the names that people use. */
export interface OfferName extends ServiceName {
  readonly relationship: string
}

/** What somebody says of a service: where it listens and who may serve it. */
export interface ServiceContent extends ServiceName {
  readonly ports: readonly Port[]
  readonly identities: readonly SpiffeId[]
  readonly labels: Labels
}

/** A service of a mesh. */
export interface Service extends ServiceContent {
  /** What keeps it up to date, as `k8s:east`, the oldest first; empty = people. */
  readonly managedBy: readonly string[]
  readonly version: bigint
  readonly createdAt: Date
}

/** A service that a peer shows us: a claim, kept apart from our own services. */
export interface Offer extends ServiceContent {
  /** Our name for the peer. */
  readonly relationship: string
  /** Where the peer's mesh takes calls for it: all that we ever hold of its networks. */
  readonly gateways: readonly OfferGateway[]
  readonly source: 'manual' | 'exchange'
  readonly createdAt: Date
}

/** A service as somebody writes it; an identity may be a path in the owner's only or first trust domain. */
export interface ServiceDraft extends ServiceName {
  readonly ports: readonly Port[]
  readonly identities: readonly string[]
  readonly labels?: Labels
}

/** An offer as somebody writes it. */
export interface OfferDraft extends ServiceDraft {
  readonly gateways?: readonly OfferGateway[]
}

/** Whose service it is: identities of other trust domains may not serve it. */
export interface Owner {
  /** In words, for refusals: `mesh acme`. */
  readonly title: string
  readonly trustDomains: readonly TrustDomain[]
  /** The domain in which a bare path stands, if that is clear. */
  readonly primary: TrustDomain | undefined
}

/** How a service is written everywhere: `namespace/name`. */
export function serviceTitle({ namespace, name }: ServiceName): string {
  return `${namespace}/${name}`
}

/**
 * The service that a draft means.
 *
 * A service needs a port and an identity: a client that does not know who may serve it could not tell the
 * service from an impostor. Throws SERVICE_INVALID with one field error per thing that is wrong.
 */
export function parseService(draft: ServiceDraft, owner: Owner): ServiceContent {
  const identities = draft.identities.map((text) => readIdentity(text, owner))
  const fields = [
    ...nameErrors(draft),
    ...portErrors(draft.ports),
    ...countErrors('/identities', draft.identities.length, MAX_IDENTITIES),
    ...identities.flatMap((id, index) =>
      id.fault === undefined ? [] : [fault(`/identities/${index}`, id.fault)],
    ),
    ...labelErrors(draft.labels ?? {}),
  ]
  const [first] = fields
  if (first !== undefined) throw new ServiceError('SERVICE_INVALID', first.detail, { fields })
  const ids = identities.flatMap(({ id }) => (id === undefined ? [] : [id]))
  return {
    namespace: draft.namespace,
    name: draft.name,
    ports: draft.ports,
    identities: [...new Set(ids)].toSorted(),
    labels: sortedLabels(draft.labels ?? {}),
  }
}

interface ReadIdentity {
  readonly id?: SpiffeId
  readonly fault?: string
}

function readIdentity(text: string, owner: Owner): ReadIdentity {
  if (text.startsWith('/') && owner.primary === undefined) {
    return {
      fault: `${owner.title} has several trust domains; write the whole SPIFFE ID for ${quoted(text)}`,
    }
  }
  try {
    const id =
      text.startsWith('/') && owner.primary !== undefined
        ? spiffeIdOf(owner.primary, text)
        : parseSpiffeId(text)
    const wrong = identityFault(id, owner)
    return wrong === undefined ? { id } : { fault: wrong }
  } catch (error) {
    if (error instanceof ServiceError) return { fault: messageOf(error) }
    throw error
  }
}

function identityFault(id: SpiffeId, owner: Owner): string | undefined {
  if (!owner.trustDomains.includes(trustDomainOf(id))) {
    return `${quoted(id)} is not in a trust domain of ${owner.title} (${owner.trustDomains.join(', ')})`
  }
  if (pathOf(id) === '') return `${quoted(id)} is a trust domain, wanted the identity of a workload`
  return isReserved(id) ? `${quoted(id)} belongs to this service itself` : undefined
}

function nameErrors({ namespace, name }: ServiceName): FieldError[] {
  const wanted = 'must be a DNS label: 1 to 63 of a-z, 0-9 and -'
  return [
    ...(isLabel(namespace)
      ? []
      : [fault('/namespace', `namespace ${quoted(namespace)} ${wanted}`)]),
    ...(isLabel(name) ? [] : [fault('/name', `name ${quoted(name)} ${wanted}`)]),
  ]
}

function portErrors(ports: readonly Port[]): FieldError[] {
  const count = countErrors('/ports', ports.length, MAX_PORTS)
  if (count.length > 0) return count
  return ports.flatMap(({ name, port }, index) => {
    const before = ports.slice(0, index)
    const at = `/ports/${index}`
    if (!isLabel(name))
      return [fault(`${at}/name`, `port name ${quoted(name)} must be a DNS label`)]
    if (before.some((other) => other.name === name))
      return [fault(at, `port name ${name} is used twice`)]
    return before.some((other) => other.port === port)
      ? [fault(at, `port ${port} is named twice`)]
      : []
  })
}

function countErrors(pointer: string, found: number, most: number): FieldError[] {
  if (found > 0 && found <= most) return []
  return [fault(pointer, `a service needs 1 to ${most} ${pointer.slice(1)}, found ${found}`)]
}

function fault(pointer: string, detail: string): FieldError {
  return { in: 'body', pointer, detail }
}
