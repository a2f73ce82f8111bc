import { type PeerChangesView } from '../../federation/group/peer-changes-api.ts'
import { serviceKey } from '../snapshot/snapshot.ts'
import { type RuleChanges } from './rule-change.ts'
import { type RuleEffect } from './rule-effect.ts'
import { type RuleEffectView } from './rule-effect-api.ts'

/** What a rule comes to, as the wire has it. */
export function viewEffect(effect: RuleEffect): RuleEffectView {
  return {
    reaches: effect.reaches.map(({ peer, count, services }) => ({
      peer,
      count,
      services: services.map(serviceKey),
    })),
    notActive: effect.notActive.map((one) => ({ ...one })),
    withheld: effect.withheld.map((one) => ({ ...one })),
    complete: effect.complete,
  }
}

/** What a change of a rule does, as the wire has it. */
export function viewChanges({ peers, complete }: RuleChanges): PeerChangesView {
  return {
    peers: peers.map(({ peer, direction, counts, items }) => ({
      peer,
      direction,
      counts: { ...counts },
      items: items.map((item) => ({ ...item, who: [...item.who] })),
    })),
    complete,
  }
}
