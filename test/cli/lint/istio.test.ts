import t from 'tap'
import { lintIstio } from '../../../src/cli/lint/istio.ts'
import { MAX_FINDINGS, type MeshFacts } from '../../../src/cli/lint/mesh-facts.ts'

const FEDERATED: MeshFacts = {
  mesh: 'acme',
  trustDomains: ['acme.example', 'old.acme.example'],
  peers: [{ relationship: 'globex', trustDomain: 'globex.example' }],
}
const ALONE: MeshFacts = { ...FEDERATED, peers: [] }

function lint(text: string, facts = FEDERATED) {
  return lintIstio({ file: 'policy.yaml', bytes: new TextEncoder().encode(text) }, facts)
}

/** Code and severity of every finding on a policy with this `spec` in flow style. */
function found(spec: string, facts = FEDERATED): string[] {
  const policy = `{kind: AuthorizationPolicy, metadata: {name: web, namespace: shop}, spec: ${spec}}`
  return lint(policy, facts).items.map(({ code, severity }) => `${severity} ${code}`)
}

const from = (source: string): string => `{rules: [{from: [{source: ${source}}]}]}`

const PRINCIPAL = 'warning istio.principal-without-trust-domain'
const NAMESPACE = 'warning istio.namespace-without-trust-domain'
const ACCOUNT = 'warning istio.service-account-without-trust-domain'

const TABLE: readonly (readonly [spec: string, found: readonly string[], why: string])[] = [
  [from('{principals: ["*/ns/foo/sa/bar"]}'), [PRINCIPAL], 'a star for the domain'],
  [from('{principals: ["*"]}'), [PRINCIPAL], 'anybody with a certificate'],
  [from('{principals: ["*/sa/bar"]}'), [PRINCIPAL], 'a tail without a namespace'],
  [from('{principals: ["*.example/ns/foo/sa/bar"]}'), [PRINCIPAL], 'the end of two domains'],
  [from('{principals: ["*acme.example/ns/foo/sa/bar"]}'), [], 'the end of our domains alone'],
  [from('{principals: ["glob*"]}'), [PRINCIPAL], 'the beginning of a domain of a peer'],
  [from('{principals: ["acme.ex*"]}'), [], 'the beginning of ours alone'],
  [from('{principals: ["acme.example/ns/foo/*"]}'), [], 'ours in full'],
  [from('{principals: ["globex.example/ns/foo/sa/bar"]}'), [], 'a peer that is meant'],
  [from('{namespaces: ["foo"]}'), [NAMESPACE], 'a namespace of any mesh'],
  [from('{serviceAccounts: ["foo/bar"]}'), [ACCOUNT], 'a service account of any mesh'],
  [
    from('{namespaces: ["foo"], principals: ["acme.example/*"]}'),
    [],
    'fields of a source must all match',
  ],
  [from('{namespaces: ["foo"], trustDomains: ["acme.example"]}'), [], 'a domain beside it'],
  [from('{namespaces: ["foo"], trustDomains: ["*"]}'), [NAMESPACE], 'any domain beside it'],
  [
    from('{namespaces: ["foo"], notTrustDomains: ["globex.example"]}'),
    ['notice istio.namespace-without-trust-domain'],
    'the only peer is kept out, the next is not',
  ],
  [
    from('{namespaces: ["foo"], notPrincipals: ["globex.example/*"]}'),
    ['notice istio.namespace-without-trust-domain'],
    'kept out by its principals',
  ],
  [
    '{rules: [{when: [{key: source.namespace, values: [foo]}]}]}',
    [NAMESPACE],
    'a condition says what a field says',
  ],
  [
    '{rules: [{from: [{source: {namespaces: [foo]}}], when: [{key: source.principal, values: ["acme.example/*"]}]}]}',
    [],
    'a condition narrows every source',
  ],
  [
    '{action: DENY, rules: [{from: [{source: {notPrincipals: ["*/ns/foo/sa/bar"]}}]}]}',
    [PRINCIPAL],
    'a deny exempts it',
  ],
  ['{action: DENY, rules: [{from: [{source: {principals: ["*"]}}]}]}', [], 'a deny of everybody'],
  [
    '{action: AUDIT, rules: [{from: [{source: {principals: ["*"]}}]}]}',
    [],
    'an audit admits nobody',
  ],
  ['{rules: [{}]}', ['notice istio.any-source'], 'nothing is asked'],
  ['{rules: [{from: [{source: {ipBlocks: ["10.0.0.0/8"]}}]}]}', [], 'an address is asked for'],
  ['{}', [], 'no rules: nobody gets in'],
  [
    from('{principals: ["cluster.local/ns/foo/sa/bar"]}'),
    ['notice istio.cluster-local-principal'],
    'a name that each data plane reads differently',
  ],
  [
    from('{principals: ["initech.example/ns/foo/sa/bar"]}'),
    ['warning istio.unknown-trust-domain'],
    'a mesh that nobody federated with',
  ],
  [
    from('{principals: ["spiffe://acme.example/ns/foo/sa/bar"]}'),
    ['warning istio.principal-with-scheme'],
    'Istio writes the scheme itself',
  ],
]

