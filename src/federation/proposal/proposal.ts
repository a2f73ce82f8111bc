import { createHash } from 'node:crypto'
import { type RecoveryDraft, recoveryLine, writeRecovery } from '../recovery/recovery.ts'
import { type DomainDraft, type Relationship, type RelationshipDomain } from '../relationship.ts'

/** Which side wants a change. */
export type ProposalOrigin = 'ours' | 'theirs'

/** Pinned parameters as one side wants them: all domains of the peer, and who calls on its behalf. */
export interface ProposedParameters {
  readonly domains: readonly DomainDraft[]
  /** Kept as it is when absent. */
  readonly exchange?: { readonly id: string; readonly url: string } | undefined
}

/** A change of pinned parameters beside those in force, which stay so until both sides consent. */
export interface Proposal {
  readonly id: string
  readonly origin: ProposalOrigin
  readonly parameters: ProposedParameters
  readonly ourConsent: boolean
  readonly theirConsent: boolean
  readonly note: string | undefined
  readonly createdAt: Date
  readonly createdBy: string
}

/** What a proposal makes of one trust domain; `before` and `after` are the pinned parameters in one line. */
export interface ProposedChange {
  readonly trustDomain: string
  readonly what: 'added' | 'removed' | 'changed'
  readonly before: string | undefined
  readonly after: string | undefined
}

/**
 * SHA-256, hex, over parameters in one fixed order: the same for the same parameters on both sides, so that a
 * consent names exactly what it is for.
 */
export function digestOfParameters({ domains, exchange }: ProposedParameters): string {
  const ordered = domains
    .toSorted((one, other) => (one.trustDomain < other.trustDomain ? -1 : 1))
    .map((domain) => [
      domain.trustDomain,
      domain.source,
      domain.endpointUrl ?? null,
      domain.endpointSpiffeId ?? null,
      domain.bundle ?? null,
      domain.bundlePem ?? null,
      domain.recovery?.map(recoveryLine) ?? null,
    ])
  const called = exchange === undefined ? null : [exchange.id, exchange.url]
  return createHash('sha256')
    .update(JSON.stringify([ordered, called]))
    .digest('hex')
}

/** What parameters would change of those in force, domain by domain, and of who calls; empty for no change. */
export function changesOf(
  { domains, exchange }: Pick<Relationship, 'domains' | 'exchange'>,
  wanted: ProposedParameters,
): ProposedChange[] {
  const before = new Map(
    domains.map((domain) => [domain.trustDomain as string, pinnedLine(domain)]),
  )
  const known = new Map(domains.map((domain) => [domain.trustDomain as string, domain]))
  const after = new Map(
    wanted.domains.map((domain) => [
      domain.trustDomain,
      draftLine(domain, known.get(domain.trustDomain)),
    ]),
  )
  const names = [...new Set([...before.keys(), ...after.keys()])].toSorted()
  const changes = names.flatMap((trustDomain) =>
    changed(trustDomain, { before: before.get(trustDomain), after: after.get(trustDomain) }),
  )
  if (wanted.exchange === undefined) return changes
  const lines = { before: exchangeLine(exchange), after: exchangeLine(wanted.exchange) }
  return [...changes, ...changed('exchange', lines)]
}

function changed(
  trustDomain: string,
  { before, after }: Pick<ProposedChange, 'before' | 'after'>,
): ProposedChange[] {
  if (before === after) return []
  const what = before === undefined ? 'added' : after === undefined ? 'removed' : 'changed'
  return [{ trustDomain, what, before, after }]
}

function pinnedLine({ source, endpointUrl, endpointId, recovery }: RelationshipDomain): string {
  return lineOf([source, endpointUrl, endpointId], recovery.map(writeRecovery))
}

function lineOf(
  parts: readonly (string | undefined)[],
  recovery: readonly RecoveryDraft[],
): string {
  const paths = recovery.map((path) => `or ${recoveryLine(path)}`)
  return [...parts, ...paths].filter((part) => part !== undefined).join(' ')
}

// Recovery paths that a draft does not name stay as they are.
function draftLine(
  { source, endpointUrl, endpointSpiffeId, recovery, ...given }: DomainDraft,
  before: RelationshipDomain | undefined,
): string {
  const isGiven = given.bundle !== undefined || given.bundlePem !== undefined
  const parts = [source, endpointUrl, endpointSpiffeId, isGiven ? 'with a new bundle' : undefined]
  return lineOf(parts, recovery ?? before?.recovery.map(writeRecovery) ?? [])
}

function exchangeLine(exchange: { id: string; url: string } | undefined): string | undefined {
  return exchange === undefined ? undefined : `${exchange.id} ${exchange.url}`
}
