import { type JsonRecord } from '../declarative/json-schema.ts'
import { type Draft, type RuleBody } from './draft.ts'
import { type InputNode } from './input-node.ts'
import { labelSelectorAt } from './label-selector.ts'
import { asWritten, type Converter } from './options.ts'
import { exposeIdentities } from './peer-rules.ts'
import { labelAt, labelOrAllAt, unknownMembers } from './words.ts'

/**
 * OpenShift Service Mesh: ExportedServiceSet and ImportedServiceSet of federation.maistra.io/v1, and MeshFederation
 * of its successor.
 *
 * The lists of a set are first-match. Nothing in them denies, so which services match any rule does not depend on
 * their order; only the names that they get do, and rule i of n gets priority n − i.
 */
export const ossm: Converter = {
  spelling: asWritten,
  hint: undefined,
  convert: (draft, documents) => {
    for (const document of documents) draft.attempt(() => convertOne(draft, document))
  },
}

function convertOne(draft: Draft, document: InputNode): void {
  const kind = document.member('kind').text()
  if (kind === 'ExportedServiceSet') return exportSet(draft, document)
  if (kind === 'ImportedServiceSet') return importSet(draft, document)
  if (kind === 'MeshFederation') return meshFederation(draft, document)
  const detail =
    kind === 'ServiceMeshPeer'
      ? 'a peer is a relationship and no rule: entente federation add'
      : 'wanted ExportedServiceSet, ImportedServiceSet or MeshFederation'
  throw document.member('kind').refused(detail)
}

/** A service that a rule of a list matches, and the name that it gives. */
interface Part {
  readonly from: InputNode
  readonly subject: Subject
  readonly alias: RuleBody['as']
}

interface Subject {
  readonly namespace: string
  readonly name: string
  readonly labels?: JsonRecord
}

function exportSet(draft: Draft, document: InputNode): void {
  const peer = labelAt(document.member('metadata').member('name'))
  const spec = document.member('spec')
  refuseUnknown(draft, spec, ['exportRules'])
  const parts = spec
    .member('exportRules')
    .items()
    .flatMap((rule) => draft.attempt(() => exportParts(draft, rule)) ?? [])
  addList(draft, parts, { direction: 'export', peer })
}

function importSet(draft: Draft, document: InputNode): void {
  const peer = labelAt(document.member('metadata').member('name'))
  const spec = document.member('spec')
  refuseUnknown(draft, spec, ['importRules', 'domainSuffix', 'locality'])
  refuseTemplate(draft, spec.member('domainSuffix'))
  const locality = spec.member('locality')
  if (!locality.isAbsent) {
    draft.refuse(
      locality,
      'placing what is imported in a locality needs placement, which rules do not have; localities come with the offers',
    )
  }
  const parts = spec
    .member('importRules')
    .items()
    .flatMap((rule) => draft.attempt(() => importPart(draft, rule)) ?? [])
  addList(draft, parts, { direction: 'import', peer })
  if (parts.length > 0) exposeIdentities(draft, 'ossm', { relationships: [peer] })
}

function addList(
  draft: Draft,
  parts: readonly Part[],
  { direction, peer }: { readonly direction: RuleBody['direction']; readonly peer: string },
): void {
  for (const [index, { from, subject, alias }] of parts.entries()) {
    draft.attempt(() => {
      draft.rule(
        ['ossm', direction, peer, `${index + 1}`],
        {
          direction,
          effect: 'allow',
          subject: { ...subject },
          audience: { kind: 'peers', relationships: [peer] },
          ...(alias && { as: alias }),
          priority: parts.length - index,
        },
        from,
      )
    })
  }
}

function exportParts(draft: Draft, rule: InputNode): Part[] {
  refuseUnknown(draft, rule, ['type', 'nameSelector', 'labelSelector'])
  const type = rule.member('type').text()
  const selector = rule.member(type === 'LabelSelector' ? 'labelSelector' : 'nameSelector')
  if (type !== 'NameSelector' && type !== 'LabelSelector') {
    throw rule
      .member('type')
      .refused('wanted NameSelector or LabelSelector; the rule matches nothing')
  }
  if (selector.isAbsent) throw selector.refused('it is missing, so the rule matches nothing')
  return type === 'NameSelector' ? [namePart(draft, selector)] : labelParts(draft, selector)
}

