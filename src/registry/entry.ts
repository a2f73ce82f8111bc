import { type MeshId } from '../db/ids.ts'
import { type FederatesWith } from '../db/schema-identity.ts'
import { type FieldError, messageOf, quoted, ServiceError } from '../errors.ts'
import { type MeshTrustDomain } from '../mesh/mesh.ts'
import { type MeshSettings } from '../mesh/settings.ts'
import { dnsNameFault, MAX_DNS_NAMES } from '../pki/dns-name.ts'
import {
  isReserved,
  parseSpiffeId,
  pathOf,
  type SpiffeId,
  spiffeIdOf,
  trustDomainOf,
} from '../spiffe/spiffe-id.ts'
import { parseTrustDomain, type TrustDomain } from '../spiffe/trust-domain.ts'

export { type FederatesWith } from '../db/schema-identity.ts'

/** Seconds that an X509-SVID lives unless the entry says otherwise: an hour. */
export const DEFAULT_X509_TTL_SECONDS = 3600

/** Seconds that a JWT-SVID lives unless the entry says otherwise: five minutes. */
export const DEFAULT_JWT_TTL_SECONDS = 300

/** Shortest life of either kind: below it a workload would do nothing but renew. */
export const MIN_TTL_SECONDS = 2

/** Most trust domains that one entry may name in `federatesWith`; beyond that, `all` is meant. */
export const MAX_FEDERATED = 100

/** What can be chosen about an entry beside its ID. */
export interface EntryContent {
  readonly x509TtlSeconds: number
  readonly jwtTtlSeconds: number
  readonly dnsNames: readonly string[]
  readonly federatesWith: FederatesWith
  /** A word for workloads that hold several identities (Workload API §8). */
  readonly hint: string | undefined
  /** The cluster whose endpoints its holder may report; undefined = it reports nothing. */
  readonly cluster: string | undefined
  readonly expiresAt: Date | undefined
}

/** Who may have which identity. */
export interface Entry extends EntryContent {
  readonly meshId: MeshId
  readonly id: string
  readonly trustDomain: TrustDomain
  readonly spiffeId: SpiffeId
  readonly version: bigint
  readonly createdAt: Date
}

/** Whose bundles are wanted, as somebody writes it. */
export type FederatesWithDraft = 'all' | 'none' | readonly string[] | { readonly group: string }

/** An entry as somebody writes it; what is left out gets its default. */
export interface EntryDraft {
  /** A whole SPIFFE ID, or a path in the mesh's primary trust domain. */
  readonly spiffeId: string
  readonly x509TtlSeconds?: number | undefined
  readonly jwtTtlSeconds?: number | undefined
  readonly dnsNames?: readonly string[] | undefined
  readonly federatesWith?: FederatesWithDraft | undefined
  readonly hint?: string | null | undefined
  readonly cluster?: string | null | undefined
  readonly expiresAt?: Date | null | undefined
}

/** The mesh that an entry is to stand in. */
export interface EntryOwner {
  readonly meshId: MeshId
  readonly trustDomains: readonly MeshTrustDomain[]
  /** Names of its clusters. */
  readonly clusters: ReadonlySet<string>
  readonly settings: MeshSettings
  readonly now: Date
}

/** Whether an entry has ended. */
export function isExpired({ expiresAt }: Pick<Entry, 'expiresAt'>, now: Date): boolean {
  return expiresAt !== undefined && expiresAt <= now
}

/** How an entry is named in the audit log. */
export function entryObject({ spiffeId }: Pick<Entry, 'spiffeId'>): string {
  return `entry/${spiffeId}`
}

/**
 * The identity that a draft means: in a trust domain of the mesh, with a path, and none of ours under `/entente/`
 * (ID-13, ID-22, X5-02).
 *
 * Throws `ENTRY_INVALID`.
 */
export function parseEntryId(
  text: string,
  { meshId, trustDomains }: Pick<EntryOwner, 'meshId' | 'trustDomains'>,
): { readonly spiffeId: SpiffeId; readonly trustDomain: TrustDomain } {
  const spiffeId = readId(text, trustDomains)
  const trustDomain = trustDomainOf(spiffeId)
  if (!trustDomains.some(({ name }) => name === trustDomain)) {
    throw wrongId(`trust domain ${quoted(trustDomain)} is none of mesh ${meshId}`)
  }
  if (pathOf(spiffeId) === '') {
    throw wrongId(`SPIFFE ID ${quoted(spiffeId)} has no path, so it names no workload`)
  }
  if (isReserved(spiffeId)) throw wrongId('paths under /entente belong to this service')
  return { spiffeId, trustDomain }
}

