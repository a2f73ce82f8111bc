import { type Static, Type } from 'typebox'
import { DEFAULT_TTL_SECONDS, MAX_ENDPOINTS, MAX_WORKLOAD_UID, TTL_SECONDS } from './report.ts'

const Label = Type.String({ minLength: 1, maxLength: 63 })
/** A part of a locality, as the topology has it. */
const Place = Type.String({ pattern: '^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?$' })
const Moment = Type.String({ format: 'date-time' })
const Cluster = Type.Optional(
  Type.String({
    maxLength: 63,
    description: 'may be left out: the cluster is that of the entry of the SVID shown',
  }),
)
const PortNumber = Type.Integer({ minimum: 1, maximum: 65_535 })
const WorkloadUid = Type.String({
  minLength: 1,
  maxLength: MAX_WORKLOAD_UID,
  pattern: '^[!-~]+$',
  description: 'what the platform calls the workload, as the uid of a pod',
})

/** An endpoint in a report. */
const ReportItemBody = Type.Object(
  {
    namespace: Label,
    service: Label,
    workloadUid: WorkloadUid,
    address: Type.String({ minLength: 1, maxLength: 253, description: 'IP address or DNS name' }),
    port: PortNumber,
    portName: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 63,
        description: "the service's port that it stands for; needed where that has several",
      }),
    ),
    network: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 63,
        description: 'needed where the cluster is in several networks',
      }),
    ),
    region: Type.Optional(Place),
    zone: Type.Optional(Place),
    subzone: Type.Optional(Place),
    weight: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, description: 'default 1' })),
    healthy: Type.Optional(Type.Boolean({ description: 'default true' })),
  },
  { additionalProperties: false },
)

/** Body of `PUT /v1/reports/endpoints` of the workload listener. */
export const FullReportBody = Type.Object(
  {
    cluster: Cluster,
    ttlSeconds: Type.Optional(
      Type.Integer({
        minimum: TTL_SECONDS.least,
        maximum: TTL_SECONDS.most,
        description: `how long they count after the reporter was last heard; default ${DEFAULT_TTL_SECONDS}`,
      }),
    ),
    intentional: Type.Optional(
      Type.Boolean({
        description: 'take the list although it is less than half of the one in use',
      }),
    ),
    endpoints: Type.Array(ReportItemBody, { maxItems: MAX_ENDPOINTS }),
  },
  { additionalProperties: false },
)

/** Body of `PATCH /v1/reports/endpoints` of the workload listener. */
export const DeltaReportBody = Type.Object(
  {
    cluster: Cluster,
    afterRevision: Type.String({
      pattern: '^[0-9]{1,18}$',
      description: 'the revision that the last accepted report was answered with',
    }),
    upserts: Type.Optional(Type.Array(ReportItemBody, { maxItems: MAX_ENDPOINTS })),
    removals: Type.Optional(
      Type.Array(
        Type.Object(
          { namespace: Label, service: Label, workloadUid: WorkloadUid, port: PortNumber },
          { additionalProperties: false },
        ),
        { maxItems: MAX_ENDPOINTS },
      ),
    ),
  },
  { additionalProperties: false },
)

/** The answer to an accepted report. */
export const ReportBody = Type.Object({
  cluster: Type.String(),
  reporter: Type.String(),
  revision: Type.String({ description: 'the next change is after this one' }),
  freshUntil: Moment,
  heartbeatSeconds: Type.Integer({ description: 'be heard so often, by a heartbeat or a report' }),
  endpoints: Type.Integer({ description: 'endpoints of this reporter now' }),
  changed: Type.Integer(),
  removed: Type.Integer(),
  skippedCount: Type.Integer(),
  skipped: Type.Array(
    Type.Object({
      namespace: Type.String(),
      service: Type.String(),
      workloadUid: Type.String(),
      reason: Type.String(),
    }),
    { description: 'the first hundred that were passed over' },
  ),
})

const Names = Type.Array(Label, { maxItems: 100 })

/** Body of `POST /v1/reports/heartbeat` of the workload listener. */
export const HeartbeatBody = Type.Object(
  {
    cluster: Cluster,
    controlPlanes: Type.Optional(Names),
    gateways: Type.Optional(Names),
  },
  { additionalProperties: false },
)

/** The answer to a heartbeat. */
export const HeartbeatAnswerBody = Type.Object({
  cluster: Type.String(),
  revision: Type.Union([Type.String(), Type.Null()], {
    description: 'of the last accepted report; null = there is none, send everything',
  }),
  freshUntil: Type.Union([Moment, Type.Null()]),
  wantsFull: Type.Boolean({
    description:
      'send everything: nothing is known, or services came or changed since the last full report',
  }),
})

/** An endpoint as the admin API shows it. */
export const EndpointBody = Type.Object({
  cluster: Type.String(),
  network: Type.String(),
  namespace: Type.String(),
  service: Type.String(),
  workloadUid: Type.String(),
  address: Type.String(),
  port: Type.Integer(),
  portName: Type.String(),
  region: Type.Union([Type.String(), Type.Null()]),
  zone: Type.Union([Type.String(), Type.Null()]),
  subzone: Type.Union([Type.String(), Type.Null()]),
  weight: Type.Integer(),
  healthy: Type.Boolean(),
  reporter: Type.String(),
  freshUntil: Moment,
})

/** The answer to an accepted report, on the wire. */
export type ReportView = Static<typeof ReportBody>
/** The answer to a heartbeat, on the wire. */
export type HeartbeatView = Static<typeof HeartbeatAnswerBody>
/** An endpoint on the wire. */
export type EndpointView = Static<typeof EndpointBody>
