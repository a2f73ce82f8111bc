import t from 'tap'
import { parse, parseAllDocuments } from 'yaml'
import {
  type BundleSource,
  INSTRUCTION_TARGETS,
  type InstructionFacts,
  type InstructionPart,
  objectName,
} from '../../../src/federation/instructions/instruction.ts'
import { renderInstructions } from '../../../src/federation/instructions/render-instructions.ts'
import { parseSpiffeId } from '../../../src/spiffe/spiffe-id.ts'
import { parseTrustDomain } from '../../../src/spiffe/trust-domain.ts'
import { FakePeer } from '../../support/fake-peer.ts'
import { federationApp } from '../federation-app.ts'

const BUNDLE = '{"spiffe_sequence":7,"spiffe_refresh_hint":300,"keys":[]}'
const PEM = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n'

const spiffe: BundleSource = {
  trustDomain: parseTrustDomain('acme.example'),
  url: 'https://acme.entente.example/bundles/acme.example/for/REF',
  profile: 'https_spiffe',
  endpointId: parseSpiffeId('spiffe://acme.example/entente/bundle-endpoint'),
  endpointBundle: BUNDLE,
  rootsPem: [PEM],
}
const web: BundleSource = {
  ...spiffe,
  profile: 'https_web',
  endpointId: undefined,
  endpointBundle: undefined,
}
/** A relayed bundle: the endpoint stands under our own domain. */
const relayed: BundleSource = {
  ...spiffe,
  trustDomain: parseTrustDomain('globex.example'),
  url: 'https://acme.entente.example/bundles/acme.example/peers/REF',
}

const facts = (...sources: BundleSource[]): InstructionFacts => ({
  side: 'theirs',
  relationship: 'globex',
  sources,
})
const of = (parts: readonly InstructionPart[], language: string) =>
  parts.filter((part) => part.language === language)

/** Blocks of HCL as nested objects: enough of its grammar to tell that what we write is well formed. */
function readHcl(text: string): Record<string, unknown> {
  const root: Record<string, unknown> = {}
  const open = [root]
  for (const line of text.split('\n').map((one) => one.trim())) {
    const top = open.at(-1)
    if (top === undefined) throw new Error('a block is closed that was not opened')
    const block = /^([a-z_]+)(?: "([^"]*)")? \{(\})?$/.exec(line)
    const value = /^([a-z_]+) = ("(?:[^"\\]|\\.)*")$/.exec(line)
    if (line === '' || line.startsWith('#')) continue
    if (line === '}') open.pop()
    else if (block !== null) {
      const inner: Record<string, unknown> = {}
      top[block[2] === undefined ? (block[1] ?? '') : `${block[1]} ${block[2]}`] = inner
      if (block[3] === undefined) open.push(inner)
    } else if (value !== null) top[value[1] ?? ''] = JSON.parse(value[2] ?? '')
    else throw new Error(`not HCL: ${line}`)
  }
  if (open.length !== 1) throw new Error('a block is not closed')
  return root
}

t.test(
  'SPIRE: federates_with in the server block, the profile as a block, the bundle set once',
  async (t) => {
    const { parts } = renderInstructions(
      'spire',
      facts(spiffe, { ...web, trustDomain: parseTrustDomain('web.example') }),
    )
    t.same(readHcl(of(parts, 'hcl')[0]?.text ?? ''), {
      server: {
        federation: {
          'federates_with acme.example': {
            bundle_endpoint_url: spiffe.url,
            'bundle_endpoint_profile https_spiffe': { endpoint_spiffe_id: spiffe.endpointId },
          },
          'federates_with web.example': {
            bundle_endpoint_url: web.url,
            'bundle_endpoint_profile https_web': {},
          },
        },
      },
    })
    const shell = of(parts, 'shell')
      .map(({ text }) => text)
      .join('')
    t.match(
      shell,
      'spire-server bundle set -format spiffe -id spiffe://acme.example -path acme.example.json\n',
    )
    t.match(shell, BUNDLE)
    t.match(shell, /-federatesWith spiffe:\/\/web\.example/)
  },
)

t.test(
  'SPIRE reading the relay: the endpoint stands under another domain and that is said',
  async (t) => {
    const { parts } = renderInstructions('spire', facts(relayed))
    const [bundle] = of(parts, 'shell')
    t.match(bundle?.text, /-id spiffe:\/\/acme\.example/)
    t.match(bundle?.text, /leave this out where the SPIRE Server is that of acme\.example itself/)
  },
)

t.test(
  'spire-controller-manager: an object whose bundle is that of the federated domain only',
  async (t) => {
    const [self] = of(renderInstructions('spire-controller-manager', facts(spiffe)).parts, 'yaml')
    t.same(parse(self?.text ?? ''), {
      apiVersion: 'spire.spiffe.io/v1alpha1',
      kind: 'ClusterFederatedTrustDomain',
      metadata: { name: 'acme.example' },
      spec: {
        trustDomain: 'acme.example',
        bundleEndpointURL: spiffe.url,
        bundleEndpointProfile: { type: 'https_spiffe', endpointSPIFFEID: spiffe.endpointId },
        trustDomainBundle: BUNDLE,
      },
    })
    const foreign = renderInstructions('spire-controller-manager', facts(relayed)).parts
    t.notMatch(parse(of(foreign, 'yaml')[0]?.text ?? ''), { spec: { trustDomainBundle: String } })
    t.match(of(foreign, 'shell')[0]?.text, /bundle set .* spiffe:\/\/acme\.example/)
    const [plain] = of(renderInstructions('spire-controller-manager', facts(web)).parts, 'yaml')
    t.same(parse(plain?.text ?? '').spec.bundleEndpointProfile, { type: 'https_web' })
  },
)

