import { readFileSync } from 'node:fs'
import t from 'tap'
import { type MeshId } from '../../../src/db/ids.ts'
import { type RelationshipState } from '../../../src/db/schema.ts'
import { type Query } from '../../../src/policy/decision/answer.ts'
import { evaluate } from '../../../src/policy/decision/evaluate.ts'
import { smallestChange } from '../../../src/policy/decision/remedy.ts'
import { type AudienceDraft, type Rule, type RuleDraft } from '../../../src/policy/rule/rule.ts'
import { buildSnapshot, type Snapshot } from '../../../src/policy/snapshot/snapshot.ts'
import { parseSpiffeId } from '../../../src/spiffe/spiffe-id.ts'
import { parseTrustDomain } from '../../../src/spiffe/trust-domain.ts'
import { ruleOf } from '../arbitrary-mesh.ts'
import { AT, smallMesh } from '../coverage/small-mesh.ts'

interface Case {
  readonly title: string
  readonly rules: readonly string[]
  readonly invalid?: true
  readonly ask: { service: string; of?: string; to?: string; caller?: string; at?: string }
  readonly chain: readonly string[]
  readonly changes?: readonly string[]
  readonly hostname?: string
}

interface Vectors {
  readonly mesh: {
    readonly services: readonly string[]
    readonly relationships: Readonly<Record<string, RelationshipState>>
    readonly offers: Readonly<Record<string, readonly string[]>>
  }
  readonly cases: readonly Case[]
  readonly cited: readonly { title: string; rules: readonly string[]; first: number }[]
}

const vectors = JSON.parse(
  readFileSync(new URL('../../vectors/rule-decisions.json', import.meta.url), 'utf8'),
) as Vectors

const RULE =
  /^(export|import) (allow|deny) (?:identity (\S+)|(\S+)\/(\S+)) (?:to|from) (\S+)(?: callers (\S+))?(?: until (\S+))?(?: ! (\d+))?$/

function readLine(line: string, index: number): Rule {
  const [
    ,
    direction,
    effect,
    identity,
    namespace = '',
    name = '',
    whom = '',
    caller,
    until,
    priority,
  ] = RULE.exec(line) ?? []
  return ruleOf(
    {
      direction: direction as 'export' | 'import',
      effect: effect as 'allow' | 'deny',
      subject: identity === undefined ? { namespace, name } : { identity },
      audience: readAudience(whom, caller),
      ...(priority !== undefined && { priority: Number(priority) }),
      ...(until !== undefined && { expiresAt: new Date(until) }),
    },
    `rule-${index}`,
    new Date(index),
  )
}

function readAudience(whom: string, caller: string | undefined): AudienceDraft {
  const sort = caller?.startsWith('/') === true ? 'paths' : 'namespaces'
  const callers = caller !== undefined && { callers: { [sort]: [caller] } }
  if (whom === 'all' || whom === 'self') return { kind: whom, ...callers }
  return { kind: 'peers', relationships: [whom], ...callers }
}

function nameOf(service: string): { namespace: string; name: string } {
  const [namespace = '', name = ''] = service.split('/')
  return { namespace, name }
}

function meshWith(rules: readonly string[]): Snapshot {
  const { services, relationships, offers } = vectors.mesh
  return buildSnapshot({
    meshId: 'acme' as MeshId,
    revisions: { mesh: 1n, relationship: 1n, rule: 1n },
    dnsSuffix: 'mesh.internal',
    trustDomains: [parseTrustDomain('acme.example')],
    services: services.map((service) => ({
      ...nameOf(service),
      ports: [],
      labels: {},
      serverIds: [],
      createdAt: AT,
    })),
    relationships: Object.entries(relationships).map(([name, state]) => ({
      id: name,
      name,
      state,
      trustDomains: [parseTrustDomain(`${name}.example`)],
      waitingFor: state === 'pending' ? ['a first bundle'] : [],
    })),
    offers: Object.entries(offers).flatMap(([relationship, names]) =>
      names.map((one) => ({
        ...nameOf(one),
        relationship,
        source: 'manual' as const,
        ports: [],
        labels: {},
        gateways: [],
        serverIds: [],
        createdAt: AT,
      })),
    ),
    groups: [],
    rules: rules.map(readLine),
  })
}

