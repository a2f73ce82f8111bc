import { stringify } from 'yaml'
import { type BundleSource, commented, type InstructionRenderer } from './instruction.ts'
import { federatedTrustDomain, foreignBootstrap } from './spire-controller-manager.ts'

/** The class that the operator's controller manager listens to; objects without it are passed over. */
const CLASS_NAME = 'zero-trust-workload-identity-manager-spire'

/** OpenShift, Zero Trust Workload Identity Manager: the SpireServer, and the bundle for the first fetch. */
export const forOpenShift: InstructionRenderer = ({ sources }) => [
  {
    title: 'oc edit spireserver cluster: merge federatesWith into the federation block',
    language: 'yaml',
    text:
      commented(
        'bundleEndpoint and managedRoute stay as they are; the profile of your own endpoint',
        'cannot be changed once it is set, and has nothing to do with that of the other side',
      ) +
      stringify(
        {
          apiVersion: 'operator.openshift.io/v1alpha1',
          kind: 'SpireServer',
          metadata: { name: 'cluster' },
          spec: { federation: { federatesWith: sources.map(federatesWith) } },
        },
        { lineWidth: 0 },
      ),
  },
  ...sources
    .filter(({ endpointId }) => endpointId !== undefined)
    .flatMap((source) => [
      ...foreignBootstrap(source),
      {
        title: `oc apply: the first bundle of ${source.trustDomain}; compare its fingerprint first`,
        language: 'yaml' as const,
        text: federatedTrustDomain(source, CLASS_NAME),
      },
    ]),
]

function federatesWith({ trustDomain, url, profile, endpointId }: BundleSource) {
  return {
    trustDomain,
    bundleEndpointUrl: url,
    bundleEndpointProfile: profile,
    ...(endpointId === undefined ? {} : { endpointSpiffeId: endpointId }),
  }
}
