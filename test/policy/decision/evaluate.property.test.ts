import { deepEqual } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { type Answer, type Query } from '../../../src/policy/decision/answer.ts'
import { evaluate } from '../../../src/policy/decision/evaluate.ts'
import { smallestChange } from '../../../src/policy/explain/remedy.ts'
import { type Rule } from '../../../src/policy/rule/rule.ts'
import {
  buildSnapshot,
  type SnapshotInput,
  type SnapshotService,
} from '../../../src/policy/snapshot/snapshot.ts'
import { seeded } from '../../support/seeded.ts'
import { allowDraft, CLUSTERS, denyDraft, EARLY, mesh, query, ruleOf } from '../arbitrary-mesh.ts'
import { linearDecision } from './linear-decision.ts'

function ask(input: SnapshotInput, asked: Query): Answer {
  return evaluate(buildSnapshot(input), asked)
}

function withRules(input: SnapshotInput, rules: readonly Rule[]): SnapshotInput {
  return { ...input, rules }
}

t.test('the indexed decision equals a linear one, cited rule included', async (t) => {
  let allowed = 0
  seeded(
    t,
    fc.property(mesh, query, (input, asked) => {
      const answer = ask(input, asked)
      if (answer.decision === 'allow') allowed += 1
      const cited = answer.steps.flatMap(({ step, ruleId }) =>
        step === 'identity' || ruleId === undefined ? [] : [ruleId],
      )
      deepEqual({ decision: answer.decision, cited }, linearDecision(input, asked))
    }),
    2000,
  )
  t.ok(allowed > 50, `the random meshes also allow (${allowed} times)`)
})

t.test('without rules nothing is visible and nothing may be called', async (t) => {
  seeded(
    t,
    fc.property(
      mesh,
      query,
      (input, asked) => ask(withRules(input, []), asked).decision === 'deny',
    ),
  )
})

t.test('adding an allow never takes an allow away', async (t) => {
  seeded(
    t,
    fc.property(mesh, query, allowDraft, (input, asked, draft) => {
      const more = withRules(input, [...input.rules, ruleOf(draft, 'more')])
      return ask(input, asked).decision === 'deny' || ask(more, asked).decision === 'allow'
    }),
  )
})

t.test('adding a deny never makes an allow', async (t) => {
  seeded(
    t,
    fc.property(mesh, query, denyDraft, (input, asked, draft) => {
      const more = withRules(input, [...input.rules, ruleOf(draft, 'more')])
      return ask(input, asked).decision === 'allow' || ask(more, asked).decision === 'deny'
    }),
  )
})

t.test('shuffling rules changes neither a decision nor its reasons', async (t) => {
  const shuffled = mesh.chain((input) =>
    fc.tuple(
      fc.constant(input),
      fc.shuffledSubarray([...input.rules], { minLength: input.rules.length }),
    ),
  )
  seeded(
    t,
    fc.property(shuffled, query, ([input, rules], asked) => {
      deepEqual(ask(withRules(input, rules), asked), ask(input, asked))
    }),
  )
})

t.test('an applicable deny of either half suffices, whatever is allowed', async (t) => {
  seeded(
    t,
    fc.property(mesh, query, (input, asked) => {
      const everything = { namespace: '*', name: '*' }
      const denies = (['export', 'import'] as const).flatMap((direction) => [
        ruleOf(
          { direction, effect: 'deny', subject: everything, audience: { kind: 'all' } },
          `${direction}-all`,
        ),
      ])
      const self = { direction: 'export', effect: 'deny', audience: { kind: 'self' } } as const
      denies.push(ruleOf({ ...self, subject: everything }, 'self'))
      return ask(withRules(input, [...input.rules, ...denies]), asked).decision === 'deny'
    }),
  )
})

t.test('a deleted rule has no say in the next snapshot', async (t) => {
  seeded(
    t,
    fc.property(mesh, query, allowDraft, (input, asked, draft) => {
      const only = withRules(input, [ruleOf(draft, 'only')])
      const deleted = withRules(
        only,
        only.rules.filter((rule) => rule.id !== 'only'),
      )
      return ask(deleted, asked).decision === 'deny'
    }),
  )
})

t.test('nothing that one peer offers is ever offered to another', async (t) => {
  seeded(
    t,
    fc.property(mesh, query, (input, asked) => {
      const nothingOurs = { ...input, services: [] }
      const exported = ask(nothingOurs, { ...asked, of: undefined, to: 'globex' })
      const passedOn = ask(input, { ...asked, of: 'initech', to: 'globex' })
      return exported.decision === 'deny' && passedOn.decision === 'deny'
    }),
  )
})

t.test('what may be called can be seen', async (t) => {
  seeded(
    t,
    fc.property(mesh, query, (input, asked) => {
      const { decision, undecided } = ask(input, asked)
      if (decision === 'deny') return true
      const to = asked.of === undefined ? undecided[0] : undefined
      return ask(input, { ...asked, to, caller: undefined }).decision === 'allow'
    }),
  )
})

t.test('a call that is allowed without a cluster is allowed in every cluster', async (t) => {
  let allowed = 0
  seeded(
    t,
    fc.property(mesh, query, denyDraft, (input, asked, draft) => {
      const open = { ...asked, cluster: undefined }
      const denied = ruleOf({ ...draft, clusters: CLUSTERS.slice(0, 1) }, 'more')
      const more = withRules(input, [...input.rules, denied])
      if (asked.caller === undefined || ask(more, open).decision === 'deny') return true
      allowed += 1
      return CLUSTERS.every((cluster) => ask(more, { ...asked, cluster }).decision === 'allow')
    }),
    2000,
  )
  t.ok(allowed > 20, `calls were allowed (${allowed} times)`)
})