t.test('policies that leave the trust domain open are found, and no others', async (t) => {
  for (const [spec, codes, why] of TABLE) t.same(found(spec), codes, why)
})

t.test('a mesh without peers is told what its first one would get', async (t) => {
  t.same(found(from('{namespaces: ["foo"]}'), ALONE), [
    'notice istio.namespace-without-trust-domain',
  ])
  t.same(found(from('{principals: ["glob*"]}'), ALONE), [])
})

t.test('a finding names the policy, the place, the peers, and what to write instead', async (t) => {
  const [finding] = lint(
    '{kind: AuthorizationPolicy, metadata: {name: web, namespace: shop}, spec: {rules: [{from: [{source: {principals: ["acme.example/*", "*/ns/foo/sa/bar"]}}]}]}}',
  ).items
  t.same(finding, {
    code: 'istio.principal-without-trust-domain',
    severity: 'warning',
    object: 'AuthorizationPolicy shop/web',
    message:
      'spec.rules[0].from[0].source.principals[1] "*/ns/foo/sa/bar" names no trust domain and admits also workloads of equal names of globex.example (globex)',
    next: ['write "acme.example/ns/foo/sa/bar", and one more for each peer that is meant'],
  })
})

const ALIASES =
  'trustDomain: acme.example\ntrustDomainAliases: [old.acme.example, globex.example, umbrella.example]'
const indented = (text: string, by: string): string => text.replaceAll(/^/gm, by)

t.test('aliases that stand in for federation are found wherever MeshConfig is kept', async (t) => {
  const places = {
    bare: ALIASES,
    ConfigMap: `kind: ConfigMap\nmetadata: {name: istio}\ndata:\n  mesh: |\n${indented(ALIASES, '    ')}`,
    IstioOperator: `kind: IstioOperator\nspec:\n  meshConfig:\n${indented(ALIASES, '    ')}`,
    Istio: `kind: Istio\nspec:\n  values:\n    meshConfig:\n${indented(ALIASES, '      ')}`,
  }
  for (const [place, text] of Object.entries(places)) {
    t.same(
      lint(text).items.map(({ code, severity }) => `${severity} ${code}`),
      ['error istio.alias-of-peer', 'warning istio.alias-unknown'],
      place,
    )
  }
  t.match(lint('trustDomain: other.example').items, [{ code: 'istio.trust-domain-not-ours' }])
})

t.test('what is not as it must be is one finding and hides no other', async (t) => {
  const { items } = lint(
    'kind: AuthorizationPolicy\nspec: {rules: 5}\n---\nkind: AuthorizationPolicy\nspec: {rules: [{}]}\n---\nkind: Secret\n',
  )
  t.same(
    items.map(({ code }) => code),
    ['istio.unreadable', 'istio.any-source'],
  )
})

t.test(
  'an enormous policy is cut at a thousand findings, and what is left out is counted',
  async (t) => {
    const values = Array.from({ length: 1500 }, (_, i) => `"*/ns/n${i}/sa/x"`)
    const { items, left } = lint(
      `{kind: AuthorizationPolicy, spec: ${from(`{principals: [${values.join(',')}]}`)}}`,
    )
    t.equal(items.length, MAX_FINDINGS)
    t.equal(left, 500)
  },
)

t.test(
  'a text full of aliases, one too deep, one too large and no text at all are refused',
  async (t) => {
    const bomb = [
      'a: &a [x]',
      ...Array.from({ length: 20 }, (_, i) => {
        const before = i === 0 ? 'a' : `b${i - 1}`
        return `b${i}: &b${i} [${Array.from({ length: 9 }, () => `*${before}`).join(', ')}]`
      }),
    ].join('\n')
    const deep = `spec: ${'['.repeat(3000)}${']'.repeat(3000)}`
    for (const text of [bomb, deep, 'x'.repeat(5_000_000), '- 1', '{']) {
      t.throws(() => lint(text), { exitCode: 2 } as unknown as Error)
    }
  },
)
