import { deepEqual } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { type Query } from '../../../src/policy/decision/answer.ts'
import { type Binding, bound, offered } from '../../../src/policy/binding/bindings.ts'
import { evaluate } from '../../../src/policy/decision/evaluate.ts'
import { requireAuthority } from '../../../src/policy/rule/owned-rule.ts'
import { fits, parsePathPattern } from '../../../src/policy/rule/pattern.ts'
import { buildSnapshot, serviceKey, type Snapshot } from '../../../src/policy/snapshot/snapshot.ts'
import { pathOf } from '../../../src/spiffe/spiffe-id.ts'
import { seeded } from '../../support/seeded.ts'
import { anyDraft, EARLY, mesh, query, ruleOf } from '../arbitrary-mesh.ts'

const PEERS = ['globex', 'initech', 'hooli']

function openAnswers(snapshot: Snapshot, lists: readonly [Binding[], 'to' | 'of'][], peer: string) {
  return lists.flatMap(([bindings, side]) =>
    bindings.map((binding) => ({
      binding,
      answer: evaluate(snapshot, { subject: binding.subject, [side]: peer, at: EARLY }),
    })),
  )
}

t.test('what is listed as shown or imported is what single decisions allow', async (t) => {
  let open = 0
  seeded(
    t,
    fc.property(mesh, fc.constantFrom(...PEERS), (input, peer) => {
      const snapshot = buildSnapshot(input)
      const exported = offered(snapshot, peer, EARLY)
      const imported = bound(snapshot, peer, EARLY)
      for (const { binding, answer } of openAnswers(
        snapshot,
        [
          [exported, 'to'],
          [imported, 'of'],
        ],
        peer,
      )) {
        const isOpen = ['offered', 'imported', 'conflict'].includes(binding.state)
        deepEqual(answer.decision, isOpen ? 'allow' : 'deny')
        deepEqual([answer.exportedName, answer.hostname], [binding.name, binding.hostname])
        if (isOpen) open += 1
      }
      const listed = new Set(exported.map(({ subject }) => serviceKey(subject)))
      const missing = input.services.filter((service) => !listed.has(serviceKey(service)))
      return missing.every(
        (subject) => evaluate(snapshot, { subject, to: peer, at: EARLY }).decision === 'deny',
      )
    }),
  )
  t.ok(open > 100, `${open} were open`)
})

t.test('no name has two owners, and who goes without it is told who has it', async (t) => {
  let conflicts = 0
  seeded(
    t,
    fc.property(mesh, fc.constantFrom(...PEERS), (input, peer) => {
      const snapshot = buildSnapshot(input)
      return [offered(snapshot, peer, EARLY), bound(snapshot, peer, EARLY)].every((bindings) => {
        const owners = bindings.filter(({ state }) => state === 'offered' || state === 'imported')
        const lost = bindings.filter(({ state }) => state === 'conflict')
        conflicts += lost.length
        const owner = new Map(owners.map(({ name, subject }) => [name, serviceKey(subject)]))
        return (
          owner.size === owners.length &&
          lost.every(
            ({ name, conflictsWith: keeper }) =>
              keeper !== undefined && owner.get(name) === serviceKey(keeper.subject),
          )
        )
      })
    }),
    3000,
  )
  t.ok(conflicts > 10, `${conflicts} conflicts were met`)
})

t.test('a call that is allowed is within the terms that are listed', async (t) => {
  let calls = 0
  seeded(
    t,
    fc.property(mesh, query, (input, asked) => {
      const snapshot = buildSnapshot(input)
      const answer = evaluate(snapshot, asked)
      const [peer] = answer.undecided
      if (answer.decision === 'deny' || peer === undefined) return true
      const list = asked.of === undefined ? offered : bound
      const found = list(snapshot, peer, asked.at).find(
        ({ subject }) => serviceKey(subject) === serviceKey(asked.subject),
      )
      calls += 1
      const { caller, port } = asked
      return (
        found !== undefined &&
        (port === undefined || found.ports.some(({ name }) => name === port)) &&
        (caller === undefined ||
          found.callers.some((text) => fits(parsePathPattern(text), pathOf(caller))))
      )
    }),
    5000,
  )
  t.ok(calls > 40, `${calls} questions were allowed`)
})

t.test('a question that leaves more open is never denied more', async (t) => {
  seeded(
    t,
    fc.property(mesh, query, (input, asked) => {
      const snapshot = buildSnapshot(input)
      const { decision, undecided } = evaluate(snapshot, asked)
      if (decision === 'deny') return true
      const to = asked.of === undefined ? undecided[0] : undefined
      return (['caller', 'port', 'cluster', 'namespace'] as const).every((part) => {
        const wider: Query = { ...asked, to, [part]: undefined }
        const isNeverOpen = part === 'namespace' || part === 'cluster'
        const isOther = isNeverOpen && asked.caller !== undefined
        return isOther || evaluate(snapshot, wider).decision === 'allow'
      })
    }),
    2000,
  )
})

t.test('whoever may speak for a namespace changes nothing outside of it', async (t) => {
  let allowed = 0
  seeded(
    t,
    fc.property(mesh, query, anyDraft, (input, asked, draft) => {
      try {
        requireAuthority(draft, ['shop'])
      } catch {
        return true
      }
      allowed += 1
      const isTheirs = asked.of === undefined && asked.subject.namespace === 'shop'
      const path = asked.caller === undefined ? '' : pathOf(asked.caller)
      const consumer = asked.namespace ?? (path.startsWith('/ns/shop/') ? 'shop' : 'other')
      const isForThem = asked.of !== undefined && consumer === 'shop'
      if (isTheirs || isForThem || path.startsWith('/ns/shop/')) return true
      if (asked.of !== undefined && asked.namespace === undefined && path === '') return true
      const more = { ...input, rules: [...input.rules, ruleOf(draft, 'theirs')] }
      const [before, after] = [input, more].map((one) => evaluate(buildSnapshot(one), asked))
      deepEqual(after?.decision, before?.decision)
      deepEqual(after?.exportedName, before?.exportedName)
      return true
    }),
    3000,
  )
  t.ok(allowed > 100, `${allowed} rules were theirs to make`)
})
