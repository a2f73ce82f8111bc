import { stringify } from 'yaml'
import {
  type BundleSource,
  type InstructionFacts,
  type InstructionPart,
  type InstructionRenderer,
} from './instruction.ts'

/** istiod asks for foreign bundles this often, whatever hint they carry. */
const ISTIOD_POLL_MINUTES = 30

/** What every text about Istio says of the trust that it gives. */
export const POOLING = [
  'istiod pools the anchors of all bundles into one list for every proxy: each root in it is accepted for',
  'any name. A root of one domain can then pass for workloads of another, yours included, unless an',
  'AuthorizationPolicy names the trust domain in its principals.',
] as const

/** Istio: preconditions and what pooling means come first, then MeshConfig and a policy that names the domains. */
export const forIstio: InstructionRenderer = (facts) => [
  {
    title: 'before anything else: what istiod needs, and what it does with foreign anchors',
    language: 'text',
    text: remarks(facts).join('\n'),
  },
  preconditions(),
  meshConfig(facts),
  policy(facts),
]

function remarks({ sources }: InstructionFacts): string[] {
  const unreadable = sources.filter(isUnreadable)
  return [
    'ISTIO_MULTIROOT_MESH=true in istiod: without it istiod reads no foreign bundle at all.',
    'PROXY_CONFIG_XDS_AGENT=true in every proxy: without it the proxies are never told of the anchors.',
    ...POOLING,
    'Name foreign domains under caCertificates[].trustDomains and never under trustDomainAliases: an alias says',
    'that both domains are the same one, so that each of them can pass for the other.',
    `istiod polls every ${ISTIOD_POLL_MINUTES} minutes and ignores hints and sequences: a change or a withdrawal takes that long.`,
    'When one URL does not answer, its anchors are missing until the next poll.',
    ...(unreadable.length === 0 ? [] : unreadableRemarks(unreadable)),
  ]
}

function isUnreadable({ profile }: BundleSource): boolean {
  return profile === 'https_spiffe'
}

function unreadableRemarks(sources: readonly BundleSource[]): string[] {
  return [
    `istiod proves a URL by public roots only and cannot read the https_spiffe endpoint of ${sources.map(({ trustDomain }) => trustDomain).join(', ')}:`,
    'below stand the anchors of this moment. They must be written again after every rotation, or the endpoint be',
    'given profile https_web.',
  ]
}

function preconditions(): InstructionPart {
  return {
    title:
      'preconditions (istioctl install -f, or the same values with Helm); restart istiod and all proxies',
    language: 'yaml',
    text: yaml({
      apiVersion: 'install.istio.io/v1alpha1',
      kind: 'IstioOperator',
      spec: {
        values: { pilot: { env: { ISTIO_MULTIROOT_MESH: 'true' } } },
        meshConfig: {
          defaultConfig: { proxyMetadata: { PROXY_CONFIG_XDS_AGENT: 'true' } },
        },
      },
    }),
  }
}

function meshConfig({ sources }: InstructionFacts): InstructionPart {
  return {
    title: 'MeshConfig: merge into meshConfig',
    language: 'yaml',
    text: yaml({ caCertificates: sources.flatMap(certificateData) }),
  }
}

function certificateData(source: BundleSource): object[] {
  const trustDomains = [source.trustDomain]
  if (!isUnreadable(source)) return [{ spiffeBundleUrl: source.url, trustDomains }]
  return source.rootsPem.map((pem) => ({ pem: pem.trimEnd() + '\n', trustDomains }))
}

function policy({ relationship, sources }: InstructionFacts): InstructionPart {
  return {
    title:
      'a policy for each namespace that the other side may reach: principals name the trust domain',
    language: 'yaml',
    text: yaml({
      apiVersion: 'security.istio.io/v1',
      kind: 'AuthorizationPolicy',
      metadata: { name: `from-${relationship}`, namespace: 'NAMESPACE' },
      spec: {
        action: 'ALLOW',
        rules: [
          {
            from: [
              {
                source: {
                  principals: sources.map(
                    ({ trustDomain }) => `${trustDomain}/ns/NAMESPACE/sa/NAME`,
                  ),
                },
              },
            ],
          },
        ],
      },
    }),
  }
}

function yaml(value: object): string {
  return stringify(value, { lineWidth: 0 })
}
