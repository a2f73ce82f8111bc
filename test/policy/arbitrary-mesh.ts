import fc from 'fast-check'
import { type MeshId } from '../../src/db/ids.ts'
import { type RelationshipState } from '../../src/db/schema.ts'
import { type Query } from '../../src/policy/answer.ts'
import { readRule, type Rule, type RuleDraft } from '../../src/policy/rule.ts'
import { type SnapshotInput } from '../../src/policy/snapshot.ts'
import { parseSpiffeId, type SpiffeId } from '../../src/spiffe/spiffe-id.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'

/** A moment before any rule of {@link rules} ends, and one after the early ones did. */
export const EARLY = new Date('2026-01-01T00:00:00Z')
/** See {@link EARLY}. */
export const LATE = new Date('2026-06-01T00:00:00Z')

const NAMESPACES = ['shop', 'shopfront', 'pay']
const NAMES = ['cart', 'cart-v2', 'ledger']
const PEERS = ['globex', 'initech', 'hooli']
const PATHS = ['/web', '/ns/shop/sa/cart', '/ns/pay/sa/api', '/ns/pay', '']

/** The rule of a draft, for tests. */
export function ruleOf(draft: RuleDraft, id: string, createdAt: Date = EARLY): Rule {
  return { ...readRule(draft), id, createdAt }
}

const ALLOW_MORE_OFTEN = ['allow', 'allow', 'allow', 'allow', 'deny'] as const

const namespacePattern = fc.constantFrom('*', 'shop', 'shop*', 'pay', 'p*')
const namePattern = fc.constantFrom('*', 'cart', 'cart*', 'cart-*', 'ledger')
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

const exportAudience = fc.oneof(
  fc.constant({ kind: 'all' as const }),
  fc.constant({ kind: 'self' as const }),
  fc.record({
    kind: fc.constant('peers' as const),
    relationships: fc.subarray(PEERS, { minLength: 1 }),
  }),
)
const importAudience = exportAudience.filter((one) => one.kind !== 'self')

function draft(direction: 'export' | 'import', effect?: 'allow' | 'deny'): fc.Arbitrary<RuleDraft> {
  return fc
    .record({
      effect: effect === undefined ? fc.constantFrom(...ALLOW_MORE_OFTEN) : fc.constant(effect),
      namespace: namespacePattern,
      name: namePattern,
      audience: direction === 'export' ? exportAudience : importAudience,
      callers,
      priority: fc.integer({ min: -1, max: 1 }),
      expiresAt: fc.constantFrom(undefined, undefined, new Date('2026-03-01T00:00:00Z')),
    })
    .map((one) => ({
      direction,
      effect: one.effect,
      subject: { namespace: one.namespace, name: one.name },
      audience: { ...one.audience, ...(one.callers && { callers: one.callers }) },
      priority: one.priority,
      ...(one.expiresAt && { expiresAt: one.expiresAt }),
    }))
}

/** One rule of either direction. */
export const anyDraft = fc.oneof(draft('export'), draft('import'))
/** One rule that allows. */
export const allowDraft = fc.oneof(draft('export', 'allow'), draft('import', 'allow'))
/** One rule that denies. */
export const denyDraft = fc.oneof(draft('export', 'deny'), draft('import', 'deny'))

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

/** A mesh with some of the services, offers and relationships that queries ask for. */
export const mesh: fc.Arbitrary<SnapshotInput> = fc
  .record({
    services: fc.subarray(subjects, { minLength: 6 }),
    offers: fc.uniqueArray(fc.tuple(fc.constantFrom(...PEERS), subject), {
      selector: ([peer, { namespace, name }]) => `${peer} ${namespace}/${name}`,
      minLength: 12,
      maxLength: 24,
    }),
    states: fc.tuple(state, state, state),
    rules,
  })
  .map((one) => ({
    meshId: 'acme' as MeshId,
    revisions: { mesh: 1n, relationship: 1n, rule: 1n },
    dnsSuffix: 'mesh.internal',
    trustDomains: [parseTrustDomain('acme.example')],
    services: one.services.map((name) => ({ ...name, ports: [], labels: {}, serverIds: [] })),
    relationships: PEERS.map((name, i) => ({
      id: name,
      name,
      state: one.states[i] ?? 'active',
      trustDomains: [parseTrustDomain(`${name}.example`)],
      waitingFor: one.states[i] === 'pending' ? ['a first bundle'] : [],
    })),
    offers: one.offers.map(([relationship, name]) => ({
      ...name,
      relationship,
      source: 'manual',
      ports: [],
      labels: {},
      gateways: [],
      serverIds: [],
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

const within = fc.record({ subject, caller: callerIn('acme'), at })
const exported = peer.chain((to) =>
  fc.record({ subject, to: fc.constant(to), caller: callerIn(to), at }),
)
const imported = fc.record({ subject, of: peer, caller: callerIn('acme'), at })
const anything = fc.constantFrom('acme', 'globex', 'stranger').chain((domain) =>
  fc.record({
    subject,
    of: fc.constantFrom(undefined, ...PEERS, 'nobody'),
    to: fc.constantFrom(undefined, ...PEERS, 'nobody'),
    caller: callerIn(domain),
    at,
  }),
)

/** A question that the mesh may be asked; one in four makes no sense. */
export const query: fc.Arbitrary<Query> = fc.oneof(within, exported, imported, anything)
