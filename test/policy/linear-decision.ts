// oxlint-disable complexity -- a twin that is one plain list of conditions, as the words have them
import { type Query } from '../../src/policy/answer.ts'
import { type Rule } from '../../src/policy/rule.ts'
import { compareRules } from '../../src/policy/rule-index.ts'
import { type SnapshotInput, type SnapshotRelationship } from '../../src/policy/snapshot.ts'

type Peer = SnapshotRelationship | undefined

const like = ({ text }: { text: string }, value: string): boolean =>
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
    return { decision: 'deny', ruleId: undefined }
  const applicable = mesh.rules.filter((rule) => applies(rule, query, peer)).toSorted(compareRules)
  const [allow, deny] = ['allow', 'deny'].map((effect) =>
    applicable.find((rule) => rule.effect === effect),
  )
  const known =
    query.of === undefined
      ? mesh.services
      : mesh.offers.filter((offer) => offer.relationship === query.of)
  const exists = known.some(
    (one) => one.namespace === query.subject.namespace && one.name === query.subject.name,
  )
  const posing = query.to !== undefined && domain !== undefined && !has(peer)
  const open = peer === undefined || peer.state === 'active'
  return {
    decision: allow && !deny && exists && open && !posing ? 'allow' : 'deny',
    ruleId: (deny ?? allow)?.id,
  }
}

function applies(
  { direction, audience, subject, effect, expiresAt }: Rule,
  query: Query,
  peer: Peer,
): boolean {
  const to =
    peer === undefined
      ? audience.kind === 'self'
      : audience.kind === 'all' || audience.relationships.includes(peer.name)
  const fits =
    like(subject.namespace, query.subject.namespace) && like(subject.name, query.subject.name)
  const path = query.caller?.split('/').slice(3)
  const namespace = path?.[0] === 'ns' ? path[1] : undefined
  const { paths = [], namespaces = [] } = audience.callers ?? {}
  const meant =
    paths.some((one) => like(one, path?.length ? `/${path.join('/')}` : '')) ||
    namespaces.some((one) => namespace !== undefined && like(one, namespace))
  const counts = audience.callers === undefined || (path === undefined ? effect === 'allow' : meant)
  return (
    to &&
    fits &&
    counts &&
    direction === (query.of ? 'import' : 'export') &&
    !(expiresAt && query.at >= expiresAt)
  )
}
