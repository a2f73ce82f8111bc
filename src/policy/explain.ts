import { quoted, ServiceError } from '../errors.ts'
import { parseSpiffeId } from '../spiffe/spiffe-id.ts'
import { type Query } from './answer.ts'
import { type ExplainView } from './api.ts'
import { evaluate } from './evaluate.ts'
import { smallestChange } from './remedy.ts'
import { type SubjectName } from './rule-index.ts'
import { type Snapshot } from './snapshot.ts'

/** A question as it comes over the wire. */
export interface Asked {
  readonly service: string
  readonly caller?: string
  readonly of?: string
  readonly to?: string
}

/** The question that was asked; throws INVALID_REQUEST, SPIFFE_ID_INVALID. */
export function questionOf({ service, caller, of, to }: Asked, at: Date): Query {
  const id = caller === undefined ? undefined : parseSpiffeId(caller)
  return { subject: parseServiceName(service), of, to, caller: id, at }
}

/** A decision with its chain of reasons and, on a deny, the smallest change that would allow it. */
export function explain(snapshot: Snapshot, query: Query): ExplainView {
  const { decision, question, steps, undecided, hostname, serverIds } = evaluate(snapshot, query)
  return {
    decision,
    question,
    steps: steps.map((step) => ({ ...step })),
    undecided: [...undecided],
    hostname: hostname ?? null,
    serverIds: [...serverIds],
    at: query.at.toISOString(),
    revision: String(snapshot.revision),
    next: smallestChange(snapshot, query).map((change) => change.command),
  }
}

/** A service as it is written everywhere, `namespace/name`; throws INVALID_REQUEST. */
export function parseServiceName(text: string): SubjectName {
  const [namespace = '', name = '', ...rest] = text.split('/')
  if (namespace !== '' && name !== '' && rest.length === 0) return { namespace, name }
  throw new ServiceError(
    'INVALID_REQUEST',
    `${quoted(text)} is no service; wanted namespace/name`,
    {
      fields: [{ in: 'querystring', pointer: '/service', detail: 'wanted namespace/name' }],
    },
  )
}
