import { deepEqual } from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { type Answer, type Query } from '../../../src/policy/decision/answer.ts'
import { evaluate } from '../../../src/policy/decision/evaluate.ts'
import { smallestChange } from '../../../src/policy/decision/remedy.ts'
import { type Rule } from '../../../src/policy/rule/rule.ts'
import { nextSnapshot } from '../../../src/policy/snapshot/next-snapshot.ts'
import {
  buildSnapshot,
  type SnapshotInput,
  type SnapshotService,
} from '../../../src/policy/snapshot/snapshot.ts'
import { seeded } from '../../support/seeded.ts'
import {
  allowDraft,
  anyDraft,
  CLUSTERS,
  denyDraft,
  EARLY,
  mesh,
  query,
  ruleOf,
} from '../arbitrary-mesh.ts'
import { linearDecision } from './linear-decision.ts'

function ask(input: SnapshotInput, asked: Query): Answer {
  return evaluate(buildSnapshot(input), asked)
}

function withRules(input: SnapshotInput, rules: readonly Rule[]): SnapshotInput {
  return { ...input, rules }
}

t.test('the indexed decision equals a linear one, cited rules and names included', async (t) => {
  const seen = { allowed: 0, identities: 0, renamed: 0 }
  seeded(
    t,
    fc.property(mesh, query, (input, asked) => {
      const { decision, steps, exportedName, hostname } = ask(input, asked)
      const cited = steps.flatMap(({ ruleId }) => (ruleId === undefined ? [] : [ruleId]))
      deepEqual({ decision, cited, exportedName, hostname }, linearDecision(input, asked))
      const { namespace, name } = asked.subject
      if (decision === 'allow') seen.allowed += 1
      if (steps.some((one) => one.step === 'identity' && one.ruleId !== undefined))
        seen.identities += 1
      if (exportedName !== undefined && exportedName !== `${namespace}/${name}`) seen.renamed += 1
    }),
    6000,
  )
  for (const [what, times] of Object.entries(seen)) t.ok(times > 50, `${what}: ${times} times`)
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

const EVERYTHING = { namespace: '*', name: '*' }
const EVERYBODY = { identity: '*' }
const toAll = { kind: 'all' } as const

/** What lies over everything of one half, by the name under which it is told. */
const OVER_ALL = {
  exports: { direction: 'export', subject: EVERYTHING, audience: toAll },
  imports: { direction: 'import', subject: EVERYTHING, audience: toAll },
  within: { direction: 'export', subject: EVERYTHING, audience: { kind: 'self' } },
  'identities shown': { direction: 'export', subject: EVERYBODY, audience: toAll },
  'identities met': { direction: 'import', subject: EVERYBODY, audience: toAll },
} as const

/** Which of {@link OVER_ALL} an allowed question depends on. */
function halvesOf({ of, caller }: Query, { undecided }: Answer): string[] {
  if (undecided.length === 0) return ['within']
  const [services, identities] =
    of === undefined ? ['exports', 'identities met'] : ['imports', 'identities shown']
  return caller === undefined ? [services] : [services, identities]
}

t.test(
  'one deny over a half suffices, whatever is allowed, and has no say in others',
  async (t) => {
    const seen = new Map<string, number>()
    const allows = Object.entries(OVER_ALL)
      .filter(([name]) => name !== 'identities met')
      .map(([name, part]) => ruleOf({ ...part, effect: 'allow' }, `allow ${name}`))
    seeded(
      t,
      fc.property(mesh, query, (input, asked) => {
        const rules = [...input.rules.filter(({ effect }) => effect === 'allow'), ...allows]
        const before = ask(withRules(input, rules), asked)
        if (before.decision === 'deny') return
        const denying = Object.entries(OVER_ALL).flatMap(([name, part]) => {
          const deny = ruleOf({ ...part, effect: 'deny' }, name)
          return ask(withRules(input, [...rules, deny]), asked).decision === 'deny' ? [name] : []
        })
        deepEqual(denying.toSorted(), halvesOf(asked, before).toSorted())
        for (const name of denying) seen.set(name, (seen.get(name) ?? 0) + 1)
      }),
    )
    for (const name of Object.keys(OVER_ALL))
      t.ok((seen.get(name) ?? 0) > 10, `${name}: ${seen.get(name)} times`)
  },
)

t.test('a deleted rule has no say in the next snapshot, and all others keep theirs', async (t) => {
  let mattered = 0
  seeded(
    t,
    fc.property(mesh, query, anyDraft, (input, asked, draft) => {
      const more = withRules(input, [...input.rules, ruleOf(draft, 'more')])
      const before = buildSnapshot(more)
      const after = nextSnapshot(before, {
        revisions: { ...input.revisions, rule: input.revisions.rule + 1n },
        services: new Map<string, undefined>(),
        offers: new Map<string, Map<string, undefined>>(),
        rules: new Map([['more', undefined]]),
      })
      const answer = evaluate(after, asked)
      deepEqual(answer, ask(input, asked))
      if (!isDeepStrictEqual(answer, evaluate(before, asked))) mattered += 1
    }),
    2000,
  )
  t.ok(mattered > 50, `the rule that was deleted had a say (${mattered} times)`)
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
