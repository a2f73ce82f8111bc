import type { Base } from './compose-base.ts'
import { randomShare } from './compose-federation.ts'
import { alertRoutes } from './federation/alert/alert-routes.ts'
import type { AlertSource } from './federation/alert/alert-source.ts'
import { availabilitySource } from './federation/alert/availability-source.ts'
import { evaluateAlerts } from './federation/alert/evaluate-alerts.ts'
import { measureTrust } from './federation/alert/measure-trust.ts'
import type { Federation } from './federation/open-federation.ts'
import { pruneAlertHistory } from './federation/alert/prune-alerts.ts'
import { AlarmSync } from './federation/alert/sync-alarms.ts'
import { webhookRoutes } from './federation/alert/webhook-routes.ts'
import { WebhookSender } from './federation/alert/webhook-sender.ts'
import type { App } from './http/listener.ts'
import type { Snapshots } from './policy/snapshot/snapshots.ts'
import { unimportedSource } from './policy/binding/unimported-source.ts'
import { startTicker, type Ticker } from './ticker.ts'

/** What tells people of what happens. */
export interface Alerting {
  readonly sender: WebhookSender
  /** Sends queued deliveries soon. */
  kick: () => void
}

/** Makes it; nothing is evaluated or sent yet. */
export function buildAlerting(base: Base, { outbound }: Pick<Federation, 'outbound'>): Alerting {
  const { database, now, replicaId: owner, log, metrics, keyring } = base
  const db = database.background
  const deps = { db, now, owner, log, metrics, keyring, outbound }
  const sender = new WebhookSender({ ...deps, random: randomShare })
  return { sender, kick: () => undefined }
}

/** Mounts alerts and webhooks under `/v1`. */
export function mountAlerting(
  v1: App,
  base: Base,
  { alerting, outbound }: { readonly alerting: Alerting } & Pick<Federation, 'outbound'>,
): void {
  const { now, keyring } = base
  const { db } = base.database
  v1.register(alertRoutes, { db })
  v1.register(webhookRoutes, { db, now, keyring, outbound, kick: () => alerting.kick() })
}

const SECOND_MS = 1000
const HOUR_MS = 3_600_000

/** Starts the evaluation of alerts, what each replica tells of itself, the sending, the figures and the pruning. */
export function alertTickers(
  base: Base,
  { alerting, snapshots }: { readonly alerting: Alerting; readonly snapshots: Snapshots },
): readonly Ticker[] {
  const { clock, log, metrics, now, alarms, replicaId: owner } = base
  const db = base.database.background
  const sync = new AlarmSync({ db, now, owner, alarms, log })
  const every = (name: string, seconds: number, run: () => Promise<unknown>): Ticker =>
    startTicker({
      name,
      everyMs: seconds * SECOND_MS,
      clock,
      log,
      run: async () => void (await run()),
    })
  const sources: readonly AlertSource[] = [availabilitySource(), unimportedSource(snapshots)]
  const sending = every('webhooks', 1, () => alerting.sender.claim())
  alerting.kick = () => sending.kick()
  return [
    every('alerts', 15, () => evaluateAlerts({ db, now, owner, log, sources })),
    every('alarms', 5, () => sync.run()),
    every('trust-figures', 15, () => measureTrust(db, metrics, now)),
    every('alert-pruning', HOUR_MS / SECOND_MS, () => pruneAlertHistory(db, now)),
    {
      kick: () => sending.kick(),
      stop: async () => {
        await sending.stop()
        await alerting.sender.stop()
      },
    },
  ]
}
