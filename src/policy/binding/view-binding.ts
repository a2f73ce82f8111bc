import { type Offer } from '../../catalog/service.ts'
import { viewOffer } from '../../catalog/view.ts'
import { type Query } from '../decision/answer.ts'
import { type Binding } from './bindings.ts'
import { nextAfterLoss } from './lost-name.ts'
import { type ExportView, type ImportedOfferView } from './offers-api.ts'
import { smallestChange } from '../decision/remedy.ts'
import { type Rule } from '../rule/rule.ts'
import { hostnameOf, serviceKey, type Snapshot } from '../snapshot/snapshot.ts'

/** A service shown to a peer, as the wire has it. */
export function viewExport(binding: Binding): ExportView {
  return {
    namespace: binding.subject.namespace,
    name: binding.subject.name,
    state: binding.state,
    exportedName: binding.name,
    ports: binding.ports.map((port) => ({ ...port })),
    serverIds: [...binding.service.serverIds],
    callers: [...binding.callers],
    refused: [...binding.refused],
    clusters: [...binding.clusters],
    ...viewCited(binding.rule),
    reason: binding.reason,
    conflictsWith: viewKeeper(binding),
  }
}

/** A peer's offer with what this mesh makes of it; one that the snapshot does not have yet is not imported. */
export function viewImported(
  snapshot: Snapshot,
  {
    offer,
    binding,
    at,
  }: { readonly offer: Offer; readonly binding: Binding | undefined; readonly at: Date },
): ImportedOfferView {
  const { relationship: of } = offer
  if (binding === undefined) return unseen(snapshot, offer)
  return {
    ...viewOffer(offer),
    imported: binding.state === 'imported',
    state: binding.state,
    hostname: binding.hostname ?? '',
    visibleTo: [...binding.visibleTo],
    clusters: [...binding.clusters],
    ...viewCited(binding.rule),
    reason: binding.reason,
    conflictsWith: viewKeeper(binding),
    next: nextFor(snapshot, binding, { subject: offer, of, at }),
  }
}

function nextFor(snapshot: Snapshot, binding: Binding, query: Query): string[] {
  if (binding.state === 'imported') return []
  if (binding.state === 'conflict') return nextAfterLoss(snapshot, binding)
  return smallestChange(snapshot, query).map(({ command }) => command)
}

function viewCited(rule: Rule | undefined): Pick<ExportView, 'ruleId' | 'ruleName'> {
  return { ruleId: rule?.id ?? null, ruleName: rule?.name ?? null }
}

function viewKeeper({ conflictsWith }: Binding): ExportView['conflictsWith'] {
  if (conflictsWith === undefined) return null
  if (!conflictsWith.isShown) return { service: null, ...viewCited(undefined) }
  const { subject, rule } = conflictsWith
  return { service: serviceKey(subject), ...viewCited(rule) }
}

function unseen(snapshot: Snapshot, offer: Offer): ImportedOfferView {
  return {
    ...viewOffer(offer),
    imported: false,
    state: 'not-imported',
    hostname: hostnameOf(snapshot, offer.relationship, offer),
    visibleTo: [],
    clusters: [],
    ruleId: null,
    ruleName: null,
    reason: 'it came after the rules were looked at; ask again',
    conflictsWith: null,
    next: [],
  }
}