function importPart(draft: Draft, rule: InputNode): Part {
  const selector = rule.member('nameSelector')
  refuseUnknown(draft, rule, ['type', 'nameSelector', 'importAsLocal', 'domainSuffix'])
  if (rule.member('type').text() !== 'NameSelector') {
    throw rule.member('type').refused('wanted NameSelector; the rule matches nothing')
  }
  if (selector.isAbsent) throw selector.refused('it is missing, so the rule matches nothing')
  const part = namePart(draft, selector)
  const local = rule.member('importAsLocal')
  if (!local.flag()) {
    refuseTemplate(draft, rule.member('domainSuffix'))
    return part
  }
  if (part.alias?.namespace === undefined) {
    throw local.refused(
      'it needs an alias with a fixed namespace; without one the rule matches nothing',
    )
  }
  draft.refuse(
    local,
    "joining endpoints with those of a local service needs merging, which rules do not have; imported under the peer's name",
  )
  return part
}

function namePart(draft: Draft, selector: InputNode): Part {
  refuseUnknown(draft, selector, ['namespace', 'name', 'alias'])
  const subject = {
    namespace: labelOrAllAt(selector.member('namespace')),
    name: labelOrAllAt(selector.member('name')),
  }
  return { from: selector, subject, alias: aliasAt(draft, selector.member('alias'), subject) }
}

/** A label selector with its own first-match list of names, the service's own name last. */
function labelParts(draft: Draft, selector: InputNode): Part[] {
  refuseUnknown(draft, selector, ['namespace', 'selector', 'aliases'])
  const namespace = labelOrAllAt(selector.member('namespace'))
  const labels = labelSelectorAt(selector.member('selector'))
  const named = selector
    .member('aliases')
    .items()
    .flatMap((alias) => draft.attempt(() => namePart(draft, alias)) ?? [])
    .flatMap((part) => narrowed(part, namespace))
  return [...named, { from: selector, subject: { namespace, name: '*' }, alias: undefined }].map(
    (part) => ({ ...part, subject: { ...part.subject, ...(labels && { labels }) } }),
  )
}

/** What of a part lies in a namespace. */
function narrowed(part: Part, namespace: string): Part[] {
  const own = part.subject.namespace
  if (own !== '*' && namespace !== '*' && own !== namespace) return []
  return [{ ...part, subject: { ...part.subject, namespace: own === '*' ? namespace : own } }]
}

/** An absent, empty or `*` part of an alias keeps the service's own. */
function aliasAt(draft: Draft, node: InputNode, subject: Subject): RuleBody['as'] {
  const namespace = labelOrAllAt(node.member('namespace'))
  const named = labelOrAllAt(node.member('name'))
  if (named !== '*' && subject.name === '*') {
    draft.refuse(
      node.member('name'),
      'one name for all services that match needs merging, which rules do not have; they keep their own',
    )
  }
  const name = subject.name === '*' ? '*' : named
  if (namespace === '*' && name === '*') return undefined
  return { ...(namespace !== '*' && { namespace }), ...(name !== '*' && { name }) }
}

function refuseTemplate(draft: Draft, suffix: InputNode): void {
  if (suffix.text() === '') return
  draft.refuse(
    suffix,
    'a suffix of its own needs a free hostname template, which rules do not have; hostnames here end in svc.<relationship>.<suffix of the mesh>',
  )
}

function refuseUnknown(draft: Draft, node: InputNode, known: readonly string[]): void {
  for (const member of unknownMembers(node, known)) {
    draft.refuse(member, 'nothing is known of this member; converted without it')
  }
}

/** The successor exports to all peers alike and imports whatever is offered. */
function meshFederation(draft: Draft, document: InputNode): void {
  const spec = document.member('spec')
  const exported = spec.member('export')
  const selectors = exported.member('serviceSelectors')
  if (!selectors.isAbsent) {
    const labels = labelSelectorAt(selectors)
    const subject = { namespace: '*', name: '*', ...(labels && { labels }) }
    const audience = { kind: 'all' }
    draft.rule(
      ['ossm', 'export', 'all'],
      { direction: 'export', effect: 'allow', subject, audience },
      selectors,
    )
  }
  draft.ruleOnce(
    ['ossm', 'import', 'all'],
    {
      direction: 'import',
      effect: 'allow',
      subject: { namespace: '*', name: '*' },
      audience: { kind: 'all' },
    },
    'everything offered is imported',
  )
  exposeIdentities(draft, 'ossm', 'all')
  draft.remark(
    'where a local service has the same name, MeshFederation joins the endpoints unasked; here the two stay apart',
  )
}
