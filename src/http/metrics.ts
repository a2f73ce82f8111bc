import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client'

/** All metrics of the service, in one place so that names and labels stay a table. */
export type Metrics = ReturnType<typeof createMetrics>

/** Makes a fresh registry with all metrics of the service; label values never hold ids of workloads or peers' text. */
export function createMetrics() {
  const registry = new Registry()
  const registers = [registry]
  const bundleFetches: BundleFetches = { 200: 0, 304: 0 }
  countFetchesWhenRead(bundleFetches, registers)
  return {
    registry,
    bundleFetches,
    ...requestMetrics(registers),
    ...trustMetrics(registers),
    ...catalogMetrics(registers),
    ...forecastMetrics(registers),
  }
}

/** Bundles served since the last reading: plain numbers, since a labelled counter costs more than the answer. */
export interface BundleFetches {
  200: number
  304: number
}

function countFetchesWhenRead(fetches: BundleFetches, registers: Registry[]): void {
  const counter = new Counter({
    name: 'entente_bundle_fetches_total',
    help: 'Bundles served, and fetches of what the client has already, by status',
    labelNames: ['status'] as const,
    registers,
    collect: () => {
      for (const status of [200, 304] as const) {
        counter.inc({ status: String(status) }, fetches[status])
        fetches[status] = 0
      }
    },
  })
}

function requestMetrics(registers: Registry[]) {
  return {
    requests: new Counter({
      name: 'entente_http_requests_total',
      help: 'Requests answered, by listener, route pattern and status; bundle fetches are counted apart',
      labelNames: ['listener', 'route', 'status'] as const,
      registers,
    }),
    requestSeconds: new Histogram({
      name: 'entente_http_request_seconds',
      help: 'Time to answer, by listener (bundle fetches are counted, not timed)',
      labelNames: ['listener'] as const,
      buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10],
      registers,
    }),
    loginsRefused: new Counter({
      name: 'entente_logins_refused_total',
      help: 'Requests to the admin API whose token was refused, by reason',
      labelNames: ['reason'] as const,
      registers,
    }),
    quotaRefusals: new Counter({
      name: 'entente_quota_refusals_total',
      help: 'Requests to the admin API that were refused because a quota is used up; of SVIDs see entente_svid_refusals_total',
      registers,
    }),
    rateLimited: new Counter({
      name: 'entente_rate_limited_total',
      help: 'Requests that were refused because their sender asks too often, by limit: token (admin API), source, identity, mesh or service (workloads)',
      labelNames: ['limit'] as const,
      registers,
    }),
    auditSealed: new Gauge({
      name: 'entente_audit_sealed_records',
      help: 'Number of the newest audit record that this replica sealed',
      registers,
    }),
    webhookDeliveries: new Counter({
      name: 'entente_webhook_deliveries_total',
      help: 'Tries to deliver to webhooks, by outcome: delivered, failed (tried again later), dead (given up)',
      labelNames: ['outcome'] as const,
      registers,
    }),
    alarms: new Gauge({
      name: 'entente_alarm',
      help: '1 while an alarm is raised, by code',
      labelNames: ['alarm'] as const,
      registers,
    }),
  }
}

function catalogMetrics(registers: Registry[]) {
  return {
    resolutions: new Counter({
      name: 'entente_resolutions_total',
      help: 'Answers about ways to services, by listener and outcome (routed, no-route or deny)',
      labelNames: ['listener', 'outcome'] as const,
      registers,
    }),
    policySnapshots: new Counter({
      name: 'entente_policy_snapshots_total',
      help: 'Policy snapshots, by outcome: built, or failed (what there was stays in use, and who asks for the current one is refused)',
      labelNames: ['outcome'] as const,
      registers,
    }),
    reports: new Counter({
      name: 'entente_endpoint_reports_total',
      help: 'Reports of endpoints and heartbeats of reporters, by kind and outcome (accepted, or the error code)',
      labelNames: ['kind', 'outcome'] as const,
      registers,
    }),
    endpoints: new Gauge({
      name: 'entente_endpoints',
      help: 'Fresh endpoints by mesh and cluster; beyond a hundred clusters together as other',
      labelNames: ['mesh', 'cluster'] as const,
      registers,
    }),
  }
}

