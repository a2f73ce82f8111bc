import { type Labels } from '../../../src/catalog/label.ts'
import { type Port } from '../../../src/catalog/service.ts'
import { type MeshId } from '../../../src/db/ids.ts'
import { type PeerGroupMember } from '../../../src/federation/group/peer-group.ts'
import { checkRule } from '../../../src/policy/rule/check-rule.ts'
import { evaluate } from '../../../src/policy/decision/evaluate.ts'
import { readRule, type Rule, type RuleDraft } from '../../../src/policy/rule/rule.ts'
import {
  buildSnapshot,
  type Snapshot,
  type SnapshotGroup,
} from '../../../src/policy/snapshot/snapshot.ts'
import { parseSpiffeId } from '../../../src/spiffe/spiffe-id.ts'
import { parseTrustDomain } from '../../../src/spiffe/trust-domain.ts'

/** A moment at which every rule of these tests stands. */
export const AT = new Date('2026-01-01T00:00:00Z')

/** A service or an offer with labels: `['shop/cart', { app: 'web' }]`, or just its name. */
export type Named = string | readonly [name: string, labels: Labels]

/** A small mesh `acme`; its peers are named, their trust domains `<peer>.example`. */
export interface SmallMesh {
  readonly services?: readonly Named[]
  /** What each peer offers. */
  readonly offers?: Readonly<Record<string, readonly Named[]>>
  readonly peers?: readonly string[]
  /** Members by rank; `self` is the mesh itself. */
  readonly groups?: Readonly<Record<string, readonly string[]>>
  readonly rules?: readonly RuleDraft[]
  /** Of every service and offer. */
  readonly ports?: readonly Port[]
  /** What `rule convert` printed. */
  readonly documents?: readonly object[]
}

/** The snapshot of a small mesh; every rule is checked as the API checks it. */
export function smallMesh(about: SmallMesh): Snapshot {
  const { services = [], offers = {}, groups = {}, ports = [] } = about
  const { peers = ['globex', 'initech'] } = about
  const documents = (about.documents ?? []) as readonly Document[]
  const converted = documents.filter(({ kind }) => kind === 'Rule').map(draftIn)
  const printed = documents.filter(({ kind }) => kind === 'PeerGroup').map(groupIn)
  return buildSnapshot({
    meshId: 'acme' as MeshId,
    revisions: { mesh: 1n, relationship: 1n, rule: 1n },
    dnsSuffix: 'mesh.internal',
    trustDomains: [parseTrustDomain('acme.example')],
    services: services.map((named) => ({ ...serviceOf(named), ports })),
    relationships: peers.map((name) => ({
      id: name,
      name,
      state: 'active',
      trustDomains: [parseTrustDomain(`${name}.example`)],
      waitingFor: [],
    })),
    offers: Object.entries(offers).flatMap(([relationship, names]) =>
      names.map((name) => ({
        ...serviceOf(name),
        ports,
        relationship,
        gateways: [],
        source: 'manual' as const,
      })),
    ),
    groups: [
      ...Object.entries(groups).map(([name, members]) => groupOf(name, members)),
      ...printed,
    ],
    rules: [...(about.rules ?? []), ...converted].map(ruleOf),
  })
}

/** The names under which a peer sees our services, sorted. */
export function seenBy(snapshot: Snapshot, to: string): string[] {
  return [...snapshot.services.values()]
    .map((subject) => evaluate(snapshot, { subject, to, at: AT }))
    .flatMap(({ decision, exportedName }) => (decision === 'allow' ? [exportedName ?? ''] : []))
    .toSorted()
}

/** The hostnames under which we see a peer's offers, sorted; `namespace` is that of the consumer. */
export function seenOf(snapshot: Snapshot, of: string, namespace?: string): string[] {
  return [...(snapshot.offers.get(of)?.values() ?? [])]
    .map((subject) => evaluate(snapshot, { subject, of, namespace, at: AT }))
    .flatMap(({ decision, hostname }) => (decision === 'allow' ? [hostname ?? ''] : []))
    .toSorted()
}

/** Whether a caller may call `namespace/name`, of ours or of a peer's. */
export function mayCall(snapshot: Snapshot, caller: string, service: string, of?: string): boolean {
  const subject = nameOf(service)
  const id = parseSpiffeId(`spiffe://${caller}`)
  return evaluate(snapshot, { subject, of, caller: id, at: AT }).decision === 'allow'
}

interface Document {
  readonly kind: string
  readonly name: string
  readonly members?: readonly { readonly relationship?: string; readonly self?: true }[]
}

function draftIn(document: Document): RuleDraft {
  const members = Object.entries(document).filter(([name]) => name !== 'kind')
  return Object.fromEntries(members) as object as RuleDraft
}

function groupIn({ name, members = [] }: Document): SnapshotGroup {
  return groupOf(
    name,
    members.map(({ relationship = 'self' }) => relationship),
  )
}

function groupOf(name: string, members: readonly string[]): SnapshotGroup {
  return { name, members: members.map(memberOf) }
}

function memberOf(name: string): PeerGroupMember {
  return name === 'self' ? { kind: 'self' } : { kind: 'relationship', name }
}

function ruleOf(draft: RuleDraft, index: number): Rule {
  checkRule(draft, AT)
  return { ...readRule(draft), id: `rule-${index}`, createdAt: AT }
}

function serviceOf(named: Named) {
  const [name, labels] = typeof named === 'string' ? [named, {}] : named
  return { ...nameOf(name), labels, serverIds: [], createdAt: AT }
}

function nameOf(text: string): { namespace: string; name: string } {
  const [namespace = '', name = ''] = text.split('/')
  return { namespace, name }
}
