import { stringify } from 'yaml'
import { trustDomainOf } from '../../spiffe/spiffe-id.ts'
import {
  type BundleSource,
  commented,
  type InstructionPart,
  type InstructionRenderer,
  objectName,
} from './instruction.ts'
import { bootstrap } from './spire.ts'

/** spire-controller-manager: one ClusterFederatedTrustDomain for each domain. */
export const forControllerManager: InstructionRenderer = ({ sources }) =>
  sources.flatMap((source) => [
    ...foreignBootstrap(source),
    {
      title: `kubectl apply: federate with ${source.trustDomain}`,
      language: 'yaml',
      text: federatedTrustDomain(source),
    },
  ])

/** A ClusterFederatedTrustDomain (spire.spiffe.io/v1alpha1) in YAML; `className` where the installation has one. */
export function federatedTrustDomain(source: BundleSource, className?: string): string {
  const { trustDomain, url, profile, endpointId, endpointBundle } = source
  const isSelfServing = endpointId !== undefined && trustDomainOf(endpointId) === trustDomain
  return stringify(
    {
      apiVersion: 'spire.spiffe.io/v1alpha1',
      kind: 'ClusterFederatedTrustDomain',
      metadata: { name: objectName(trustDomain) },
      spec: {
        ...(className === undefined ? {} : { className }),
        trustDomain,
        bundleEndpointURL: url,
        bundleEndpointProfile: {
          type: profile,
          ...(endpointId === undefined ? {} : { endpointSPIFFEID: endpointId }),
        },
        ...(isSelfServing && endpointBundle !== undefined
          ? { trustDomainBundle: endpointBundle }
          : {}),
      },
    },
    { lineWidth: 0 },
  )
}

/** A bundle of another domain than the one that is federated with has no place in the object. */
export function foreignBootstrap(source: BundleSource): InstructionPart[] {
  const { trustDomain, endpointId } = source
  if (endpointId === undefined || trustDomainOf(endpointId) === trustDomain) return []
  return bootstrap(source).map((part) => ({
    ...part,
    text: commented('in the container of the SPIRE Server') + part.text,
  }))
}
