import fc from 'fast-check'
import { type MeshId } from '../../src/db/ids.ts'
import { type RelationshipState } from '../../src/db/schema.ts'
import { type PeerGroupMember } from '../../src/federation/group/peer-group.ts'
import { type Query } from '../../src/policy/decision/answer.ts'
import { LABEL_OPERATORS, type LabelSelector } from '../../src/policy/rule/label-selector.ts'
import { readRule, type Rule, type RuleDraft } from '../../src/policy/rule/rule.ts'
import { type SnapshotInput } from '../../src/policy/snapshot/snapshot.ts'
import { parseSpiffeId, type SpiffeId } from '../../src/spiffe/spiffe-id.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'

/** A moment before any rule of {@link rules} ends, and one after the early ones did. */
export const EARLY = new Date('2026-01-01T00:00:00Z')
/** See {@link EARLY}. */
export const LATE = new Date('2026-06-01T00:00:00Z')

const NAMESPACES = ['shop', 'shopfront', 'pay']
const NAMES = ['cart', 'cart-v2', 'ledger']
const PEERS = ['globex', 'initech', 'hooli']
const GROUPS = ['friends', 'house']
/** Clusters of acme that rules and questions name. */
export const CLUSTERS = ['east', 'west']
const PORTS = ['http', 'admin']
const PATHS = ['/web', '/ns/shop/sa/cart', '/ns/pay/sa/api', '/ns/pay', '']

/** The rule of a draft, for tests. */
export function ruleOf(draft: RuleDraft, id: string, createdAt: Date = EARLY): Rule {
  return { ...readRule(draft), id, createdAt }
}

const ALLOW_MORE_OFTEN = ['allow', 'allow', 'allow', 'allow', 'deny'] as const

/** Mostly nothing, else one of these. */
function seldom<T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary })
}

const namespacePattern = fc.constantFrom('*', 'shop', 'shop*', 'pay', 'p*')
const namePattern = fc.constantFrom('*', 'cart', 'cart*', 'cart-*', 'ledger')
const pathPattern = fc.constantFrom('*', '/web', '/ns/pay/*', '/ns/shop/sa/cart', '/ns/*')
const callers = fc.oneof(
  { weight: 2, arbitrary: fc.constant(undefined) },
  {
    weight: 1,
    arbitrary: fc.record({
      namespaces: fc.subarray(['shop', 'pa*', '*']),
      paths: fc.subarray(['/web', '/ns/pay/*', '/ns/shop/sa/cart', '*'], { minLength: 1 }),
    }),
  },
)
const requirement = fc.record({
  key: fc.constantFrom('tier', 'constructor'),
  operator: fc.constantFrom(...LABEL_OPERATORS),
})
const selector: fc.Arbitrary<LabelSelector> = fc.oneof(
  fc.constant({ matchLabels: { tier: 'front' } }),
  fc.record({
    matchLabels: fc.constantFrom({}, { tier: 'back' }),
    matchExpressions: fc.array(
      requirement.map(({ key, operator }) => ({
        key,
        operator,
        ...(operator.endsWith('In') && { values: ['front', 'x'] }),
      })),
      { minLength: 1, maxLength: 2 },
    ),
  }),
)

const exportAudience = fc.oneof(
  fc.constant({ kind: 'all' as const }),
  fc.constant({ kind: 'self' as const }),
  fc.record({
    kind: fc.constant('peers' as const),
    relationships: fc.subarray(PEERS, { minLength: 1 }),
    groups: fc.subarray(GROUPS),
  }),
  fc.record({ kind: fc.constant('peers' as const), groups: fc.subarray(GROUPS, { minLength: 1 }) }),
)
const peerAudience = exportAudience.filter((one) => one.kind !== 'self')
const ENDS = fc.constantFrom(undefined, undefined, new Date('2026-03-01T00:00:00Z'))

const shared = {
  priority: fc.integer({ min: -1, max: 1 }),
  expiresAt: ENDS,
  clusters: seldom(fc.subarray(CLUSTERS, { minLength: 1 })),
}

function serviceDraft(
  direction: 'export' | 'import',
  effect?: 'allow' | 'deny',
): fc.Arbitrary<RuleDraft> {
  return fc
    .record({
      ...shared,
      effect: effect === undefined ? fc.constantFrom(...ALLOW_MORE_OFTEN) : fc.constant(effect),
      namespace: namespacePattern,
      name: namePattern,
      labels: seldom(selector),
      ports: seldom(fc.subarray(PORTS, { minLength: 1 })),
      audience: direction === 'export' ? exportAudience : peerAudience,
      callers,
      visibleTo: seldom(fc.subarray(['shop', 'p*'], { minLength: 1 })),
      as: seldom(
        fc.constantFrom({ namespace: 'market' }, { name: 'x' }, { namespace: 'a', name: 'b' }),
      ),
    })
    .map(({ effect: one, namespace, name, labels, ports, audience, callers: who, ...draft }) =>
      withoutUndefined({
        direction,
        effect: one,
        subject: withoutUndefined({ namespace, name, labels, ports }),
        audience: withoutUndefined({ ...audience, callers: who }),
        priority: draft.priority,
        expiresAt: draft.expiresAt,
        clusters: draft.clusters,
        visibleTo: direction === 'import' ? draft.visibleTo : undefined,
        as:
          one === 'allow' && (draft.as?.name === undefined || !name.endsWith('*'))
            ? draft.as
            : undefined,
      }),
    )
}

