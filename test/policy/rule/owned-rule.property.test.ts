import { deepEqual } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { isServiceError } from '../../../src/errors.ts'
import { type Answer, type Query } from '../../../src/policy/decision/answer.ts'
import { evaluate } from '../../../src/policy/decision/evaluate.ts'
import { ownersOf } from '../../../src/policy/rule/owned-rule.ts'
import { isIdentityDraft, type RuleDraft } from '../../../src/policy/rule/rule.ts'
import { buildSnapshot } from '../../../src/policy/snapshot/snapshot.ts'
import { pathOf } from '../../../src/spiffe/spiffe-id.ts'
import { seeded } from '../../support/seeded.ts'
import { anyDraft, mesh, query, ruleOf } from '../arbitrary-mesh.ts'

const ownScope = fc.subarray(['shop', 'pay', 'market'], { minLength: 1, maxLength: 2 })

/** Any rule, with places in it that a namespace's author would name, or would like to. */
const aimedDraft = fc
  .record({
    draft: anyDraft,
    namespace: fc.constantFrom('shop', 'pay', 'shopfront', 'shop*', '*'),
    identity: fc.constantFrom('/ns/shop/*', '/ns/pay/sa/api', '/ns/shop*', '/ns/*', '/ns/pay', '*'),
    visibleTo: fc.subarray(['shop', 'pay', 'shop*'], { minLength: 1 }),
    as: fc.constantFrom(undefined, { namespace: 'shop' }, { namespace: 'pay' }, { name: 'x' }),
    isAimed: fc.boolean(),
  })
  .map(({ draft, namespace, identity, visibleTo, as, isAimed }): RuleDraft => {
    if (!isAimed) return draft
    const { as: _as, ...rest } = draft
    if (isIdentityDraft(rest.subject)) return { ...rest, subject: { identity } }
    if (rest.direction === 'import') return { ...rest, visibleTo }
    const named = { ...rest, subject: { ...rest.subject, namespace } }
    return as === undefined || rest.effect === 'deny' ? named : { ...named, as }
  })

/** The rule that an author of these namespaces makes of a draft; undefined when it is refused. */
function accepted(draft: RuleDraft, scope: readonly string[]): RuleDraft | undefined {
  try {
    return { ...draft, ...ownersOf(draft, scope) }
  } catch (error) {
    if (isServiceError(error)) return undefined
    throw error
  }
}

/** Whether a question is about nothing of these namespaces: neither the service nor who asks lies in them. */
function isOutside({ of, subject, namespace, caller }: Query, scope: readonly string[]): boolean {
  if (of === undefined) return !scope.includes(subject.namespace)
  // Without a caller and a namespace the question is whether anybody sees it, also in these namespaces.
  if (caller === undefined && namespace === undefined) return false
  const [, root, own] = caller === undefined ? [] : pathOf(caller).split('/')
  const places = [namespace, root === 'ns' ? own : undefined]
  return !places.some((place) => place !== undefined && scope.includes(place))
}

/** What anybody could notice of an answer. */
function noticed({ decision, exportedName, hostname, serverIds }: Answer): object {
  return { decision, exportedName, hostname, serverIds }
}

t.test('an author of namespaces changes no decision about a subject outside them', async (t) => {
  let taken = 0
  let effective = 0
  seeded(
    t,
    fc.property(mesh, query, aimedDraft, ownScope, (input, asked, draft, scope) => {
      const mine = accepted(draft, scope)
      if (mine === undefined) return
      taken += 1
      const rules = [...input.rules, ruleOf(mine, 'mine')]
      const before = noticed(evaluate(buildSnapshot(input), asked))
      const after = noticed(evaluate(buildSnapshot({ ...input, rules }), asked))
      if (isOutside(asked, scope)) deepEqual(after, before)
      else if (JSON.stringify(after) !== JSON.stringify(before)) effective += 1
    }),
    20000,
  )
  t.ok(taken > 300, `${taken} drafts were accepted`)
  t.ok(effective > 10, `${effective} of them changed something of their own`)
})

t.test('whoever has the whole mesh is not held back', async (t) => {
  seeded(
    t,
    fc.property(aimedDraft, (draft) => {
      deepEqual(ownersOf(draft, undefined), {})
    }),
  )
})

t.test('who imports for the whole mesh is told how to import for a namespace', async (t) => {
  const audience = { kind: 'all' } as const
  const subject = { namespace: 'market', name: 'quotes' }
  const draft: RuleDraft = { direction: 'import', effect: 'allow', subject, audience }
  const next = /which of your namespaces see it: --visible-to/
  t.throws(() => ownersOf(draft, ['shop']), { code: 'FORBIDDEN', next })
  const renamed = { ...draft, visibleTo: ['shop'], as: { name: 'prices' } }
  t.throws(() => ownersOf(renamed, ['shop']), { code: 'FORBIDDEN', next: /leave --as out/ })
  t.same(ownersOf({ ...draft, visibleTo: ['shop'] }, ['shop']), { ownerScope: ['shop'] })
})
