import { type ConsulAudience, peersOfBoth, type SamenessGroups } from './consul-audience.ts'
import {
  type ConsulExport,
  consulKind,
  exportsIn,
  intentionsIn,
  samenessGroup,
} from './consul-input.ts'
import { type Intention, scopeOfBoth, type ServiceScope, weigh } from './consul-intentions.ts'
import { type Draft, type RuleBody } from './draft.ts'
import { type InputNode } from './input-node.ts'
import { type Converter, type ConvertOptions } from './options.ts'
import { audienceOf, exposeIdentities, type Peers } from './peer-rules.ts'

/** Most exports and most intentions of one input: each is held against all others. */
export const MAX_COMPARED = 2_000

/**
 * Consul: `exported-services`, `service-intentions` and `sameness-group`, as JSON or YAML config entries or in their
 * Kubernetes form.
 *
 * There an export only shows a service and an intention lets somebody call it. A rule does both, so with
 * intentions in the input rules are what an export and an allow have in common, and without any the exports alone.
 */
export const consul: Converter = {
  spelling: (member) => member.toLowerCase().replaceAll('_', ''),
  hint: 'HCL is not read; print the entry as JSON: consul config read -kind KIND -name NAME',
  convert: convertEntries,
}

const KINDS = ['samenessgroup', 'exportedservices', 'serviceintentions']

function convertEntries(
  draft: Draft,
  documents: readonly InputNode[],
  options: ConvertOptions,
): void {
  const byKind = Map.groupBy(documents, (document) => draft.attempt(() => consulKind(document)))
  for (const [kind, others] of byKind) {
    if (kind === undefined || KINDS.includes(kind)) continue
    for (const other of others) {
      draft.refuse(
        other.member('kind'),
        'wanted exported-services, service-intentions or sameness-group',
      )
    }
  }
  const of = (kind: string): readonly InputNode[] => byKind.get(kind) ?? []
  const groups: SamenessGroups = new Map(
    of('samenessgroup').flatMap((document) => {
      const group = draft.attempt(() => samenessGroup(draft, document))
      return group === undefined ? [] : [group]
    }),
  )
  const exported = of('exportedservices').flatMap(
    (document) => draft.attempt(() => exportsIn(draft, document, groups)) ?? [],
  )
  const entries = of('serviceintentions')
  const intentions = entries.flatMap(
    (document) => draft.attempt(() => intentionsIn(draft, document, groups)) ?? [],
  )
  addRules(draft, { exported, intentions, hasIntentions: entries.length > 0, options })
}

interface Read {
  readonly exported: readonly ConsulExport[]
  readonly intentions: readonly Intention[]
  readonly hasIntentions: boolean
  readonly options: ConvertOptions
}

function addRules(draft: Draft, read: Read): void {
  const { exported, intentions, hasIntentions } = read
  const over = exported[MAX_COMPARED]?.from ?? intentions[MAX_COMPARED]?.from
  if (over !== undefined) {
    draft.refuse(
      over,
      `more than ${MAX_COMPARED} of a sort; nothing was converted: divide the input`,
    )
    return
  }
  if (hasIntentions) addCommon(draft, read)
  else for (const one of exported) draft.attempt(() => addExport(draft, one))
  for (const { consumers } of exported) consumers.forEach((consumer) => addImport(draft, consumer))
}

/** Everything that a peer exports can be used in Consul, by everybody. */
function addImport(draft: Draft, consumer: ConsulAudience): void {
  const peers = peersOf(consumer)
  draft.ruleOnce(
    ['consul', 'import', ...wordsOf(peers)],
    {
      direction: 'import',
      effect: 'allow',
      subject: { namespace: '*', name: '*' },
      audience: audienceOf(peers),
    },
    'Consul imports all that a peer exports; narrow it to what is used',
  )
  exposeIdentities(draft, 'consul', peers)
}

function addExport(draft: Draft, { from, scope, consumers }: ConsulExport): void {
  if (consumers.length === 0) return
  const peers = {
    relationships: unique(consumers.flatMap((one) => (one.kind === 'peer' ? [one.peer] : []))),
    groups: unique(consumers.flatMap((one) => (one.kind === 'group' ? [one.group] : []))),
  }
  draft.rule(['consul', 'export', scope.namespace, scope.name], exportRule(scope, peers), from)
  draft.remark(
    'the input has no service-intentions, so everybody at a consumer may call what it is shown; convert both in one file, with --- between, to keep the callers',
  )
}