function questionOf({ service, of, to, caller, at = '2026-02-01T00:00:00Z' }: Case['ask']): Query {
  const id = caller === undefined ? undefined : parseSpiffeId(caller)
  return { subject: nameOf(service), of, to, caller: id, at: new Date(at) }
}

t.test('decisions, chains and smallest changes are those of the table', async (t) => {
  for (const one of vectors.cases) {
    if (one.invalid === true) {
      t.throws(() => meshWith(one.rules), { code: 'RULE_INVALID' }, one.title)
      continue
    }
    const snapshot = meshWith(one.rules)
    const answer = evaluate(snapshot, questionOf(one.ask))
    t.same(
      answer.steps.map((step) => `${step.step} ${step.outcome}`),
      one.chain,
      one.title,
    )
    const denied = one.chain.some((step) => step.endsWith('deny'))
    t.equal(answer.decision, denied ? 'deny' : 'allow', one.title)
    if (one.hostname !== undefined) t.equal(answer.hostname, one.hostname)
    const changes = smallestChange(snapshot, questionOf(one.ask)).map((change) => change.command)
    if (one.changes !== undefined) t.same(changes, one.changes, `${one.title}: smallest change`)
    else if (!denied) t.same(changes, [])
  }
})

t.test('an answer cites the first applicable allow of the total order', async (t) => {
  for (const { title, rules, first } of vectors.cited) {
    const ask = { service: 'shop/cart', caller: 'spiffe://globex.example/web' }
    const { steps } = evaluate(meshWith(rules), questionOf(ask))
    t.equal(steps.find((step) => step.step === 'exportRule')?.ruleId, `rule-${first}`, title)
  }
})

t.test('reasons are sentences that name the rule, the peer and who decides', async (t) => {
  const { steps } = evaluate(
    meshWith(['export deny shop/* to all', 'export allow shop/cart to initech']),
    questionOf({ service: 'shop/cart', caller: 'spiffe://initech.example/web' }),
  )
  t.same(
    steps.map((step) => step.reason),
    [
      'relationship initech is pending, waiting for a first bundle',
      'shop/cart is a service of acme',
      'decided by initech',
      'rule rule-0 (export deny shop/* to all) denies it, whatever rule rule-1 allows',
      'decided by initech',
      "caller's trust domain initech.example belongs to initech",
    ],
  )
})

function inEast(effect: 'allow' | 'deny') {
  const subject = { namespace: 'shop', name: 'cart' }
  return {
    direction: 'export',
    effect,
    subject,
    audience: { kind: 'self' },
    clusters: ['east'],
  } as const
}

function askOfCart(rules: readonly RuleDraft[], more: Partial<Query> = {}): string {
  const mesh = smallMesh({ services: ['shop/cart'], rules })
  const subject = { namespace: 'shop', name: 'cart' }
  const caller = parseSpiffeId('spiffe://acme.example/web')
  const { decision, steps } = evaluate(mesh, { subject, caller, at: AT, ...more })
  const { reason = '' } = steps.find(({ step }) => step === 'exportRule') ?? {}
  return `${decision}: ${reason.replaceAll(/rule \S+ /g, 'rule X ')}`
}

t.test('a call that names no cluster is told which rule would need one', async (t) => {
  const allow = [inEast('allow')]
  t.equal(
    askOfCart(allow),
    'deny: only rule X (export allow shop/cart to self in clusters east) allows shop/cart to self for caller /web, and no cluster is named',
  )
  t.match(askOfCart(allow, { cluster: 'east' }), 'allow: ')
  t.match(askOfCart(allow, { caller: undefined }), 'allow: ')
  const inBoth = { ...inEast('allow'), clusters: ['east', 'west'] }
  const deny = [inBoth, inEast('deny')]
  t.match(
    askOfCart(deny),
    /^deny: rule X .* in clusters east\) denies it, since no cluster is named/,
  )
  t.match(askOfCart(deny, { cluster: 'west' }), 'allow: ')
  t.match(askOfCart(deny, { caller: undefined }), 'allow: ')
})
