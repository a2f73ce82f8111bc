import { deepEqual, ok } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { type Binding, bound, offered } from '../../../src/policy/binding/bindings.ts'
import { type Query } from '../../../src/policy/decision/answer.ts'
import { evaluate } from '../../../src/policy/decision/evaluate.ts'
import { changeRuleIndex } from '../../../src/policy/snapshot/build-rule-index.ts'
import { type Around, type RuleChanges } from '../../../src/policy/change/rule-change.ts'
import { changesBetween, touchedBy } from '../../../src/policy/change/rule-changes.ts'
import { fits, parsePathPattern } from '../../../src/policy/rule/pattern.ts'
import { type Rule } from '../../../src/policy/rule/rule.ts'
import {
  buildSnapshot,
  peersPart,
  serviceKey,
  type Snapshot,
} from '../../../src/policy/snapshot/snapshot.ts'
import { pathOf } from '../../../src/spiffe/spiffe-id.ts'
import { seededAsync } from '../../support/seeded.ts'
import { anyDraft, EARLY, mesh, query, ruleOf } from '../arbitrary-mesh.ts'

const PEERS = ['globex', 'initech', 'hooli']

/** A mesh, and one rule of it that is made, changed or deleted. */
const changed = fc
  .tuple(mesh, fc.constantFrom('make', 'change', 'delete'), anyDraft, anyDraft)
  .map(([input, act, first, second]) => {
    const before = act === 'make' ? undefined : ruleOf(first, 'it')
    const after = act === 'delete' ? undefined : ruleOf(second, 'it')
    const isTurned =
      before !== undefined && after !== undefined && before.direction !== after.direction
    return around(input, isTurned ? { before, after: undefined } : { before, after })
  })

interface Case extends Around {
  readonly change: { readonly before: Rule | undefined; readonly after: Rule | undefined }
}

function around(input: Parameters<typeof buildSnapshot>[0], change: Case['change']): Case {
  const without = buildSnapshot(input)
  const [before, after] = [change.before, change.after].map((rule) => ({
    ...without,
    rules: changeRuleIndex(without.rules, new Map([['it', rule]])),
  })) as [Snapshot, Snapshot]
  return { before, after, at: EARLY, change }
}

async function toldOf({ change, ...both }: Case): Promise<RuleChanges> {
  return changesBetween(both, touchedBy(both.after, change))
}

t.test('what a change of a rule shows or hides is told, service by service', async (t) => {
  let found = 0
  await seededAsync(
    t,
    fc.asyncProperty(changed, async (one) => {
      const { peers } = await toldOf(one)
      const told = peers.flatMap(({ peer, direction, items }) =>
        items
          .filter(({ kind }) => kind === 'visible' || kind === 'hidden')
          .map(({ kind, subject }) => `${direction} ${peer} ${kind} ${subject}`),
      )
      const [was, is] = [one.before, one.after].map(visible) as [Set<string>, Set<string>]
      const wanted = [
        ...[...is].filter((pair) => !was.has(pair)).map((pair) => pair.replace('?', 'visible')),
        ...[...was].filter((pair) => !is.has(pair)).map((pair) => pair.replace('?', 'hidden')),
      ]
      found += wanted.length
      deepEqual(told.toSorted(), wanted.toSorted())
    }),
    2000,
  )
  t.ok(found > 200, `${found} changes were told`)
})

/** Who sees what, as the lists have it. */
function visible(snapshot: Snapshot): Set<string> {
  const within = [...snapshot.services.values()].filter(
    (subject) => evaluate(snapshot, { subject, at: EARLY }).decision === 'allow',
  )
  return new Set([
    ...within.map((subject) => `export self ? ${serviceKey(subject)}`),
    ...PEERS.flatMap((peer) => [
      ...listed(offered(snapshot, peer, EARLY), `export ${peer}`),
      ...listed(bound(snapshot, peer, EARLY), `import ${peer}`),
    ]),
  ])
}

function listed(bindings: readonly Binding[], head: string): string[] {
  return bindings
    .filter(({ state }) => state === 'offered' || state === 'imported')
    .map(({ subject }) => `${head} ? ${serviceKey(subject)}`)
}

t.test(
  'whenever a call is decided otherwise, its service or identity is told, and which way',
  async (t) => {
    let differed = 0
    await seededAsync(
      t,
      fc.asyncProperty(
        changed,
        fc.array(query, { minLength: 40, maxLength: 40 }),
        async (one, asked) => {
          const told = await toldOf(one)
          for (const wanted of asked.map((each) => ({ ...each, at: EARLY }))) {
            differed += requireTold(one, told, wanted)
          }
        },
      ),
      1500,
    )
    t.ok(differed > 300, `${differed} decisions differed`)
  },
)

t.test(
  'whenever a member of a group may call otherwise than before, its service is told',
  async (t) => {
    let differed = 0
    await seededAsync(
      t,
      fc.asyncProperty(
        mesh,
        mesh,
        fc.array(query, { minLength: 40, maxLength: 40 }),
        async (input, { groups }, asked) => {
          const [first = { name: 'friends', members: [] }, ...others] = input.groups
          const [next = first] = groups
          const before = buildSnapshot(input)
          const relationships = input.relationships
          const after = { ...before, ...peersPart({ relationships, groups: [next, ...others] }) }
          const rules = input.rules.filter(({ audience }) => audience.groups.includes(first.name))
          const peers = ['self' as const, ...relationships]
          const told = await changesBetween({ before, after, at: EARLY }, { rules, peers })
          for (const wanted of asked.map((each) => ({ ...each, at: EARLY }))) {
            differed += requireTold({ before, after }, told, wanted)
          }
        },
      ),
      1000,
    )
    t.ok(differed > 100, `${differed} decisions differed`)
  },
)

/** 1 when the snapshots decide otherwise, 0 when not; throws when that is not told. */
function requireTold(
  { before, after }: Pick<Around, 'before' | 'after'>,
  { peers }: RuleChanges,
  asked: Query,
): number {
  const [was, is] = [before, after].map((snapshot) => decided(snapshot, asked))
  if (was === is) return 0
  const { undecided } = evaluate(after, asked)
  const [peer = 'self'] = undecided
  const items = peers.filter((one) => one.peer === peer).flatMap((one) => one.items)
  const kinds = is === 'allow' ? ['visible', 'allowed'] : ['hidden', 'denied']
  const subject = serviceKey(asked.subject)
  ok(
    items.some(
      (item) =>
        kinds.includes(item.kind) && (item.subject === subject || isOfCaller(item.subject, asked)),
    ),
    `${subject} of ${peer} is ${is}, and told is ${JSON.stringify(items)}`,
  )
  return 1
}

function isOfCaller(subject: string, { caller }: Query): boolean {
  const [head, pattern = ''] = subject.split(' ')
  return (
    head === 'identity' && caller !== undefined && fits(parsePathPattern(pattern), pathOf(caller))
  )
}

/** What single decisions and lists together come to: a service whose name another one has is not there. */
function decided(snapshot: Snapshot, asked: Query): string {
  const { decision, undecided } = evaluate(snapshot, asked)
  const [peer] = undecided
  if (decision === 'deny' || peer === undefined) return decision
  const list = asked.of === undefined ? offered : bound
  const found = list(snapshot, peer, asked.at).find(
    ({ subject }) => serviceKey(subject) === serviceKey(asked.subject),
  )
  return found?.state === 'conflict' ? 'deny' : decision
}
