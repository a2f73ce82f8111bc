import { deepEqual } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { type Binding, bound, offered } from '../../../src/policy/binding/bindings.ts'
import { lostName } from '../../../src/policy/binding/lost-name.ts'
import { type Query } from '../../../src/policy/decision/answer.ts'
import { evaluate } from '../../../src/policy/decision/evaluate.ts'
import { changeRuleIndex } from '../../../src/policy/snapshot/build-rule-index.ts'
import { buildSnapshot, serviceKey, type Snapshot } from '../../../src/policy/snapshot/snapshot.ts'
import { seeded } from '../../support/seeded.ts'
import { allowDraft, EARLY, mesh, ruleOf } from '../arbitrary-mesh.ts'

const PEERS = ['globex', 'initech', 'hooli']
const peer = fc.constantFrom(...PEERS)
/** After everything in an arbitrary mesh was made. */
const LATER = new Date(EARLY.getTime() + 1)

interface Side {
  readonly list: typeof bound
  readonly side: 'of' | 'to'
}
const SIDES: readonly Side[] = [
  { list: bound, side: 'of' },
  { list: offered, side: 'to' },
]

function listed(snapshot: Snapshot, of: string): { binding: Binding; asked: Query }[] {
  return SIDES.flatMap(({ list, side }) =>
    list(snapshot, of, EARLY).map((binding) => ({
      binding,
      asked: { subject: binding.subject, [side]: of, at: EARLY },
    })),
  )
}

t.test('a single question finds the lost name that the list shows', async (t) => {
  let lost = 0
  seeded(
    t,
    fc.property(mesh, peer, (input, of) => {
      const snapshot = buildSnapshot(input)
      for (const { binding, asked } of listed(snapshot, of)) {
        const found = lostName(snapshot, asked)
        deepEqual(found?.binding, binding.conflictsWith && binding)
        if (found !== undefined) lost += 1
      }
      return true
    }),
    3000,
  )
  t.ok(lost > 30, `${lost} names were lost`)
})

t.test('no two services of one peer are resolved under one hostname', async (t) => {
  let shared = 0
  seeded(
    t,
    fc.property(mesh, peer, (input, of) => {
      const snapshot = buildSnapshot(input)
      const open = [...(snapshot.offers.get(of)?.values() ?? [])].flatMap((subject) => {
        const asked = { subject, of, at: EARLY }
        const { decision, hostname } = evaluate(snapshot, asked)
        return decision === 'allow' ? [{ asked, hostname }] : []
      })
      const resolved = open.filter(({ asked }) => lostName(snapshot, asked) === undefined)
      const names = new Set(resolved.map(({ hostname }) => hostname))
      deepEqual(names, new Set(open.map(({ hostname }) => hostname)), 'each name has an owner')
      shared += open.length - names.size
      return names.size === resolved.length
    }),
    3000,
  )
  t.ok(shared > 10, `${shared} were allowed under a name that another one has`)
})

/** Names of one peer that have an owner, with it. */
function owners(snapshot: Snapshot, { list }: Side, of: string): Map<string, string> {
  const open = list(snapshot, of, EARLY).filter(({ state }) =>
    ['offered', 'imported'].includes(state),
  )
  return new Map(open.map(({ name, subject }) => [name, serviceKey(subject)]))
}

/** Owners of names before that lost them to somebody though rules still give them that name. */
function robbed(before: Snapshot, after: Snapshot, of: string): string[] {
  return SIDES.flatMap((side) => {
    const now = new Map(
      side.list(after, of, EARLY).map((binding) => [serviceKey(binding.subject), binding]),
    )
    return [...owners(before, side, of)].flatMap(([name, key]) => {
      const binding = now.get(key)
      const isRobbed = binding?.name === name && binding.state === 'conflict'
      return isRobbed ? [`${key} lost ${name}: ${binding.reason}`] : []
    })
  })
}

t.test('whatever comes later takes no name from what goes by it', async (t) => {
  let newcomers = 0
  seeded(
    t,
    fc.property(mesh, allowDraft, peer, fc.nat(100), (input, draft, of, pick) => {
      const after = buildSnapshot(input)
      const [service, offer] = [input.services, input.offers].map((all) => all[pick % all.length])
      const isLate = (one: object) => one === service || one === offer
      const services = input.services.filter((one) => !isLate(one))
      const offers = input.offers.filter((one) => !isLate(one))
      const before = buildSnapshot({ ...input, services, offers })
      const late = buildSnapshot({
        ...input,
        services: input.services.map((one) => (isLate(one) ? { ...one, createdAt: LATER } : one)),
        offers: input.offers.map((one) => (isLate(one) ? { ...one, createdAt: LATER } : one)),
      })
      deepEqual(robbed(before, late, of), [], 'a service')
      const rules = changeRuleIndex(after.rules, new Map([['z', ruleOf(draft, 'z', LATER)]]))
      deepEqual(robbed(after, { ...after, rules }, of), [], 'a rule')
      newcomers += listed({ ...after, rules }, of).filter(
        ({ binding }) => binding.state === 'conflict' && binding.rule?.id === 'z',
      ).length
      return true
    }),
    3000,
  )
  t.ok(newcomers > 10, `${newcomers} times the newcomer went without`)
})

function anew<T extends object>(one: T): T & { readonly createdAt: Date } {
  return { ...one, createdAt: EARLY }
}

t.test(
  'of services made anew at one moment the same keeps the name, whatever ids rules got',
  (t) => {
    let kept = 0
    seeded(
      t,
      fc.property(mesh, peer, (input, of) => {
        const services = input.services.map(anew)
        const offers = input.offers.map(anew)
        const rules = input.rules.map(anew)
        const turned = rules.map((rule, i) => ({ ...rule, id: `other-${99 - i}` }))
        const [one, other] = [rules, turned].map((all) =>
          buildSnapshot({ ...input, services, offers, rules: all }),
        )
        if (one === undefined || other === undefined) return false
        const [names, again] = [one, other].map((snapshot) =>
          listed(snapshot, of).map(({ binding }) => binding.name),
        )
        // Of two equal rules the id decides what a service is called, so there may be other names altogether.
        if (names?.join() !== again?.join()) return true
        kept += 1
        for (const side of SIDES) deepEqual(owners(one, side, of), owners(other, side, of))
        return true
      }),
    )
    t.ok(kept > 300, `${kept} meshes had the same names`)
    t.end()
  },
)
