import { type InputNode } from '../convert/input-node.ts'
import { type LintFindingView } from '../../policy/lint/lint-api.ts'
import { type Findings, type MeshFacts, namesOf, type PeerDomain } from './mesh-facts.ts'
import {
  canMatch,
  CLUSTER_LOCAL,
  domainNamed,
  type IdentityField,
  isUnscoped,
  LATER,
} from './source-pattern.ts'
import {
  conditionsOf,
  merged,
  NOTHING,
  type Source,
  sourceOf,
  type Value,
} from './policy-source.ts'

interface Context {
  readonly policy: InputNode
  readonly facts: MeshFacts
  readonly findings: Findings
}

/**
 * Findings on one AuthorizationPolicy of Istio (`security.istio.io`, ALLOW and DENY): values that leave the trust
 * domain open and so admit peers' workloads of equal names, domains that nobody here is federated with.
 *
 * Throws RefusedInput where the document is not as Istio defines it.
 */
export function lintAuthorizationPolicy(
  policy: InputNode,
  facts: MeshFacts,
  findings: Findings,
): void {
  const context = { policy, facts, findings }
  const spec = policy.member('spec')
  const action = spec.member('action').text() || 'ALLOW'
  if (action !== 'ALLOW' && action !== 'DENY') return
  for (const rule of spec.member('rules').items()) {
    const shared = conditionsOf(rule.member('when'))
    const from = rule.member('from').items()
    const nodes = from.length === 0 ? [undefined] : from.map((one) => one.member('source'))
    for (const node of nodes) {
      const source = merged(node === undefined ? NOTHING : sourceOf(node), shared)
      for (const value of [...source.lists.flat(), ...source.not]) checkNamed(context, value)
      if (action === 'ALLOW') checkAllowed(context, source, node ?? rule)
      else checkExempt(context, source)
    }
  }
}

/** An ALLOW: whoever matches gets in. */
function checkAllowed(context: Context, source: Source, node: InputNode): void {
  const { lists, not, isNarrowedOtherwise } = source
  if (lists.length === 0) {
    if (!isNarrowedOtherwise && not.length === 0) reportAnySource(context, node)
    return
  }
  const admits = (domain: string): boolean =>
    lists.every((list) => list.some(({ field, text }) => canMatch(field, text, domain))) &&
    !not.some(({ field, text }) => coversDomain(field, text, domain))
  const peers = context.facts.peers.filter(({ trustDomain }) => admits(trustDomain))
  if (peers.length === 0 && !admits(LATER)) return
  for (const value of lists.flat()) {
    const { field, text } = value
    if (field === 'trustDomains' || !isUnscoped(field, text)) continue
    const admitted = peers.filter(({ trustDomain }) => canMatch(field, text, trustDomain))
    if (peers.length === 0 || admitted.length > 0)
      reportOpen(context, { value, peers: admitted, verb: 'admits' })
  }
}

/** A DENY: whoever is exempt gets past it. */
function checkExempt(context: Context, { not }: Source): void {
  for (const value of not) {
    const { field, text } = value
    if (field === 'trustDomains' || !isUnscoped(field, text)) continue
    const exempt = context.facts.peers.filter((one) => canMatch(field, text, one.trustDomain))
    if (exempt.length === 0 && !canMatch(field, text, LATER)) continue
    reportOpen(context, { value, peers: exempt, verb: 'exempts' })
  }
}

/** Whether a value that keeps callers out keeps out the whole of a trust domain. */
function coversDomain(field: IdentityField, text: string, domain: string): boolean {
  if (field === 'trustDomains') return canMatch(field, text, domain)
  return field === 'principals' && (text === '*' || text === `${domain}/*`)
}

interface Opening {
  readonly value: Value
  readonly peers: readonly PeerDomain[]
  readonly verb: 'admits' | 'exempts'
}

