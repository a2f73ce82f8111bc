import { type InputNode, RefusedInput } from '../convert/input-node.ts'
import { readInput } from '../convert/read-input.ts'
import { asWritten } from '../convert/options.ts'
import { type LintFindingView } from '../../policy/lint/lint-api.ts'
import { lintAuthorizationPolicy, objectOf } from './authorization-policy.ts'
import { lintMeshConfig } from './mesh-config.ts'
import { Findings, type MeshFacts } from './mesh-facts.ts'

const FORM = {
  spelling: asWritten,
  hint: 'print it with: kubectl get authorizationpolicies -A -o yaml',
}

/**
 * Findings on Istio's configuration against what a mesh is federated with.
 *
 * Looked at are AuthorizationPolicies and MeshConfig: bare, in the ConfigMap `istio`, in an IstioOperator or in an
 * Istio resource. Others are passed over. Throws a failure with exit code 2 for a text that is no YAML or JSON, or
 * beyond the limits of convert/read-input.ts.
 */
export function lintIstio(
  { file, bytes }: { readonly file: string; readonly bytes: Uint8Array },
  facts: MeshFacts,
): Findings {
  const findings = new Findings()
  for (const document of readInput(file, bytes, FORM)) {
    try {
      lintDocument(document, facts, findings)
    } catch (error) {
      if (!(error instanceof RefusedInput)) throw error
      findings.add(unreadable(error))
    }
  }
  return findings
}

function lintDocument(document: InputNode, facts: MeshFacts, findings: Findings): void {
  if (document.member('kind').text() === 'AuthorizationPolicy') {
    lintAuthorizationPolicy(document, facts, findings)
    return
  }
  for (const config of meshConfigsIn(document)) {
    lintMeshConfig(config, { facts, findings, object: objectOf(document) })
  }
}

function meshConfigsIn(document: InputNode): readonly InputNode[] {
  switch (document.member('kind').text()) {
    case '':
      return [document]
    case 'ConfigMap':
      return configMapPart(document)
    case 'IstioOperator':
      return [document.member('spec').member('meshConfig')]
    case 'Istio':
      return [document.member('spec').member('values').member('meshConfig')]
    default:
      return []
  }
}

// The ConfigMap holds MeshConfig as a text of its own, longer than other texts may be.
function configMapPart(document: InputNode): readonly InputNode[] {
  const { value } = document.member('data').member('mesh')
  if (typeof value !== 'string') return []
  const { place } = document.source
  return readInput(`${place} data.mesh`, new TextEncoder().encode(value), FORM)
}

function unreadable({ refusal }: RefusedInput): LintFindingView {
  const { source, at, detail } = refusal
  const title = source.title === '' ? source.place : `${source.title} in ${source.place}`
  return {
    code: 'istio.unreadable',
    severity: 'warning',
    object: title,
    message: `${at === '' ? 'the document' : at} was not looked at: ${detail}`,
    next: ['let the API server check it: kubectl apply --dry-run=server -f FILE'],
  }
}
