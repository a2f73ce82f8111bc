// oxlint-disable complexity -- a twin that is plain lists of conditions, as the words have them
import { type Query } from '../../../src/policy/decision/answer.ts'
import {
  type LabelRequirement,
  type LabelSelector,
} from '../../../src/policy/rule/label-selector.ts'
import { draftOf, isIdentityDraft, type Rule } from '../../../src/policy/rule/rule.ts'
import {
  type SnapshotInput,
  type SnapshotRelationship,
} from '../../../src/policy/snapshot/snapshot.ts'

type Peer = SnapshotRelationship | undefined
type Labels = Readonly<Record<string, string>>

const like = (text: string, value: string): boolean =>
  text.endsWith('*') ? value.startsWith(text.slice(0, -1)) : text === value

/** The decision as the words define it: every rule is tried, every list is scanned; nothing is indexed. */
export function linearDecision(mesh: SnapshotInput, query: Query) {
  const domain = query.caller?.split('/')[2]
  const has = (one: Peer) => one?.trustDomains.some((td) => td === domain)
  const foreign = domain !== undefined && mesh.trustDomains.every((td) => td !== domain)
  const asking = query.to ?? (foreign ? (mesh.relationships.find(has)?.name ?? '?') : undefined)
  const peer = mesh.relationships.find((one) => one.name === (query.of ?? asking))
  const nobody = (query.of ?? asking) !== undefined && peer === undefined
  if (nobody || (query.of !== undefined && asking !== undefined))
    return { decision: 'deny', cited: [], exportedName: undefined, hostname: undefined }
  const known =
    query.of === undefined
      ? mesh.services
      : mesh.offers.filter((offer) => offer.relationship === query.of)
  const service = known.find(
    (one) => one.namespace === query.subject.namespace && one.name === query.subject.name,
  )
  const groups = mesh.groups.filter(({ members }) =>
    members.some((one) => (one.kind === 'self' ? peer === undefined : one.name === peer?.name)),
  )
  const asked = {
    query,
    peer,
    labels: service?.labels ?? {},
    groups: groups.map(({ name }) => name),
  }
  const ours = mesh.rules.filter((rule) => appliesToService(rule, asked))
  const shown = mesh.rules.filter((rule) => appliesToIdentity(rule, asked))
  const allow = ours.some((rule) => rule.effect === 'allow')
  const deny = ours.some((rule) => rule.effect === 'deny')
  const keptBack = shown.some((rule) => rule.effect === 'deny')
  const presents = query.of !== undefined && query.caller !== undefined
  const exposed = !presents || shown.some((rule) => rule.effect === 'allow')
  const listens = query.port === undefined || service?.ports.some(({ name }) => name === query.port)
  const posing = query.to !== undefined && domain !== undefined && !has(peer)
  const open = peer === undefined || peer.state === 'active'
  const allowed = allow && !deny && exposed && !keptBack && service && listens && open && !posing
  return {
    decision: allowed === true ? 'allow' : 'deny',
    cited: [...citable(shown, asked), ...citable(ours, asked)],
    ...namesOf(mesh, asked),
  }
}

/** Who asks has no say in a name: the first allow that lets anybody there see the service gives it. */
function namesOf({ rules, dnsSuffix }: SnapshotInput, asked: Asked) {
  const { subject, of, to, at } = asked.query
  const open = { ...asked, query: { subject, of, to, at } }
  const [first] = rules
    .filter((rule) => rule.effect === 'allow' && appliesToService(rule, open))
    .toSorted((a, b) => before(a, b, asked))
  const given = asked.peer === undefined ? undefined : first?.as
  const { namespace, name } = { ...subject, ...given }
  const hostname = of === undefined ? undefined : `${name}.${namespace}.svc.${of}.${dnsSuffix}`
  return { exportedName: `${namespace}/${name}`, hostname }
}

interface Asked {
  readonly query: Query
  readonly peer: Peer
  readonly labels: Labels
  readonly groups: readonly string[]
}

/** The rules of the effect that decides which no other comes before. */
function citable(rules: readonly Rule[], asked: Asked): string[] {
  const denies = rules.filter((rule) => rule.effect === 'deny')
  const deciding = denies.length > 0 ? denies : rules
  const first = deciding.toSorted((a, b) => before(a, b, asked))[0]
  return first === undefined ? [] : [first.id]
}