function trustMetrics(registers: Registry[]) {
  return {
    polls: new Counter({
      name: 'entente_polls_total',
      help: 'Polls of peer bundle endpoints, by outcome',
      labelNames: ['outcome'] as const,
      registers,
    }),
    pollLateness: new Histogram({
      name: 'entente_poll_lateness_seconds',
      help: 'How long after its due time a poll began',
      buckets: [0.1, 0.5, 1, 5, 15, 60, 300],
      registers,
    }),
    relationships: new Gauge({
      name: 'entente_relationships',
      help: 'Domains of relationships that are polled, by state and health',
      labelNames: ['state', 'health'] as const,
      registers,
    }),
    peerCalls: new Counter({
      name: 'entente_peer_calls_total',
      help: 'Calls of other Entente services, by kind and outcome',
      labelNames: ['kind', 'outcome'] as const,
      registers,
    }),
    peerRequests: new Counter({
      name: 'entente_peer_requests_total',
      help: 'Calls by other Entente services, by kind and outcome',
      labelNames: ['kind', 'outcome'] as const,
      registers,
    }),
    notices: new Counter({
      name: 'entente_notices_total',
      help: 'Notices sent to peers and received from them, by direction, kind and outcome',
      labelNames: ['direction', 'kind', 'outcome'] as const,
      registers,
    }),
    svidsIssued: new Counter({
      name: 'entente_svids_issued_total',
      help: 'SVIDs handed out, by kind',
      labelNames: ['kind'] as const,
      registers,
    }),
    svidRefusals: new Counter({
      name: 'entente_svid_refusals_total',
      help: 'Requests for SVIDs that were refused, by error code',
      labelNames: ['code'] as const,
      registers,
    }),
    lifecycleActs: new Counter({
      name: 'entente_authority_acts_total',
      help: 'Acts of the authority lifecycle, by act and kind',
      labelNames: ['act', 'kind'] as const,
      registers,
    }),
  }
}

/** What the database says of trust: every replica reads the same. */
function forecastMetrics(registers: Registry[]) {
  return {
    alerts: new Gauge({
      name: 'entente_alerts',
      help: 'Open alerts, by code and severity; every replica reports the same, so take the maximum',
      labelNames: ['code', 'severity'] as const,
      registers,
    }),
    trustBreaks: new Gauge({
      name: 'entente_trust_breaks_seconds',
      help: 'Seconds until trust of an active relationship ends if nothing new arrives, negative once it has; only the 200 relationships that end first',
      labelNames: ['mesh', 'relationship'] as const,
      registers,
    }),
    meshTrustBreaks: new Gauge({
      name: 'entente_mesh_trust_breaks_seconds',
      help: 'Seconds until trust of the first of the active relationships of a mesh ends; at most 1000 meshes',
      labelNames: ['mesh'] as const,
      registers,
    }),
    bundleAge: new Gauge({
      name: 'entente_peer_bundle_age_seconds',
      help: 'Seconds since a poll last succeeded, of the polled peer of a mesh where that is longest ago; at most 1000 meshes',
      labelNames: ['mesh'] as const,
      registers,
    }),
    readersBehind: new Gauge({
      name: 'entente_readers_behind',
      help: 'Readers that fetched our bundle twice or more and hold an older sequence than the newest; at most 1000 meshes',
      labelNames: ['mesh'] as const,
      registers,
    }),
    pollLag: new Gauge({
      name: 'entente_poll_lag_seconds',
      help: 'Seconds by which the poll is late that is due longest and that no replica has begun',
      registers,
    }),
    webhookQueue: new Gauge({
      name: 'entente_webhook_queue',
      help: 'Deliveries to webhooks that wait (pending) or were given up within 30 days (dead)',
      labelNames: ['state'] as const,
      registers,
    }),
  }
}

/** Adds the process and event-loop metrics of prom-client; once per process. */
export function collectProcessMetrics(metrics: Metrics): void {
  collectDefaultMetrics({ register: metrics.registry })
}