/** What exports and intentions have in common, and the denies that carve out of it. */
function addCommon(draft: Draft, { exported, intentions, options }: Read): void {
  const { allows, denies, outweighed } = weigh(intentions)
  for (const { allow, deny } of outweighed) {
    draft.refuse(
      allow.from,
      `the wider deny at ${deny.from.source.title} ${deny.from.at} would outweigh it, and cannot go since it carves out of a wider allow; write that allow as narrow ones`,
    )
  }
  for (const deny of denies) draft.attempt(() => addIntention(draft, deny, options))
  for (const allow of allows) {
    if (allow.audience.kind === 'self') draft.attempt(() => addIntention(draft, allow, options))
  }
  for (const one of exported) {
    const added = allows.map((allow) =>
      draft.attempt(() => addShared(draft, { one, allow, options })),
    )
    if (added.includes(true)) continue
    draft.remark(
      `${one.from.source.title} ${one.from.at} shows ${one.scope.namespace}/${one.scope.name}, which no intention lets anybody call: no rule`,
    )
  }
}

function addIntention(draft: Draft, intention: Intention, options: ConvertOptions): void {
  const { from, action, destination, source, audience } = intention
  const peers = audience.kind === 'self' ? undefined : peersOf(audience)
  const words = [destination.namespace, destination.name, ...(peers ? wordsOf(peers) : ['self'])]
  const callers = callersOf(source, options)
  draft.rule(
    ['consul', action, ...words],
    {
      ...exportRule(destination, peers ?? 'self', callers),
      effect: action,
    },
    from,
  )
}

interface Shared {
  readonly one: ConsulExport
  readonly allow: Intention
  readonly options: ConvertOptions
}

/** Whether a rule was added for what an export and an allow have in common. */
function addShared(draft: Draft, { one, allow, options }: Shared): boolean {
  const scope = scopeOfBoth(one.scope, allow.destination)
  if (scope === undefined) return false
  const callers = callersOf(allow.source, options)
  let isAdded = false
  for (const consumer of one.consumers) {
    const peers = peersOfBoth(consumer, allow.audience)
    if (peers === 'nobody') continue
    if (peers === 'unknown') {
      throw allow.from.refused(
        `who of a sameness group is meant stands in its own entry; convert it together with this one`,
      )
    }
    const words = [scope.namespace, scope.name, ...wordsOf(peers)]
    draft.rule(['consul', 'export', ...words], exportRule(scope, peers, callers), allow.from)
    isAdded = true
  }
  return isAdded
}

type Callers = { readonly namespaces?: readonly string[]; readonly paths?: readonly string[] }

function exportRule(scope: ServiceScope, peers: Peers | 'self', callers?: Callers): RuleBody {
  const audience = peers === 'self' ? { kind: 'self' } : audienceOf(peers)
  return {
    direction: 'export',
    effect: 'allow',
    subject: { ...scope },
    audience: { ...audience, ...(callers && { callers }) },
  }
}

/** The callers that a source means, by the paths of their identities; undefined means everybody. */
function callersOf(
  { namespace, name }: ServiceScope,
  options: ConvertOptions,
): Callers | undefined {
  const path = options.callerPath.replaceAll('{namespace}', namespace)
  if (name !== '*') return { paths: [path.replaceAll('{name}', name)] }
  if (namespace === '*') return undefined
  if (options.callerPath.startsWith('/ns/{namespace}/')) return { namespaces: [namespace] }
  return { paths: [path.replace(/\{name\}.*$/, '*')] }
}

function peersOf(audience: ConsulAudience): Peers {
  if (audience.kind === 'peer') return { relationships: [audience.peer] }
  return audience.kind === 'group' ? { groups: [audience.group] } : {}
}

function wordsOf({ relationships = [], groups = [] }: Peers): string[] {
  return ['to', ...relationships, ...groups]
}

function unique(words: readonly string[]): string[] {
  return [...new Set(words)]
}