t.test('a half that only the peer knows never turns a deny into an allow', async (t) => {
  seeded(
    t,
    fc.property(mesh, query, (input, asked) => {
      const { decision, steps } = ask(input, asked)
      return (decision === 'deny') === steps.some((step) => step.outcome === 'deny')
    }),
  )
})

t.test('only an active relationship lets anything pass', async (t) => {
  seeded(
    t,
    fc.property(mesh, query, (input, asked) => {
      const relationships = input.relationships.map((one) => ({
        ...one,
        state: 'suspended' as const,
      }))
      const answer = ask({ ...input, relationships }, asked)
      return answer.decision === 'deny' || answer.undecided.length === 0
    }),
  )
})

t.test('the smallest change allows, and no part of it could be left out', async (t) => {
  let changed = 0
  seeded(
    t,
    fc.property(mesh, query, (input, asked) => {
      const changes = smallestChange(buildSnapshot(input), asked)
      if (changes.length === 0 || changes.some((change) => change.act === 'relationship.create'))
        return true
      changed += 1
      const after = (kept: typeof changes) =>
        ask(
          kept.reduce((mesh, one) => apply(mesh, asked, one), input),
          asked,
        )
      const leavingOne = changes.map((left) => after(changes.filter((change) => change !== left)))
      return (
        after(changes).decision === 'allow' &&
        leavingOne.every((answer) => answer.decision === 'deny')
      )
    }),
  )
  t.ok(changed > 125, `changes were proposed and tried (${changed} times)`)
})

t.test('an allowed question proposes no change', async (t) => {
  seeded(
    t,
    fc.property(mesh, query, (input, asked) => {
      const snapshot = buildSnapshot(input)
      return (
        evaluate(snapshot, asked).decision === 'deny' ||
        smallestChange(snapshot, asked).length === 0
      )
    }),
  )
})

t.test('imported names keep relationships, namespaces and services apart', async (t) => {
  seeded(
    t,
    fc.property(mesh, query, query, (input, one, other) => {
      const names = [one, other].map((asked) =>
        ask(input, { ...asked, of: asked.of ?? 'globex', to: undefined, caller: undefined }),
      )
      const [a, b] = names.map((answer) => answer.hostname)
      if (a === undefined || a !== b) return true
      deepEqual([one.of ?? 'globex', one.subject], [other.of ?? 'globex', other.subject])
      return true
    }),
  )
})

function apply(
  input: SnapshotInput,
  asked: Query,
  change: { act: string; command: string; ruleId?: string },
): SnapshotInput {
  switch (change.act) {
    case 'rule.delete':
      return withRules(
        input,
        input.rules.filter((rule) => rule.id !== change.ruleId),
      )
    case 'rule.create':
      return withRules(input, [...input.rules, ruleOfCommand(change.command)])
    case 'service.change':
    case 'service.create':
      return { ...input, services: withSubject(input.services, asked, unheard(asked)) }
    case 'offer.create': {
      const relationship = asked.of ?? ''
      const made = { ...unheard(asked), relationship, gateways: [], source: 'manual' as const }
      const others = input.offers.filter((offer) => offer.relationship !== relationship)
      const theirs = input.offers.filter((offer) => offer.relationship === relationship)
      return { ...input, offers: [...others, ...withSubject(theirs, asked, made)] }
    }
    default:
      return {
        ...input,
        relationships: input.relationships.map((one) => ({ ...one, state: 'active' })),
      }
  }
}

function unheard({ subject }: Query): SnapshotService {
  return { ...subject, ports: [], labels: {}, serverIds: [], createdAt: EARLY }
}

/** The list with what was asked about in it, listening on the port that was asked for. */
function withSubject<T extends SnapshotService>(
  list: readonly T[],
  { subject, port }: Query,
  made: T,
): T[] {
  const isIt = (one: T) => one.namespace === subject.namespace && one.name === subject.name
  const found = list.find(isIt) ?? made
  const ports = port === undefined ? found.ports : [...found.ports, { name: port, port: 1 }]
  return [...list.filter((one) => !isIt(one)), { ...found, ports }]
}

// Reads the printed command as the CLI would, so that the words are proven and not only the data behind them.
function ruleOfCommand(command: string): Rule {
  const [, , direction, ...words] = command.replaceAll("'", '').split(' ')
  const option = (name: string) =>
    words.includes(name) ? words[words.indexOf(name) + 1] : undefined
  const [namespace = '', name = ''] = (words[0] ?? '').split('/')
  const whom = option('--to') ?? option('--from') ?? ''
  const callers = option('--callers')
  const identity = option('--identity')
  const audience =
    whom === 'self' ? { kind: 'self' as const } : { kind: 'peers' as const, relationships: [whom] }
  return ruleOf(
    {
      direction: direction as 'export' | 'import',
      effect: 'allow',
      subject: identity === undefined ? { namespace, name } : { identity },
      audience: { ...audience, ...(callers !== undefined && { callers: { paths: [callers] } }) },
    },
    `added by ${command}`,
  )
}