function identityDraft(
  direction: 'export' | 'import',
  effect?: 'allow' | 'deny',
): fc.Arbitrary<RuleDraft> {
  return fc
    .record({
      ...shared,
      effect: effect === undefined ? fc.constantFrom(...ALLOW_MORE_OFTEN) : fc.constant(effect),
      identity: pathPattern,
      audience: peerAudience,
    })
    .map(({ effect: one, identity, ...draft }) =>
      withoutUndefined({
        ...draft,
        direction,
        effect: direction === 'import' ? ('deny' as const) : one,
        subject: { identity },
      }),
    )
}

function withoutUndefined<T extends object>(
  value: T,
): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(value).filter(([, one]) => one !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> }
}

/** A rule of either direction about services or, one in four, about identities. */
function draft(effect?: 'allow' | 'deny'): fc.Arbitrary<RuleDraft> {
  return fc.oneof(
    { weight: 3, arbitrary: serviceDraft('export', effect) },
    { weight: 3, arbitrary: serviceDraft('import', effect) },
    { weight: 2, arbitrary: identityDraft('export', effect) },
    ...(effect === 'allow' ? [] : [{ weight: 1, arbitrary: identityDraft('import', effect) }]),
  )
}

/** One rule of either direction. */
export const anyDraft = draft()
/** One rule that allows. */
export const allowDraft = draft('allow')
/** One rule that denies. */
export const denyDraft = draft('deny')

/** Up to a dozen rules with ids and ages of their own. */
export const rules: fc.Arbitrary<Rule[]> = fc
  .array(fc.tuple(anyDraft, fc.integer({ min: 0, max: 3 })), { maxLength: 24 })
  .map((all) =>
    all.map(([one, age], i) => ruleOf(one, `rule-${i}`, new Date(EARLY.getTime() - age))),
  )

const state = fc.constantFrom<RelationshipState>(
  'active',
  'active',
  'active',
  'pending',
  'suspended',
  'terminated',
)
const subjects = NAMESPACES.flatMap((namespace) => NAMES.map((name) => ({ namespace, name })))
const subject = fc.constantFrom(...subjects)

const labels = fc.constantFrom({}, {}, { tier: 'front' }, { tier: 'back', constructor: 'x' })
const members = fc.subarray<PeerGroupMember>([
  ...PEERS.map((name) => ({ kind: 'relationship' as const, name })),
  { kind: 'self' },
])
const ports = PORTS.map((name, i) => ({ name, port: 80 + i }))

/** A mesh with some of the services, offers and relationships that queries ask for. */
export const mesh: fc.Arbitrary<SnapshotInput> = fc
  .record({
    services: fc.subarray(subjects, { minLength: 6 }),
    labels: fc.array(labels, { minLength: 9, maxLength: 9 }),
    groups: fc.tuple(members, members),
    offers: fc.uniqueArray(fc.tuple(fc.constantFrom(...PEERS), subject), {
      selector: ([peer, { namespace, name }]) => `${peer} ${namespace}/${name}`,
      minLength: 12,
      maxLength: 24,
    }),
    states: fc.tuple(state, state, state),
    rules,
    ages: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 9, maxLength: 9 }),
  })
  .map((one) => ({
    meshId: 'acme' as MeshId,
    revisions: { mesh: 1n, relationship: 1n, rule: 1n },
    dnsSuffix: 'mesh.internal',
    trustDomains: [parseTrustDomain('acme.example')],
    services: one.services.map((name, i) => ({
      ...name,
      ports,
      labels: one.labels[i] ?? {},
      serverIds: [],
      createdAt: new Date(EARLY.getTime() - (one.ages[i] ?? 0)),
    })),
    relationships: PEERS.map((name, i) => ({
      id: name,
      name,
      state: one.states[i] ?? 'active',
      trustDomains: [parseTrustDomain(`${name}.example`)],
      waitingFor: one.states[i] === 'pending' ? ['a first bundle'] : [],
    })),
    groups: GROUPS.map((name, i) => ({ name, members: one.groups[i] ?? [] })),
    offers: one.offers.map(([relationship, name], i) => ({
      ...name,
      relationship,
      source: 'manual',
      ports,
      labels: one.labels[i % 9] ?? {},
      gateways: [],
      serverIds: [],
      createdAt: new Date(EARLY.getTime() - (one.ages[i % 9] ?? 0)),
    })),
    rules: one.rules,
  }))

const path = fc.constantFrom(...PATHS)
const peer = fc.constantFrom(...PEERS)
const at = fc.constantFrom(EARLY, LATE)

function callerIn(domain: string): fc.Arbitrary<SpiffeId | undefined> {
  return fc.option(
    path.map((one) => parseSpiffeId(`spiffe://${domain}.example${one}`)),
    { nil: undefined },
  )
}

const narrowed = {
  port: seldom(fc.constantFrom(...PORTS, 'none')),
  cluster: seldom(fc.constantFrom(...CLUSTERS)),
  namespace: seldom(fc.constantFrom('shop', 'pay', 'web')),
  at,
}
const within = fc.record({ ...narrowed, subject, caller: callerIn('acme') })
const exported = peer.chain((to) =>
  fc.record({ ...narrowed, subject, to: fc.constant(to), caller: callerIn(to) }),
)
const imported = fc.record({ ...narrowed, subject, of: peer, caller: callerIn('acme') })
const anything = fc.constantFrom('acme', 'globex', 'stranger').chain((domain) =>
  fc.record({
    ...narrowed,
    subject,
    of: fc.constantFrom(undefined, ...PEERS, 'nobody'),
    to: fc.constantFrom(undefined, ...PEERS, 'nobody'),
    caller: callerIn(domain),
  }),
)

/** A question that the mesh may be asked; one in four makes no sense. */
export const query: fc.Arbitrary<Query> = fc.oneof(within, exported, imported, anything)
