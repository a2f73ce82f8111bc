import { command } from '../../errors.ts'
import { evaluate } from '../decision/evaluate.ts'
import { judge } from '../decision/judge.ts'
import { openHalfOf } from '../decision/scene.ts'
import { audienceOf } from '../decision/rule-reach.ts'
import { type Rule, type ServiceSubject } from '../rule/rule.ts'
import { type Snapshot, type SnapshotService } from '../snapshot/snapshot.ts'
import { type Counterpart, type LintFacts } from './lint-facts.ts'
import { type LintFinding, onRule } from './lint-finding.ts'
import { servicesOn, type SubjectContext } from './lint-subjects.ts'

/** Services of a rule that are looked for in the rules of others; of wider rules nothing is said. */
const MOST_SERVICES = 1000

/** An export of which no mesh that it speaks to imports anything, where all of them are in this service. */
export function lintImports(
  rule: Rule,
  context: SubjectContext,
  { counterparts, at }: Pick<LintFacts, 'counterparts'> & { readonly at: Date },
): LintFinding[] {
  const { subject } = rule
  if (rule.direction !== 'export' || rule.effect !== 'allow') return []
  if (subject.kind === 'identity') return []
  const { snapshot } = context
  const peers = audienceOf(snapshot, rule).map((peer) => known(peer, counterparts))
  const services = servicesOn(context.own, subject)
  if (services.length === 0 || services.length > MOST_SERVICES) return []
  const all = peers.filter((peer) => peer !== 'inactive')
  const there = all.filter((peer) => peer !== undefined)
  const [first] = there
  if (first === undefined || there.length < all.length) return []
  if (there.some((peer) => services.some((one) => isImported(snapshot, peer, { one, at })))) {
    return []
  }
  const tells = `no rule of ${there.map(({ name }) => name).join(' or ')} imports any of it`
  return [
    onRule('export.not-imported', rule, {
      tells,
      next: [importCommand(nameOf(subject, rule), first)],
    }),
  ]
}

/** A counterpart and what we call it. */
interface Named extends Counterpart {
  readonly name: string
}

// The mesh itself takes what it exports to itself without an import, so it counts as one that nothing is known of.
function known(
  peer: ReturnType<typeof audienceOf>[number],
  counterparts: LintFacts['counterparts'],
): Named | 'inactive' | undefined {
  if (peer === 'self') return undefined
  if (peer.state !== 'active') return 'inactive'
  const there = counterparts?.get(peer.name)
  return there && { ...there, name: peer.name }
}

function isImported(
  snapshot: Snapshot,
  { name: to, snapshot: theirs, relationship }: Named,
  { one, at }: { readonly one: SnapshotService; readonly at: Date },
): boolean {
  const { exportedName = '' } = evaluate(snapshot, { subject: one, to, at })
  const [namespace = '', name = ''] = exportedName.split('/')
  const labels = theirs.offers.get(relationship.name)?.get(exportedName)?.labels ?? one.labels
  const scene = { kind: 'import', peer: relationship } as const
  const half = openHalfOf(theirs, scene, { subject: { namespace, name }, labels, at })
  const { allow, deny } = judge(theirs.rules, half)
  return allow !== undefined && deny === undefined
}

function importCommand(service: string, { snapshot, relationship }: Counterpart): string {
  return command`entente rule import ${service} --from ${relationship.name} --mesh ${snapshot.meshId}`
}

function nameOf({ namespace, name }: ServiceSubject, { as }: Rule): string {
  return `${as?.namespace ?? namespace.text}/${as?.name ?? name.text}`
}
