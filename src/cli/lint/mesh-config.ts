import { command } from '../../errors.ts'
import { type InputNode } from '../convert/input-node.ts'
import { type Findings, type MeshFacts } from './mesh-facts.ts'

/**
 * Findings on Istio's MeshConfig: trust domain aliases that are another mesh's name.
 *
 * An alias means "the same identities": istiod rewrites every principal of the mesh to each of its aliases, so a peer
 * listed there has all rights of equally named workloads (istio#55529). `object` says where it was found.
 */
export function lintMeshConfig(
  config: InputNode,
  { facts, findings, object }: { facts: MeshFacts; findings: Findings; object: string },
): void {
  const trustDomain = config.member('trustDomain').text()
  if (trustDomain !== '' && !facts.trustDomains.includes(trustDomain)) {
    findings.add({
      code: 'istio.trust-domain-not-ours',
      severity: 'warning',
      object,
      message: `trustDomain is ${trustDomain}, mesh ${facts.mesh} has ${facts.trustDomains.join(', ')}`,
      next: ['give --mesh of the mesh that this configuration belongs to, or correct it'],
    })
  }
  for (const item of config.member('trustDomainAliases').items()) {
    checkAlias(item.text(), { facts, findings, object, ofAnother: trustDomain })
  }
}

interface AliasContext {
  readonly facts: MeshFacts
  readonly findings: Findings
  readonly object: string
  readonly ofAnother: string
}

function checkAlias(alias: string, { facts, findings, object, ofAnother }: AliasContext): void {
  if (facts.trustDomains.includes(alias) || alias === ofAnother) return
  const peer = facts.peers.find(({ trustDomain }) => trustDomain === alias)
  const where = `trustDomainAliases lists ${alias}`
  if (peer !== undefined) {
    findings.add({
      code: 'istio.alias-of-peer',
      severity: 'error',
      object,
      message: `${where}, the trust domain of ${peer.relationship}: its workloads have the rights of ours with equal names`,
      next: [
        `take ${alias} out of trustDomainAliases and name it in caCertificates[].trustDomains`,
        command`entente rule export NAMESPACE/NAME --to ${peer.relationship} --callers PATH`,
      ],
    })
    return
  }
  findings.add({
    code: 'istio.alias-unknown',
    severity: 'warning',
    object,
    message: `${where}, which is no trust domain of mesh ${facts.mesh}: an alias is for a former name of one's own`,
    next: [
      'if it is another mesh, take it out and federate: entente federation add --help',
      'if it is a former name of ours, keep it until no certificate bears it',
    ],
  })
}
