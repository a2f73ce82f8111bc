import {
  type ConsulAudience,
  consulAudienceAt,
  isOwnPartition,
  OURSELVES,
  type SamenessGroups,
} from './consul-audience.ts'
import { type Intention, type ServiceScope } from './consul-intentions.ts'
import { type Draft } from './draft.ts'
import { type InputNode } from './input-node.ts'
import { labelAt, labelOrAt, unknownMembers } from './words.ts'

/** One exported service with those it is for. */
export interface ConsulExport {
  readonly from: InputNode
  readonly scope: ServiceScope
  readonly consumers: readonly ConsulAudience[]
}

const METADATA = [
  'kind',
  'apiVersion',
  'metadata',
  'status',
  'meta',
  'name',
  'partition',
  'namespace',
]
const NAMESPACE = 'default'

/** The kind of a config entry or of its Kubernetes form, in one spelling. */
export function consulKind(document: InputNode): string {
  return document.member('kind').text().toLowerCase().replaceAll('-', '')
}

/** The members of a sameness group, first rank first; adds the peer group that stands for it. */
export function samenessGroup(
  draft: Draft,
  document: InputNode,
): readonly [name: string, members: readonly string[]] {
  const body = bodyOf(document)
  const name = labelAt(nameOf(document))
  const failover = body.member('defaultForFailover')
  if (failover.flag()) {
    draft.refuse(
      failover,
      'failing over from one peer to the next needs merging and placement, which rules do not have; the group keeps its order',
    )
  }
  refuseUnknownInBody(draft, body, ['defaultForFailover', 'includeLocal', 'members'])
  const local = body.member('includeLocal').flag() ? [OURSELVES] : []
  const listed = body
    .member('members')
    .items()
    .flatMap((member) => draft.attempt(() => groupMember(member)) ?? [])
  const members = [...new Set([...local, ...listed])]
  draft.group(
    name,
    members.map((member) => (member === OURSELVES ? { self: true } : { relationship: member })),
  )
  return [name, members]
}

function groupMember(member: InputNode): string {
  const audience = consulAudienceAt(member, new Map())
  return audience.kind === 'peer' ? audience.peer : OURSELVES
}

/** The services of an `exported-services` entry. */
export function exportsIn(
  draft: Draft,
  document: InputNode,
  groups: SamenessGroups,
): ConsulExport[] {
  const body = bodyOf(document)
  refuseUnknownInBody(draft, body, ['services'])
  return body
    .member('services')
    .items()
    .flatMap((service) => draft.attempt(() => exportAt(draft, service, groups)) ?? [])
}

function exportAt(draft: Draft, service: InputNode, groups: SamenessGroups): ConsulExport {
  refuseUnknown(draft, service, ['name', 'namespace', 'consumers'])
  const consumers = service
    .member('consumers')
    .items()
    .flatMap((consumer) => draft.attempt(() => consumerAt(consumer, groups)) ?? [])
  return { from: service, scope: scopeAt(service), consumers }
}

function consumerAt(consumer: InputNode, groups: SamenessGroups): ConsulAudience {
  const audience = consulAudienceAt(consumer, groups)
  if (audience.kind !== 'self') return audience
  throw consumer.refused('it names neither a peer nor a sameness group')
}

/**
 * The intentions of a `service-intentions` entry.
 *
 * What cannot be converted counts as a deny: left out, a wider allow would let in what it kept out.
 */
export function intentionsIn(
  draft: Draft,
  document: InputNode,
  groups: SamenessGroups,
): Intention[] {
  const body = bodyOf(document)
  const destination = scopeAt(body === document ? document : body.member('destination'))
  const jwt = body.member('jwt')
  if (!jwt.isAbsent) {
    draft.refuse(jwt, 'rules ask for identities, not for tokens; its sources count as denied')
  }
  refuseUnknownInBody(draft, body, ['destination', 'sources', 'jwt'])
  return body
    .member('sources')
    .items()
    .flatMap((source) => draft.attempt(() => intentionAt(draft, source, groups)) ?? [])
    .map((one) => ({ ...one, destination, ...(!jwt.isAbsent && { action: 'deny' as const }) }))
}

const SOURCE = ['name', 'namespace', 'peer', 'partition', 'samenessGroup', 'action', 'permissions']
const SAID_BY_CONSUL = ['description', 'precedence', 'type', 'legacyId', 'legacyMeta']
const TIMES = ['legacyCreateTime', 'legacyUpdateTime']

function intentionAt(
  draft: Draft,
  source: InputNode,
  groups: SamenessGroups,
): Omit<Intention, 'destination'> {
  refuseUnknown(draft, source, [...SOURCE, ...SAID_BY_CONSUL, ...TIMES])
  return {
    from: source,
    source: scopeAt(source),
    audience: consulAudienceAt(source, groups),
    action: actionAt(draft, source),
  }
}

function actionAt(draft: Draft, source: InputNode): 'allow' | 'deny' {
  const permissions = source.member('permissions')
  if (permissions.items().length > 0) {
    draft.refuse(
      permissions,
      'paths, methods and headers belong to the mesh, not to rules; the source counts as denied',
    )
    return 'deny'
  }
  const action = source.member('action')
  const text = action.text().toLowerCase()
  if (text === 'allow' || text === 'deny') return text
  draft.refuse(action, 'wanted allow or deny; the source counts as denied')
  return 'deny'
}

/** `*` stands for all names, and for all namespaces where the name is `*` too. */
function scopeAt(node: InputNode): ServiceScope {
  const [name, namespace] = [node.member('name'), node.member('namespace')]
  if (namespace.text() === '*') {
    if (name.text() === '*') return { namespace: '*', name: '*' }
    throw namespace.refused('all namespaces go with all names only')
  }
  return {
    namespace: labelOrAt(namespace, NAMESPACE),
    name: name.text() === '*' ? '*' : labelAt(name),
  }
}

function bodyOf(document: InputNode): InputNode {
  const partition = document.member('partition')
  if (!isOwnPartition(partition)) {
    throw partition.refused(
      'an admin partition is no mesh of its own; give its entries their own mesh',
    )
  }
  const spec = document.member('spec')
  return spec.isAbsent ? document : spec
}

function nameOf(document: InputNode): InputNode {
  const name = document.member('metadata').member('name')
  return name.isAbsent ? document.member('name') : name
}

/** What Consul or Kubernetes keep beside an entry's body says nothing of policy. */
function refuseUnknownInBody(draft: Draft, body: InputNode, known: readonly string[]): void {
  refuseUnknown(draft, body, [...known, ...METADATA])
}

function refuseUnknown(draft: Draft, node: InputNode, known: readonly string[]): void {
  for (const member of unknownMembers(node, known)) {
    draft.refuse(member, 'nothing is known of this member; converted without it')
  }
}