function reportOpen({ policy, facts, findings }: Context, { value, peers, verb }: Opening): void {
  const { field, text, node } = value
  const [own = '<trust domain>'] = facts.trustDomains
  const whom =
    peers.length === 0
      ? `workloads of equal names of every mesh that ${facts.mesh} federates with from now on`
      : `also workloads of equal names of ${namesOf(peers)}`
  findings.add({
    code: CODES[field],
    severity: peers.length === 0 ? 'notice' : 'warning',
    object: objectOf(policy),
    message: `${node.at} ${JSON.stringify(text)} names no trust domain and ${verb} ${whom}`,
    next: [remedyOf(field, text, own)],
  })
}

const CODES = {
  principals: 'istio.principal-without-trust-domain',
  namespaces: 'istio.namespace-without-trust-domain',
  serviceAccounts: 'istio.service-account-without-trust-domain',
  trustDomains: 'istio.trust-domain-pattern',
} as const satisfies Record<IdentityField, string>

function remedyOf(field: IdentityField, text: string, own: string): string {
  if (field === 'namespaces') return `write principals: ["${own}/ns/${text}/*"] instead`
  if (field === 'serviceAccounts') {
    const [namespace, account] = text.includes('/') ? text.split('/') : ['<namespace>', text]
    return `write principals: ["${own}/ns/${namespace}/sa/${account}"] instead`
  }
  const at = text.indexOf('/ns/')
  return `write "${own}${at < 0 ? '/*' : text.slice(at)}", and one more for each peer that is meant`
}

function reportAnySource({ policy, findings }: Context, node: InputNode): void {
  findings.add({
    code: 'istio.any-source',
    severity: 'notice',
    object: objectOf(policy),
    message: `${node.at} asks nothing of the caller and admits everybody, also peers and callers without mTLS`,
    next: ['name who may call in from.source.principals'],
  })
}

function checkNamed({ policy, facts, findings }: Context, { field, text, node }: Value): void {
  if (field !== 'principals') return
  if (text.startsWith('spiffe://')) {
    findings.add({
      code: 'istio.principal-with-scheme',
      severity: 'warning',
      object: objectOf(policy),
      message: `${node.at} ${JSON.stringify(text)} never matches: Istio puts spiffe:// in front itself`,
      next: [`write "${text.slice('spiffe://'.length)}"`],
    })
    return
  }
  const domain = domainNamed(text)
  if (domain === undefined || facts.trustDomains.includes(domain)) return
  if (facts.peers.some(({ trustDomain }) => trustDomain === domain)) return
  findings.add(
    domain === CLUSTER_LOCAL
      ? clusterLocal(policy, node, facts)
      : unknownDomain(policy, node, domain),
  )
}

function clusterLocal(
  policy: InputNode,
  node: InputNode,
  { trustDomains }: MeshFacts,
): LintFindingView {
  const [own = '<trust domain>'] = trustDomains
  return {
    code: 'istio.cluster-local-principal',
    severity: 'notice',
    object: objectOf(policy),
    message: `${node.at} says ${CLUSTER_LOCAL}: istiod reads it as every name of the mesh, aliases included; ztunnel as written`,
    next: [`write "${own}${node.text().slice(CLUSTER_LOCAL.length)}"`],
  }
}

function unknownDomain(policy: InputNode, node: InputNode, domain: string): LintFindingView {
  return {
    code: 'istio.unknown-trust-domain',
    severity: 'warning',
    object: objectOf(policy),
    message: `${node.at} names ${domain}, which is neither ours nor that of any relationship: it never matches`,
    next: ['correct the name, or federate with that mesh: entente federation add --help'],
  }
}

/** A policy as a person finds it: `AuthorizationPolicy shop/allow-web`. */
export function objectOf(policy: InputNode): string {
  const metadata = policy.member('metadata')
  const name = [metadata.member('namespace').text(), metadata.member('name').text()]
    .filter((part) => part !== '')
    .join('/')
  const kind = policy.member('kind').text() || 'MeshConfig'
  return name === '' ? `${kind} in ${policy.source.place}` : `${kind} ${name}`
}
