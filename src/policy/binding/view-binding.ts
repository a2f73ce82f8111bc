import { type Offer } from '../../catalog/service.ts'
import { viewOffer } from '../../catalog/view.ts'
import { type Binding } from './bindings.ts'
import { type ExportView, type ImportedOfferView } from './offers-api.ts'
import { smallestChange } from '../explain/remedy.ts'
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
  const isFree = binding.state === 'imported' || binding.state === 'conflict'
  const changes = isFree ? [] : smallestChange(snapshot, { subject: offer, of, at })
  return {
    ...viewOffer(offer),
    imported: binding.state === 'imported',
    state: binding.state,
    hostname: binding.hostname ?? '',
    visibleTo: [...binding.visibleTo],
    ...viewCited(binding.rule),
    reason: binding.reason,
    conflictsWith: viewKeeper(binding),
    next: changes.map(({ command }) => command),
  }
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
    ruleId: null,
    ruleName: null,
    reason: 'it came after the rules were looked at; ask again',
    conflictsWith: null,
    next: [],
  }
}
