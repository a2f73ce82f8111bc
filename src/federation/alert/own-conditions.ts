import { type Condition } from './alert-conditions.ts'
import { type Coverage, urgencyOf } from './forecast.ts'
import { type DeadWebhook, type ForcedAuthority, type PollingReader } from './own-facts-store.ts'

/** What {@link ownConditions} is decided by. */
export interface OwnConditionFacts {
  readonly readers: readonly PollingReader[]
  /** How long the revision that a reader holds lasts. */
  readonly coverageOf: (reader: PollingReader) => Coverage | undefined
  readonly forced: readonly ForcedAuthority[]
  readonly deadWebhooks: readonly DeadWebhook[]
}

/** A reader has vanished after this many hints of silence, and not before {@link VANISHED_MIN_SECONDS}. */
const VANISHED_HINTS = 5

/** Restarts and short outages of a reader are nobody's concern. */
export const VANISHED_MIN_SECONDS = 15 * 60

/** Hints after a publication by which everybody who polls should hold it. */
const BEHIND_HINTS = 3

/** Seconds for which the forced activation of a key is shown. */
export const FORCED_SHOWN_SECONDS = 7 * 86_400

/** Seconds for which deliveries that were given up are shown. */
export const DEAD_SHOWN_SECONDS = 7 * 86_400

/** What holds of our own side: who reads our bundle, our keys, our webhooks. Pure. */
export function ownConditions(facts: OwnConditionFacts, now: Date): Condition[] {
  return [
    ...facts.readers.flatMap((reader) => readerConditions(reader, now)),
    ...facts.readers.flatMap((reader) => heldConditions(reader, facts.coverageOf(reader), now)),
    ...facts.forced.map(forced),
    ...facts.deadWebhooks.map(dead),
  ]
}

function readerConditions(reader: PollingReader, now: Date): Condition[] {
  const { lastAt, hintSeconds, publishedAt, sequence, current } = reader
  const silent = secondsBetween(lastAt, now)
  if (silent > Math.max(VANISHED_HINTS * hintSeconds, VANISHED_MIN_SECONDS)) {
    const message = `has not fetched since ${lastAt.toISOString()}; it holds sequence ${sequence}`
    return [{ ...ofReader(reader), code: 'reader.vanished', severity: 'warning', message }]
  }
  const isBehind = sequence < current && silent <= VANISHED_HINTS * hintSeconds
  if (!isBehind || secondsBetween(publishedAt, now) <= BEHIND_HINTS * hintSeconds) return []
  const fetches = lastAt > publishedAt ? ', though it fetched since; is there a cache between?' : ''
  const message = `holds sequence ${sequence}, and ${current} was published at ${publishedAt.toISOString()}${fetches}`
  return [{ ...ofReader(reader), code: 'reader.behind', severity: 'warning', message }]
}

/** What a peer holds of us ends, or lacks a key that signs: they refuse our SVIDs. */
function heldConditions(
  reader: PollingReader,
  coverage: Coverage | undefined,
  now: Date,
): Condition[] {
  const { relationship, isActive, unknownSince, trustDomain, sequence } = reader
  if (relationship === undefined || !isActive) return []
  const about = {
    meshId: reader.meshId,
    relationshipId: reader.relationshipId,
    object: `${relationship}/${trustDomain}`,
    code: 'trust.breaks-soon',
  } as const
  if (unknownSince !== undefined) {
    const message = `they hold sequence ${sequence} of our ${trustDomain}, without a key that signs since ${unknownSince.toISOString()}`
    return [{ ...about, severity: 'critical', message }]
  }
  if (coverage === undefined || sequence === reader.current) return []
  const severity = urgencyOf({ at: coverage.endsAt, lifeSeconds: coverage.lifeSeconds }, now)
  if (severity === undefined) return []
  const message = `they hold sequence ${sequence} of our ${trustDomain}, whose last X.509 authority ends at ${coverage.endsAt.toISOString()}`
  return [{ ...about, severity, message }]
}

function ofReader({ meshId, relationshipId, trustDomain, label }: PollingReader) {
  return { meshId, relationshipId, object: `${trustDomain}/${label}` }
}

function forced({ meshId, trustDomain, kind, activatedAt }: ForcedAuthority): Condition {
  return {
    meshId,
    relationshipId: undefined,
    code: 'authority.forced',
    object: `${trustDomain} ${kind}`,
    severity: 'warning',
    message: `activated at its deadline, ${activatedAt.toISOString()}, although not everybody was known to hold it`,
  }
}

function dead({ meshId, name }: DeadWebhook): Condition {
  return {
    meshId,
    relationshipId: undefined,
    code: 'webhook.dead',
    object: name,
    severity: 'warning',
    message: `deliveries were given up; entente webhook deliveries ${name} --state dead`,
  }
}

function secondsBetween(from: Date, to: Date): number {
  return (to.getTime() - from.getTime()) / 1000
}
