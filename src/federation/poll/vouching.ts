import { ServiceError } from '../../errors.ts'
import { trustDomainOf } from '../../spiffe/spiffe-id.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { type EndpointDomains, type RelationshipDomain } from '../relationship.ts'

/** A domain and the ID of its endpoint. */
export type DomainEndpoint = Pick<RelationshipDomain, 'trustDomain' | 'endpointId'>

/** The other trust domain whose bundle authenticates a domain's endpoint, if it is not self-serving (FE-24). */
export function voucherDomainOf({
  trustDomain,
  endpointId,
}: DomainEndpoint): TrustDomain | undefined {
  const endpointDomain = endpointId === undefined ? trustDomain : trustDomainOf(endpointId)
  return endpointDomain === trustDomain ? undefined : endpointDomain
}

/**
 * Follows each endpoint's trust domain to one that needs no other: self-serving, Web PKI, given by hand, local or
 * our own (FE-25).
 *
 * Throws RELATIONSHIP_INVALID where a chain leads to a domain without a bundle here, or back to where it began: no
 * fetch of such a cycle could ever be the first.
 */
export function checkVouchers(
  domains: readonly DomainEndpoint[],
  {
    own,
    endpoints,
  }: { readonly own: ReadonlySet<TrustDomain>; readonly endpoints: EndpointDomains },
): void {
  const known = new Map(endpoints)
  for (const domain of domains) {
    const { endpointId, trustDomain } = domain
    known.set(trustDomain, endpointId === undefined ? undefined : trustDomainOf(endpointId))
  }
  for (const { trustDomain } of domains) follow(trustDomain, { own, known })
}

function follow(
  start: TrustDomain,
  { own, known }: { readonly own: ReadonlySet<TrustDomain>; readonly known: EndpointDomains },
): void {
  const path = [start]
  for (;;) {
    const current = path.at(-1) ?? start
    const next = known.get(current)
    if (next === undefined || next === current || own.has(next)) return
    if (path.includes(next)) throw cycle([...path, next])
    if (!known.has(next)) throw unknown(current, next)
    path.push(next)
  }
}

function unknown(trustDomain: TrustDomain, endpointDomain: TrustDomain): ServiceError {
  return invalid(
    `the endpoint of ${trustDomain} stands in ${endpointDomain}, and this mesh has no bundle of ${endpointDomain} to authenticate it by`,
    `first: entente federation add NAME --trust-domain ${endpointDomain} with its own endpoint`,
  )
}

function cycle(path: readonly TrustDomain[]): ServiceError {
  return invalid(
    `the endpoints stand in each other's trust domains (${path.join(' → ')}), so none could ever be authenticated first`,
    'give one of them an endpoint of its own, profile https_web, or a bundle by hand (static)',
  )
}

function invalid(message: string, next: string): ServiceError {
  return new ServiceError('RELATIONSHIP_INVALID', message, {
    fields: [{ in: 'body', pointer: '/domains', detail: message }],
    next,
  })
}
