import { deepEqual } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { evaluate } from '../../../src/policy/decision/evaluate.ts'
import {
  type Changed,
  nextSnapshot,
  type SnapshotChanges,
} from '../../../src/policy/snapshot/next-snapshot.ts'
import { type PatternMap } from '../../../src/policy/snapshot/pattern-map.ts'
import { type Bucket, type RuleIndex } from '../../../src/policy/snapshot/rule-index.ts'
import {
  buildSnapshot,
  serviceKey,
  type Snapshot,
  type SnapshotInput,
  sumOf,
} from '../../../src/policy/snapshot/snapshot.ts'
import { seeded } from '../../support/seeded.ts'
import { mesh, query } from '../arbitrary-mesh.ts'

/** A step towards another mesh: which of its objects are taken over, chosen by the bits of a number. */
interface Step {
  readonly towards: SnapshotInput
  readonly bits: number
  /** Whether relationships and groups change too, and the lists that name them come whole. */
  readonly peers: boolean
  readonly whole: boolean
}

const step: fc.Arbitrary<Step> = fc.record({
  towards: mesh,
  bits: fc.nat(2 ** 24),
  peers: fc.boolean(),
  whole: fc.boolean(),
})

/** What of a list changes in a step, by key; those that the other mesh lacks go. */
function changesOf<T>(
  { from, to, bits }: { from: readonly T[]; to: readonly T[]; bits: number },
  keyOf: (one: T) => string,
): Map<string, T | undefined> {
  const after = new Map(to.map((one) => [keyOf(one), one]))
  const keys = [...new Set([...from, ...to].map(keyOf))]
  const chosen = keys.filter((_, i) => ((bits >> (i % 24)) & 1) === 1)
  return new Map(chosen.map((key) => [key, after.get(key)]))
}

function applied<T>(
  list: readonly T[],
  changes: Changed<T>,
  keyOf: (one: T) => string,
): readonly T[] {
  const all = new Map(list.map((one) => [keyOf(one), one]))
  for (const [key, one] of changes) {
    if (one === undefined) all.delete(key)
    else all.set(key, one)
  }
  return [...all.values()]
}

const offerKey = (offer: SnapshotInput['offers'][number]): string =>
  `${offer.relationship} ${serviceKey(offer)}`

/** The mesh after a step, and the same step as changes. */
function take(input: SnapshotInput, { towards, bits, peers, whole }: Step) {
  const services = changesOf({ from: input.services, to: towards.services, bits }, serviceKey)
  const offers = changesOf({ from: input.offers, to: towards.offers, bits }, offerKey)
  const rules = changesOf({ from: input.rules, to: towards.rules, bits }, ({ id }) => id)
  const revisions = { ...input.revisions, rule: input.revisions.rule + 1n }
  const after: SnapshotInput = {
    ...input,
    revisions,
    services: applied(input.services, services, serviceKey),
    offers: applied(input.offers, offers, offerKey),
    rules: applied(input.rules, rules, ({ id }) => id),
    ...(peers && { relationships: towards.relationships, groups: towards.groups }),
  }
  const changes: SnapshotChanges = {
    revisions,
    services,
    offers: whole ? after.offers : byPeer(offers),
    rules: whole ? after.rules : rules,
    ...(peers && { peers: towards }),
  }
  return { after, changes }
}

function byPeer<T>(offers: Changed<T>): Map<string, Map<string, T | undefined>> {
  const groups = Map.groupBy(offers, ([key]) => key.split(' ')[0] ?? '')
  return new Map(
    [...groups].map(([peer, all]) => [
      peer,
      new Map(all.map(([key, one]) => [key.split(' ')[1] ?? '', one])),
    ]),
  )
}

/** Everything that a snapshot holds, whatever lies in which layer and in which order it came. */
function contentsOf(snapshot: Snapshot) {
  const { services, offers, rules, ...rest } = snapshot
  return {
    ...rest,
    services: new Map(services),
    sizes: [services.size, rules.byId.size],
    offers: new Map([...offers].map(([peer, all]) => [peer, new Map(all)])),
    rules: { ...rules, byId: new Map(rules.byId), byDirection: shapeOf(rules.byDirection) },
  }
}

function shapeOf({ export: ours, import: theirs }: RuleIndex['byDirection']) {
  const subjects = ({ services, identities }: (typeof ours)['all']) => ({
    services: deep(plain(services), (names: PatternMap<Bucket>) => plain(names)),
    identities: plain(identities),
  })
  return [ours, theirs].map(({ all, self, peers, groups }) => ({
    all: subjects(all),
    self: subjects(self),
    peers: new Map([...peers].map(([name, one]) => [name, subjects(one)])),
    groups: new Map([...groups].map(([name, one]) => [name, subjects(one)])),
  }))
}

function plain<T>(map: PatternMap<T>) {
  return { ...map, lengths: map.lengths.toSorted((a, b) => a - b) }
}

function deep<T, R>(map: PatternMap<T>, read: (entry: T) => R) {
  const each = (side: Map<string, T>) =>
    new Map([...side].map(([key, entry]) => [key, read(entry)] as const))
  return { exact: each(map.exact), beginnings: each(map.beginnings), lengths: map.lengths }
}

t.test('changes one after the other leave what building from scratch gives', async (t) => {
  seeded(
    t,
    fc.property(
      mesh,
      fc.array(step, { minLength: 1, maxLength: 6 }),
      query,
      (first, steps, asked) => {
        let input = first
        let snapshot = buildSnapshot(input)
        for (const one of steps) {
          const { after, changes } = take(input, one)
          snapshot = nextSnapshot(snapshot, changes)
          input = after
          const scratch = buildSnapshot(input)
          deepEqual(contentsOf(snapshot), contentsOf(scratch))
          deepEqual(evaluate(snapshot, asked), evaluate(scratch, asked))
        }
      },
    ),
    300,
  )
})

t.test('a snapshot is not touched by what is built from it', async (t) => {
  seeded(
    t,
    fc.property(mesh, step, step, (first, one, other) => {
      const snapshot = buildSnapshot(first)
      nextSnapshot(snapshot, take(first, one).changes)
      nextSnapshot(snapshot, take(first, other).changes)
      deepEqual(contentsOf(snapshot), contentsOf(buildSnapshot(first)))
    }),
    200,
  )
})

t.test('without a change nothing is made anew', async (t) => {
  const [input] = fc.sample(mesh, { numRuns: 1, seed: 1 })
  if (input === undefined) throw new Error('no mesh')
  const snapshot = buildSnapshot(input)
  const revisions = { ...input.revisions, mesh: 7n }
  const none = new Map<string, undefined>()
  const next = nextSnapshot(snapshot, {
    revisions,
    services: none,
    offers: new Map<string, Changed<never>>(),
    rules: none,
  })
  t.equal(next.services, snapshot.services)
  t.equal(next.offers, snapshot.offers)
  t.equal(next.rules, snapshot.rules)
  t.equal(next.relationships, snapshot.relationships)
  t.equal(next.revision, sumOf(revisions))
})