function before(a: Rule, b: Rule, asked: Asked): number {
  const [one, other] = [a, b].map((rule) => [
    -rule.priority,
    -reach(rule, asked),
    -precision(rule),
    rule.audience.callers === undefined ? 1 : 0,
    rule.createdAt.getTime(),
  ]) as [number[], number[]]
  const place = one.findIndex((value, i) => value !== other[i])
  return place < 0 ? (a.id < b.id ? -1 : 1) : one[place]! - other[place]!
}

function reach({ audience }: Rule, { peer }: Asked): number {
  if (audience.kind !== 'peers') return audience.kind === 'all' ? 0 : 2
  return peer !== undefined && audience.relationships.includes(peer.name) ? 2 : 1
}

function precision(rule: Rule): number {
  const { subject } = draftOf(rule)
  if (isIdentityDraft(subject)) return subject.identity.endsWith('*') ? 0 : 5
  const [namespace, name] = [subject.namespace, subject.name]
  if (!name.endsWith('*')) return namespace.endsWith('*') ? 9 : 10
  if (subject.labels) return namespace === '*' ? 7 : 8
  if (!namespace.endsWith('*')) return name === '*' ? 2 : 3
  return namespace === '*' && name === '*' ? 0 : 1
}

function appliesToService(rule: Rule, asked: Asked): boolean {
  const { direction, subject, audience, visibleTo } = draftOf(rule)
  const { query, labels } = asked
  if (isIdentityDraft(subject) || direction !== (query.of ? 'import' : 'export')) return false
  const path = query.caller?.split('/').slice(3)
  const ofPath = path?.[0] === 'ns' && path.length > 2 ? path[1] : undefined
  const { paths = [], namespaces = [] } = audience.callers ?? {}
  const meant =
    paths.some((one) => like(one, path?.length ? `/${path.join('/')}` : '')) ||
    namespaces.some((one) => ofPath !== undefined && like(one, ofPath))
  const namespace = query.namespace ?? ofPath
  const isOpen = query.namespace === undefined && path === undefined
  return (
    general(rule, asked) &&
    like(subject.namespace, query.subject.namespace) &&
    like(subject.name, query.subject.name) &&
    (subject.labels === undefined || chosen(subject.labels, labels)) &&
    counts(rule, audience.callers, path === undefined, meant) &&
    counts(rule, subject.ports, !query.port, subject.ports?.includes(query.port ?? '')) &&
    counts(
      rule,
      visibleTo,
      isOpen,
      visibleTo?.some((one) => namespace && like(one, namespace)),
    )
  )
}

function appliesToIdentity(rule: Rule, asked: Asked): boolean {
  const { direction, subject } = draftOf(rule)
  const { query, peer } = asked
  if (!isIdentityDraft(subject) || query.caller === undefined || peer === undefined) return false
  const path = query.caller.split('/').slice(3)
  return (
    general(rule, asked) &&
    direction === (query.of ? 'export' : 'import') &&
    like(subject.identity, path.length > 0 ? `/${path.join('/')}` : '')
  )
}

function general(rule: Rule, { query, peer, groups }: Asked): boolean {
  const { audience, clusters, expiresAt } = rule
  const to =
    audience.kind === 'peers'
      ? (peer !== undefined && audience.relationships.includes(peer.name)) ||
        audience.groups.some((name) => groups.includes(name))
      : audience.kind === (peer === undefined ? 'self' : 'all')
  const there = query.cluster
    ? clusters?.includes(query.cluster)
    : rule.effect === (query.caller ? 'deny' : 'allow')
  return to && (clusters === undefined || there === true) && !(expiresAt && query.at >= expiresAt)
}

/** What is left open lets an allow count that narrows it, and no deny that does. */
function counts(
  rule: Rule,
  narrowing: unknown,
  isOpen: boolean,
  fits: boolean | undefined | '',
): boolean {
  if (narrowing === undefined) return true
  return isOpen ? rule.effect === 'allow' : fits === true
}

function chosen({ matchLabels = {}, matchExpressions = [] }: LabelSelector, labels: Labels) {
  const all = new Map(Object.entries(labels))
  return (
    Object.entries(matchLabels).every(([key, value]) => all.get(key) === value) &&
    matchExpressions.every((one) => requirementHolds(one, all.get(one.key)))
  )
}

function requirementHolds(
  { operator, values }: LabelRequirement,
  found: string | undefined,
): boolean {
  const isIn = found !== undefined && values?.includes(found) === true
  return { In: isIn, NotIn: !isIn, Exists: found !== undefined, DoesNotExist: found === undefined }[
    operator
  ]
}
