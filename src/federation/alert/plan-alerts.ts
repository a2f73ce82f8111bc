import { type Condition, conditionKey } from './alert-conditions.ts'
import { type Alert } from './alert-store.ts'

/** Seconds for which a condition must be gone before its alert is closed, so that a flapping one is one alert. */
export const CLEAR_AFTER_SECONDS = 60

/** How often the mark "still there" of an open alert is renewed; in between nothing is written. */
export const SEEN_EVERY_SECONDS = 300

/** What is to be done so that the stored alerts tell what holds. */
export interface AlertPlan {
  readonly open: readonly Condition[]
  readonly change: readonly { readonly alert: Alert; readonly to: Condition }[]
  readonly seen: readonly Alert[]
  readonly missing: readonly Alert[]
  readonly close: readonly Alert[]
}

/** What holds, what is open, and what tells whether an alert can close at once. */
export interface PlanFacts {
  readonly open: readonly Alert[]
  readonly conditions: readonly Condition[]
  /** Whether a relationship is not over; alerts of those that are close at once. */
  readonly isLiving: (relationshipId: string) => boolean
  readonly now: Date
}

/**
 * Compares what is open with what holds. Pure.
 *
 * A new condition opens an alert at once; one that is gone closes it a minute later, or at once with its
 * relationship.
 */
export function planAlerts({ open, conditions, isLiving, now }: PlanFacts): AlertPlan {
  const wanted = new Map(conditions.map((condition) => [conditionKey(condition), condition]))
  const known = new Set(open.map(conditionKey))
  const standing = open.flatMap((alert) => {
    const to = wanted.get(conditionKey(alert))
    return to === undefined ? [] : [{ alert, to }]
  })
  const gone = open.filter((alert) => !wanted.has(conditionKey(alert)))
  const isOver = (alert: Alert): boolean =>
    (alert.relationshipId !== undefined && !isLiving(alert.relationshipId)) ||
    (alert.missingSince !== undefined &&
      secondsSince(alert.missingSince, now) >= CLEAR_AFTER_SECONDS)
  return {
    open: conditions.filter((condition) => !known.has(conditionKey(condition))),
    change: standing.filter(({ alert, to }) => isOther(alert, to)),
    seen: standing.flatMap(({ alert, to }) =>
      !isOther(alert, to) && isSeenAgain(alert, now) ? [alert] : [],
    ),
    missing: gone.filter((alert) => !isOver(alert) && alert.missingSince === undefined),
    close: gone.filter(isOver),
  }
}

function isOther(alert: Alert, to: Condition): boolean {
  return alert.severity !== to.severity || alert.message !== to.message
}

function isSeenAgain({ missingSince, lastSeenAt }: Alert, now: Date): boolean {
  return missingSince !== undefined || secondsSince(lastSeenAt, now) >= SEEN_EVERY_SECONDS
}

function secondsSince(moment: Date, now: Date): number {
  return (now.getTime() - moment.getTime()) / 1000
}
