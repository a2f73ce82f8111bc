import { parseMeshId } from '../../../src/db/ids.ts'
import { type RuleDraft } from '../../../src/policy/rule/rule.ts'
import {
  buildSnapshot,
  type Snapshot,
  type SnapshotInput,
} from '../../../src/policy/snapshot/snapshot.ts'
import { parseTrustDomain } from '../../../src/spiffe/trust-domain.ts'
import { EARLY, ruleOf } from '../arbitrary-mesh.ts'

const STATES = {
  globex: 'active',
  initech: 'active',
  hooli: 'pending',
  gone: 'terminated',
} as const

/** Acme with two services, peers in several states and three groups, under these rules. */
export function meshWith(
  drafts: readonly RuleDraft[],
  more: Partial<SnapshotInput> = {},
): Snapshot {
  const service = {
    ports: [{ name: 'http', port: 80 }],
    labels: { tier: 'front' },
    serverIds: [],
    createdAt: EARLY,
  }
  return buildSnapshot({
    meshId: parseMeshId('acme'),
    revisions: { mesh: 1n, relationship: 1n, rule: 1n },
    dnsSuffix: 'mesh.internal',
    trustDomains: [parseTrustDomain('acme.example')],
    services: [
      { namespace: 'shop', name: 'cart', ...service },
      { namespace: 'pay', name: 'ledger', ...service, labels: {} },
    ],
    relationships: Object.entries(STATES).map(([name, state]) => ({
      id: name,
      name,
      state,
      trustDomains: [parseTrustDomain(`${name}.example`)],
      waitingFor: [],
    })),
    groups: [
      { name: 'both', members: [peer('globex'), peer('initech')] },
      { name: 'nobody', members: [] },
      { name: 'ourselves', members: [{ kind: 'self' }] },
    ],
    offers: [],
    rules: drafts.map((draft, i) => ruleOf(draft, `r${i}`)),
    ...more,
  })
}

function peer(name: string) {
  return { kind: 'relationship' as const, name }
}

/** Parts of a draft. */
export type Part = Omit<Partial<RuleDraft>, 'audience'> & {
  readonly audience?: Partial<RuleDraft['audience']>
}

/** An allow of one service to one peer with one caller: nothing about it is odd, unless the parts are. */
export function rule({ audience, ...parts }: Part): RuleDraft {
  return {
    direction: 'export',
    effect: 'allow',
    subject: { namespace: 'shop', name: 'cart' },
    ...parts,
    audience: { kind: 'peers', relationships: ['globex'], ...audience },
  }
}

/** The part of a rule that says for which peers it is. */
export const to = (...relationships: string[]) => ({ audience: { relationships } })

/** A deny with these parts. */
export const deny = (parts: Part) => rule({ effect: 'deny', ...parts })