t.test(
  'OpenShift: federatesWith of the SpireServer, the first bundle in an object of its class',
  async (t) => {
    const { parts } = renderInstructions('openshift', facts(spiffe))
    const [server, object] = of(parts, 'yaml').map(({ text }) => parse(text))
    t.match(server, {
      apiVersion: 'operator.openshift.io/v1alpha1',
      kind: 'SpireServer',
      metadata: { name: 'cluster' },
    })
    t.same(server.spec.federation.federatesWith, [
      {
        trustDomain: 'acme.example',
        bundleEndpointUrl: spiffe.url,
        bundleEndpointProfile: 'https_spiffe',
        endpointSpiffeId: spiffe.endpointId,
      },
    ])
    t.match(object.spec, {
      className: 'zero-trust-workload-identity-manager-spire',
      trustDomainBundle: BUNDLE,
    })
    const plain = renderInstructions('openshift', facts(web)).parts
    t.equal(plain.length, 1)
    t.notOk('endpointSpiffeId' in parse(plain[0]?.text ?? '').spec.federation.federatesWith[0])
  },
)

t.test('Istio begins with the preconditions and with what pooling means', async (t) => {
  const { parts, text } = renderInstructions('istio', facts(web))
  const [first, conditions, config, policy] = parts
  t.equal(first?.language, 'text')
  for (const said of [
    /ISTIO_MULTIROOT_MESH/,
    /PROXY_CONFIG_XDS_AGENT/,
    /pools the anchors/,
    /accepted for\s+any name/,
    /principals/,
    /never under trustDomainAliases/,
    /every 30 minutes/,
  ]) {
    t.match(first?.text, said)
  }
  t.ok(text.indexOf('ISTIO_MULTIROOT_MESH') < text.indexOf('caCertificates:'))
  t.match(parse(conditions?.text ?? ''), {
    kind: 'IstioOperator',
    spec: {
      values: { pilot: { env: { ISTIO_MULTIROOT_MESH: 'true' } } },
      meshConfig: { defaultConfig: { proxyMetadata: { PROXY_CONFIG_XDS_AGENT: 'true' } } },
    },
  })
  t.same(parse(config?.text ?? ''), {
    caCertificates: [{ spiffeBundleUrl: web.url, trustDomains: ['acme.example'] }],
  })
  t.match(parse(policy?.text ?? ''), {
    kind: 'AuthorizationPolicy',
    spec: { rules: [{ from: [{ source: { principals: [/^acme\.example\//] } }] }] },
  })
})

t.test(
  'Istio cannot read https_spiffe: the anchors of this moment, and that they grow old',
  async (t) => {
    const { parts } = renderInstructions('istio', facts(spiffe))
    t.match(parts[0]?.text, /cannot read the https_spiffe endpoint of acme\.example/)
    t.same(parse(parts[2]?.text ?? ''), {
      caCertificates: [{ pem: PEM, trustDomains: ['acme.example'] }],
    })
  },
)

t.test('curl: over https_spiffe it only looks, and openssl checks', async (t) => {
  const [look] = renderInstructions('curl', facts(spiffe)).parts
  t.match(look?.text, /--insecure/)
  t.match(look?.text, /a look, nothing to put trust in/)
  t.match(look?.text, /openssl s_client -connect acme\.entente\.example:443 .*-verify_return_error/)
  const [plain] = renderInstructions('curl', facts(web)).parts
  t.notMatch(plain?.text, /insecure/)
})

t.test('names of Kubernetes objects are valid whatever a trust domain is called', async (t) => {
  const names = ['a_b.example', '-odd-.example', '..', '__proto__', `${'x'.repeat(254)}y`]
  for (const name of names) {
    t.match(objectName(parseTrustDomain(name)), /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/, name)
  }
})

t.test('every target for both sides of a relationship, over the API', async (t) => {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  await app.addPeer(peer)
  await app.poll()
  const { readerUrl, domains } = await app.show()
  for (const target of INSTRUCTION_TARGETS) {
    for (const side of ['theirs', 'ours'] as const) {
      const url = `/meshes/acme/relationships/globex/instructions?for=${target}&side=${side}`
      const { status, body } = await app.call('GET', url)
      t.match([status, body.side, body.for], [200, side, target])
      const wanted = side === 'theirs' ? readerUrl : domains[0]?.relayUrl
      if (target !== 'istio') t.match(body.text, wanted)
      else t.match(body.text, '-----BEGIN CERTIFICATE-----', 'https_spiffe: the anchors themselves')
      t.notMatch(body.text, /PRIVATE KEY/)
      for (const { text, language } of body.parts as InstructionPart[]) {
        if (language === 'hcl') readHcl(text)
        if (language === 'yaml')
          t.same(
            parseAllDocuments(text).flatMap(({ errors }) => errors),
            [],
          )
      }
    }
  }
  t.equal(
    (await app.call('GET', '/meshes/acme/relationships/globex/instructions?for=consul')).status,
    400,
  )
  t.equal(
    (await app.call('GET', '/meshes/acme/relationships/none/instructions?for=spire')).status,
    404,
  )
})
