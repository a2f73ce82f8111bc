import { type Static, Type } from 'typebox'
import { PageQuery } from '../../http/page.ts'
import { MeshParams } from '../../mesh/api.ts'
import { MAX_CALLERS, MAX_NAMES, MAX_NOTE_LENGTH, MAX_PEERS, MAX_PRIORITY } from './check-rule.ts'
import { LABEL_OPERATORS, MAX_REQUIREMENT_VALUES, MAX_REQUIREMENTS } from './label-selector.ts'
import { AUDIENCE_KINDS, DIRECTIONS, EFFECTS } from './rule.ts'

const Label = Type.String({ minLength: 1, maxLength: 63, description: 'a DNS label' })
const NamePattern = Type.String({
  minLength: 1,
  maxLength: 64,
  description: 'a DNS label, the beginning of one and "*", or "*"',
})
const PathPattern = Type.String({
  minLength: 1,
  maxLength: 2048,
  description: 'a SPIFFE path, or its beginning and "*"',
})
const LabelText = Type.String({ maxLength: 317 })

/** Which labels are meant; all requirements must hold. */
const LabelSelectorBody = Type.Object(
  {
    matchLabels: Type.Optional(
      Type.Record(Type.String(), LabelText, { maxProperties: MAX_REQUIREMENTS }),
    ),
    matchExpressions: Type.Optional(
      Type.Array(
        Type.Object(
          {
            key: LabelText,
            operator: Type.Enum([...LABEL_OPERATORS]),
            values: Type.Optional(Type.Array(LabelText, { maxItems: MAX_REQUIREMENT_VALUES })),
          },
          { additionalProperties: false },
        ),
        { maxItems: MAX_REQUIREMENTS },
      ),
    ),
  },
  { additionalProperties: false, description: 'a label selector as Kubernetes has it' },
)

const SubjectBody = Type.Object(
  {
    namespace: Type.Optional(NamePattern),
    name: Type.Optional(NamePattern),
    labels: Type.Optional(LabelSelectorBody),
    ports: Type.Optional(
      Type.Array(Label, { maxItems: MAX_NAMES, description: 'names of ports; default all' }),
    ),
    identity: Type.Optional(PathPattern),
  },
  {
    additionalProperties: false,
    description: 'services (namespace and name, and what narrows them) or identities (identity)',
  },
)

const CallersBody = Type.Object(
  {
    namespaces: Type.Optional(Type.Array(NamePattern, { maxItems: MAX_CALLERS })),
    paths: Type.Optional(Type.Array(PathPattern, { maxItems: MAX_CALLERS })),
  },
  { additionalProperties: false },
)

const AudienceBody = Type.Object(
  {
    kind: Type.Enum([...AUDIENCE_KINDS]),
    relationships: Type.Optional(
      Type.Array(Type.String({ maxLength: 63 }), {
        maxItems: MAX_PEERS,
        description: 'names of relationships, for kind "peers"',
      }),
    ),
    groups: Type.Optional(
      Type.Array(Type.String({ maxLength: 63 }), {
        maxItems: MAX_PEERS,
        description: 'names of groups of peers, for kind "peers"',
      }),
    ),
    callers: Type.Optional(CallersBody),
  },
  { additionalProperties: false },
)

const AliasBody = Type.Object(
  { namespace: Type.Optional(Label), name: Type.Optional(Label) },
  {
    additionalProperties: false,
    description: 'the name that allowed services get; a part left out stays',
  },
)

const Clusters = Type.Array(Label, {
  maxItems: MAX_NAMES,
  description:
    'clusters of this mesh that it is limited to: of the consumer, or for an export to a peer of what serves it',
})
const VisibleTo = Type.Array(NamePattern, {
  maxItems: MAX_NAMES,
  description: 'for imports: namespaces of this mesh that see the service; default all',
})
const OwnerScope = Type.Array(Label, {
  maxItems: MAX_NAMES,
  description: 'namespaces whose developers may change it; default those of its author',
})
const Priority = Type.Integer({
  minimum: -MAX_PRIORITY,
  maximum: MAX_PRIORITY,
  description: 'orders the names of allowed services, never decisions; default 0',
})
const Moment = Type.String({ format: 'date-time', maxLength: 40 })
const Note = Type.String({ maxLength: MAX_NOTE_LENGTH })

/** Body of `POST /v1/meshes/{meshId}/rules`. */
export const CreateRuleBody = Type.Object(
  {
    name: Type.Optional(Label),
    direction: Type.Enum([...DIRECTIONS]),
    effect: Type.Enum([...EFFECTS]),
    subject: SubjectBody,
    audience: AudienceBody,
    clusters: Type.Optional(Clusters),
    as: Type.Optional(AliasBody),
    visibleTo: Type.Optional(VisibleTo),
    priority: Type.Optional(Priority),
    expiresAt: Type.Optional(Moment),
    ownerScope: Type.Optional(OwnerScope),
    note: Type.Optional(Note),
  },
  { additionalProperties: false },
)

/** Body of `PATCH /v1/meshes/{meshId}/rules/{rule}`; `null` takes a member away. */
export const ChangeRuleBody = Type.Object(
  {
    name: Type.Optional(Type.Union([Label, Type.Null()])),
    effect: Type.Optional(Type.Enum([...EFFECTS])),
    subject: Type.Optional(SubjectBody),
    audience: Type.Optional(AudienceBody),
    clusters: Type.Optional(Type.Union([Clusters, Type.Null()])),
    as: Type.Optional(Type.Union([AliasBody, Type.Null()])),
    visibleTo: Type.Optional(Type.Union([VisibleTo, Type.Null()])),
    priority: Type.Optional(Priority),
    expiresAt: Type.Optional(Type.Union([Moment, Type.Null()])),
    ownerScope: Type.Optional(Type.Union([OwnerScope, Type.Null()])),
    note: Type.Optional(Type.Union([Note, Type.Null()])),
  },
  { additionalProperties: false, minProperties: 1 },
)

/** A rule. */
export const RuleBody = Type.Object({
  id: Type.String(),
  name: Type.Union([Type.String(), Type.Null()]),
  direction: Type.Enum([...DIRECTIONS]),
  effect: Type.Enum([...EFFECTS]),
  subject: SubjectBody,
  audience: AudienceBody,
  clusters: Type.Union([Clusters, Type.Null()]),
  as: Type.Union([AliasBody, Type.Null()]),
  visibleTo: Type.Union([VisibleTo, Type.Null()]),
  priority: Type.Integer(),
  expiresAt: Type.Union([Moment, Type.Null()]),
  ownerScope: Type.Union([OwnerScope, Type.Null()]),
  note: Type.Union([Note, Type.Null()]),
  line: Type.String({ description: 'the rule as one line' }),
  version: Type.String(),
  createdAt: Moment,
})

/** Query of the list of rules. */
export const RulesQuery = Type.Object(
  { ...PageQuery.properties, direction: Type.Optional(Type.Enum([...DIRECTIONS])) },
  { additionalProperties: false },
)

/** Path of a rule. */
export const RuleParams = Type.Object({
  ...MeshParams.properties,
  rule: Type.String({ minLength: 1, maxLength: 63, description: 'its id or its name' }),
})

/** A rule on the wire. */
export type RuleView = Static<typeof RuleBody>
