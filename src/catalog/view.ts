import { type OfferView, type ServiceView } from './api.ts'
import { type Offer, type Service } from './service.ts'

/** A service as the wire has it. */
export function viewService(service: Service): ServiceView {
  return {
    namespace: service.namespace,
    name: service.name,
    ports: service.ports.map((port) => ({ ...port })),
    identities: [...service.identities],
    labels: { ...service.labels },
    managedBy: [...service.managedBy],
    version: String(service.version),
    createdAt: service.createdAt.toISOString(),
  }
}

/** An offer as the wire has it. */
export function viewOffer(offer: Offer): OfferView {
  return {
    relationship: offer.relationship,
    namespace: offer.namespace,
    name: offer.name,
    ports: offer.ports.map((port) => ({ ...port })),
    identities: [...offer.identities],
    labels: { ...offer.labels },
    gateways: offer.gateways.map((gateway) => ({ ...gateway })),
    source: offer.source,
    createdAt: offer.createdAt.toISOString(),
  }
}
