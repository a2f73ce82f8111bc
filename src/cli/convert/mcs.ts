import { type Draft } from './draft.ts'
import { type InputNode } from './input-node.ts'
import { asWritten, type Converter, type ConvertOptions } from './options.ts'
import { exposeIdentities } from './peer-rules.ts'
import { labelAt, unknownMembers } from './words.ts'

/**
 * Kubernetes Multi-Cluster Services: ServiceExport and ServiceImport of multicluster.x-k8s.io (v1alpha1, v1beta1).
 *
 * What is exported is visible to every cluster of the set; the set is a peer group here.
 */
export const mcs: Converter = {
  spelling: asWritten,
  hint: undefined,
  convert: (draft, documents, options) => {
    addGroup(draft, options)
    for (const document of documents) draft.attempt(() => convertOne(draft, document, options))
  },
}

function addGroup(draft: Draft, { group, peers }: ConvertOptions): void {
  if (peers.length > 0) {
    draft.group(
      group,
      peers.map((relationship) => ({ relationship })),
    )
    return
  }
  draft.remark(
    `the rules are for peer group ${group}; name its members with --peer, or make it: entente peer-group create ${group} --member RELATIONSHIP`,
  )
}

function convertOne(draft: Draft, document: InputNode, options: ConvertOptions): void {
  const kind = document.member('kind')
  if (kind.text() === 'ServiceExport') return serviceExport(draft, document, options)
  if (kind.text() === 'ServiceImport') return serviceImport(draft, document, options)
  throw kind.refused('wanted ServiceExport or ServiceImport')
}

function nameOf(document: InputNode): { namespace: string; name: string } {
  const metadata = document.member('metadata')
  const namespace = labelAt(metadata.member('namespace'))
  return { namespace, name: labelAt(metadata.member('name')) }
}

function serviceExport(draft: Draft, document: InputNode, { group }: ConvertOptions): void {
  const subject = nameOf(document)
  const spec = document.member('spec')
  for (const member of unknownMembers(spec, [])) {
    const isMetadata = /exported(Labels|Annotations)$/.test(member.at)
    const detail = isMetadata
      ? 'a peer sees the labels that the service itself has; nothing is added on export'
      : 'nothing is known of this member; converted without it'
    draft.refuse(member, detail)
  }
  draft.rule(
    ['mcs', 'export', subject.namespace, subject.name],
    {
      direction: 'export',
      effect: 'allow',
      subject,
      audience: { kind: 'peers', groups: [group] },
    },
    document,
  )
}

/** What the controller works out and writes into a ServiceImport; none of it is a wish. */
const WORKED_OUT = ['type', 'ports', 'ips', 'ipFamilies', 'sessionAffinity']

function serviceImport(draft: Draft, document: InputNode, { group }: ConvertOptions): void {
  const subject = nameOf(document)
  const spec = document.member('spec')
  for (const member of unknownMembers(spec, WORKED_OUT)) {
    draft.refuse(member, 'how traffic is spread belongs to the mesh; converted without it')
  }
  if (spec.member('sessionAffinity').text() === 'ClientIP') {
    draft.refuse(
      spec.member('sessionAffinity'),
      'how traffic is spread belongs to the mesh; converted without it',
    )
  }
  const { namespace, name } = subject
  draft.refuse(
    document,
    `the name ${name}.${namespace}.svc.clusterset.local needs a free hostname template, and one service out of several clusters' needs merging; imported from each peer under its own name`,
  )
  draft.rule(
    ['mcs', 'import', namespace, name],
    {
      direction: 'import',
      effect: 'allow',
      subject,
      audience: { kind: 'peers', groups: [group] },
    },
    document,
  )
  exposeIdentities(draft, 'mcs', { groups: [group] })
}