/** Everything of a draft but its ID, checked; throws `ENTRY_INVALID` with every fault at once. */
export function parseEntryContent(
  draft: Omit<EntryDraft, 'spiffeId'>,
  owner: EntryOwner,
): EntryContent {
  const faults: FieldError[] = []
  const x509TtlSeconds = checkTtl(faults, {
    name: 'x509TtlSeconds',
    value: draft.x509TtlSeconds,
    most: owner.settings.maxX509SvidSeconds,
    usual: DEFAULT_X509_TTL_SECONDS,
  })
  const jwtTtlSeconds = checkTtl(faults, {
    name: 'jwtTtlSeconds',
    value: draft.jwtTtlSeconds,
    most: owner.settings.maxJwtSvidSeconds,
    usual: DEFAULT_JWT_TTL_SECONDS,
  })
  const dnsNames = checkDnsNames(faults, draft.dnsNames ?? [])
  const federatesWith = checkFederated(faults, draft.federatesWith ?? 'all')
  const expiresAt = draft.expiresAt ?? undefined
  if (expiresAt !== undefined && expiresAt <= owner.now) {
    faults.push(fault('/expiresAt', `is ${expiresAt.toISOString()}, which has passed`))
  }
  const cluster = draft.cluster ?? undefined
  if (cluster !== undefined && !owner.clusters.has(cluster)) {
    faults.push(fault('/cluster', noCluster(cluster, owner)))
  }
  if (faults.length > 0) throw refusal(faults)
  const hint = draft.hint ?? undefined
  return { x509TtlSeconds, jwtTtlSeconds, dnsNames, federatesWith, hint, cluster, expiresAt }
}

/** The group whose members an entry federates with, if it names one. */
export function groupOf({ federatesWith }: Pick<Entry, 'federatesWith'>): string | undefined {
  return typeof federatesWith === 'object' && 'group' in federatesWith
    ? federatesWith.group
    : undefined
}

/** The domains that an entry names; undefined when it says all or none, or names a group. */
export function namedDomains({
  federatesWith,
}: Pick<Entry, 'federatesWith'>): readonly TrustDomain[] | undefined {
  return typeof federatesWith === 'object' && !('group' in federatesWith)
    ? federatesWith
    : undefined
}

function noCluster(name: string, { meshId, clusters }: EntryOwner): string {
  const known = [...clusters].slice(0, 10).join(', ')
  return `mesh ${meshId} has no cluster ${quoted(name)}, but ${known === '' ? 'none' : known}`
}

function readId(text: string, trustDomains: readonly MeshTrustDomain[]): SpiffeId {
  const primary = trustDomains.find(({ isPrimary }) => isPrimary)
  try {
    if (text.startsWith('/') && primary !== undefined) return spiffeIdOf(primary.name, text)
    return parseSpiffeId(text)
  } catch (cause) {
    throw wrongId(messageOf(cause), cause)
  }
}

interface TtlCheck {
  readonly name: 'x509TtlSeconds' | 'jwtTtlSeconds'
  readonly value: number | undefined
  readonly most: number
  readonly usual: number
}

function checkTtl(faults: FieldError[], { name, value, most, usual }: TtlCheck): number {
  const ttl = value ?? Math.min(usual, most)
  if (ttl < MIN_TTL_SECONDS || ttl > most) {
    faults.push(fault(`/${name}`, `is ${ttl}, wanted ${MIN_TTL_SECONDS} to ${most} seconds`))
  }
  return ttl
}

function checkDnsNames(faults: FieldError[], names: readonly string[]): readonly string[] {
  for (const [index, name] of names.entries()) {
    const wrong = dnsNameFault(name)
    const isRepeated = names.indexOf(name) !== index
    if (wrong !== undefined) faults.push(fault(`/dnsNames/${index}`, `${quoted(name)} ${wrong}`))
    else if (isRepeated) faults.push(fault(`/dnsNames/${index}`, `repeats ${quoted(name)}`))
  }
  if (names.length > MAX_DNS_NAMES) {
    faults.push(fault('/dnsNames', `has ${names.length} names, at most ${MAX_DNS_NAMES} fit`))
  }
  return names
}

function checkFederated(faults: FieldError[], wanted: FederatesWithDraft): FederatesWith {
  if (typeof wanted === 'string' || 'group' in wanted) return wanted
  if (wanted.length > MAX_FEDERATED) {
    faults.push(fault('/federatesWith', `names more than ${MAX_FEDERATED} domains; say "all"`))
    return 'none'
  }
  const names = new Set<TrustDomain>()
  for (const [index, name] of wanted.entries()) {
    try {
      names.add(parseTrustDomain(name))
    } catch (thrown) {
      faults.push(fault(`/federatesWith/${index}`, messageOf(thrown)))
    }
  }
  return [...names].toSorted()
}

function fault(pointer: string, detail: string): FieldError {
  return { in: 'body', pointer, detail }
}

/** The refusal of one member of an entry. */
export function entryFault(pointer: string, detail: string): ServiceError {
  return refusal([fault(pointer, detail)])
}

function wrongId(detail: string, cause?: unknown): ServiceError {
  return refusal([fault('/spiffeId', detail)], cause)
}

function refusal(fields: readonly FieldError[], cause?: unknown): ServiceError {
  const text = fields.map(({ pointer, detail }) => `${pointer.slice(1)}: ${detail}`).join('; ')
  const options = cause === undefined ? { fields } : { fields, cause }
  return new ServiceError('ENTRY_INVALID', `entry refused: ${text}`, options)
}
