import { type Severity } from '../../db/schema.ts'
import { alertCode, isAtLeast, SEVERITIES } from './alert-codes.ts'
import { type Alert } from './alert-store.ts'
import { type AlertView } from './alert-api.ts'

/** What webhooks are told: an alert began, became more or less urgent, or ended. */
const ALERT_EVENTS = ['alert.opened', 'alert.changed', 'alert.closed'] as const

/** One of {@link ALERT_EVENTS}. */
export type AlertEventType = (typeof ALERT_EVENTS)[number]

/** Something that happened to an alert. */
export interface AlertEvent {
  readonly type: AlertEventType
  readonly alert: Alert
  /** The worst severity that it concerns: of a change, before or after. */
  readonly severity: Severity
}

/** An alert as the API and webhooks show it, with what its code means and what to do. */
export function viewAlert(alert: Alert): AlertView {
  const { meaning, act } = alertCode(alert.code)
  return {
    id: alert.id,
    meshId: alert.meshId ?? null,
    code: alert.code,
    object: alert.object,
    severity: alert.severity,
    message: alert.message,
    meaning,
    act,
    replica: alert.replica ?? null,
    raisedAt: alert.raisedAt.toISOString(),
    lastSeenAt: alert.lastSeenAt.toISOString(),
    clearedAt: alert.clearedAt?.toISOString() ?? null,
  }
}

/** An event of alerts that began, changed their severity from `before`, or ended. */
export function eventOf(type: AlertEventType, alert: Alert, before = alert.severity): AlertEvent {
  const worst = isAtLeast(before, alert.severity) ? before : alert.severity
  return { type, alert, severity: worst }
}

/** The severities that are at least this one. */
export function severitiesFrom(least: Severity): Severity[] {
  return SEVERITIES.filter((severity) => isAtLeast(severity, least))
}

/** The body of a delivery: type, moment and data, as Standard Webhooks has it. */
export function bodyOf({ type, alert }: AlertEvent, now: Date): string {
  return JSON.stringify({ type, timestamp: now.toISOString(), data: viewAlert(alert) })
}
