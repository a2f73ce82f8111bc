import { type Static, Type } from 'typebox'
import { PageQuery } from '../../http/page.ts'

const Moment = Type.String({ format: 'date-time' })
const TextOrNull = Type.Union([Type.String(), Type.Null()])

/** How urgent an alert is. */
const SeverityBody = Type.Union([
  Type.Literal('info'),
  Type.Literal('warning'),
  Type.Literal('critical'),
])

/** A condition that somebody must know of, from its beginning to its end. */
export const AlertBody = Type.Object({
  id: Type.String({ description: 'the same from its beginning to its end' }),
  meshId: Type.Union([Type.String(), Type.Null()], {
    description: 'null for what concerns the whole service',
  }),
  code: Type.String({ description: 'stable; docs/alerts.md lists them' }),
  object: Type.String({ description: 'what it is about' }),
  severity: SeverityBody,
  message: Type.String(),
  meaning: Type.String({ description: 'of the code' }),
  act: Type.String({ description: 'what to do about it' }),
  replica: Type.Union([Type.String(), Type.Null()], {
    description: 'the replica that sees it; null for what all of them read in the database',
  }),
  raisedAt: Moment,
  lastSeenAt: Type.String({
    format: 'date-time',
    description: 'renewed every five minutes while it stands',
  }),
  clearedAt: Type.Union([Moment, Type.Null()]),
})

/** Query of the list of alerts. */
export const AlertQuery = Type.Object(
  {
    ...PageQuery.properties,
    state: Type.Union([Type.Literal('open'), Type.Literal('cleared'), Type.Literal('all')], {
      default: 'open',
    }),
    minSeverity: Type.Optional(SeverityBody),
    code: Type.Optional(Type.String({ maxLength: 100 })),
  },
  { additionalProperties: false },
)

const WebhookName = Type.String({
  pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$',
  description: 'unique among the webhooks of the mesh, or of the service',
})

/** Body of `POST …/webhooks`. */
export const CreateWebhookBody = Type.Object(
  {
    name: WebhookName,
    url: Type.String({ maxLength: 2048, description: 'https only; redirects are not followed' }),
    minSeverity: Type.Optional(SeverityBody),
    codes: Type.Optional(
      Type.Array(Type.String({ maxLength: 100 }), {
        minItems: 1,
        maxItems: 100,
        description: 'the alerts it wants; all when absent',
      }),
    ),
    note: Type.Optional(Type.String({ maxLength: 2000 })),
  },
  { additionalProperties: false },
)

/** Who is told of alerts; never with its secret. */
export const WebhookBody = Type.Object({
  id: Type.String(),
  meshId: Type.Union([Type.String(), Type.Null()], {
    description: 'null for one that is told of all alerts',
  }),
  name: Type.String(),
  url: Type.String(),
  minSeverity: SeverityBody,
  codes: Type.Union([Type.Array(Type.String()), Type.Null()]),
  note: TextOrNull,
  createdAt: Moment,
})

const Next = Type.Array(Type.String({ description: 'a useful command' }))

/** A webhook that was just made, with its secret. */
export const CreatedWebhookBody = Type.Object({
  ...WebhookBody.properties,
  secret: Type.String({
    description: 'signs the deliveries (Standard Webhooks, v1); shown this once',
  }),
  next: Next,
})

/** What is to be sent to a webhook, or was. */
export const DeliveryBody = Type.Object({
  id: Type.String({ description: 'the header webhook-id, the same for every try' }),
  event: Type.String(),
  state: Type.Union([Type.Literal('pending'), Type.Literal('delivered'), Type.Literal('dead')]),
  attempts: Type.Integer(),
  nextAt: Type.Union([Moment, Type.Null()]),
  lastAttemptAt: Type.Union([Moment, Type.Null()]),
  lastStatus: Type.Union([Type.Integer(), Type.Null()]),
  lastError: TextOrNull,
  createdAt: Moment,
  endedAt: Type.Union([Moment, Type.Null()]),
  body: Type.String({ description: 'the text that is sent and signed' }),
})

/** Query of the list of deliveries. */
export const DeliveryQuery = Type.Object(
  {
    ...PageQuery.properties,
    state: Type.Optional(DeliveryBody.properties.state),
  },
  { additionalProperties: false },
)

/** How a test delivery went. */
export const TestedWebhookBody = Type.Object({
  delivered: Type.Boolean(),
  status: Type.Union([Type.Integer(), Type.Null()]),
  error: Type.Union([
    Type.Object({ code: Type.String(), message: Type.String(), next: TextOrNull }),
    Type.Null(),
  ]),
  body: Type.String({ description: 'the text that was sent' }),
})

/** An alert on the wire. */
export type AlertView = Static<typeof AlertBody>
/** A webhook on the wire. */
export type WebhookView = Static<typeof WebhookBody>
/** The answer to the making of a webhook. */
export type CreatedWebhookView = Static<typeof CreatedWebhookBody>
/** A delivery on the wire. */
export type DeliveryView = Static<typeof DeliveryBody>
/** How a test delivery went, on the wire. */
export type TestedWebhookView = Static<typeof TestedWebhookBody>
