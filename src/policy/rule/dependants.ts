import { type GroupDependants } from '../../federation/group/peer-groups.ts'
import { type RelationshipDependants } from '../../federation/end-relationship.ts'
import { type Dependant, type Dependants } from '../../mesh/hooks.ts'
import { ruleLine } from './rule-line.ts'
import { countRules, rulesNaming, rulesNamingGroup } from './rule-store.ts'

/** What of policy would end with a mesh: its rules, in one line. */
export const policyDependants: Dependants = async (db, target): Promise<Dependant[]> => {
  const count = await countRules(db, target.meshId)
  if (count === 0) return []
  const name = count === 1 ? '1 rule' : `${count} rules`
  return [{ kind: 'rule', name, effect: 'decides nothing any more', blocks: false }]
}

/** Which rules name a relationship that is about to end: they stay, and match nothing of it. */
export const rulesOfPeer: RelationshipDependants = async (db, target): Promise<Dependant[]> => {
  const rules = await rulesNaming(db, target.meshId, target.relationshipId)
  return rules.map((rule) => ({
    kind: 'rule',
    name: rule.id,
    effect: `stays and matches nothing of ${target.name}: ${ruleLine(rule)}`,
    blocks: false,
  }))
}

/** Which rules name a peer group: a deny would deny its members no more, so they hold the group. */
export const rulesOfGroup: GroupDependants = async (db, { meshId, name }) => {
  const rules = await rulesNamingGroup(db, meshId, name)
  return rules.map((rule) => ({
    kind: 'rule',
    name: rule.name ?? rule.id,
    effect: `stays and matches nothing of group ${name}: ${ruleLine(rule)}`,
    blocks: true,
  }))
}
