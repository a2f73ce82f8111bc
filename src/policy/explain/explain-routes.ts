import { type OwnerScope, ownerScopeOf, requireOwned } from '../../access/owner-scope.ts'
import { parseMeshId } from '../../db/ids.ts'
import { type DbClock } from '../../db/time.ts'
import { type App } from '../../http/listener.ts'
import { MeshParams } from '../../mesh/api.ts'
import { pathOf } from '../../spiffe/spiffe-id.ts'
import { type Query } from '../decision/answer.ts'
import { ExplainBody, ExplainQuery } from './explain-api.ts'
import { callerFacts } from '../rule/callers.ts'
import { factsOf, type FactsDeps } from './explain-facts.ts'
import { explain, questionOf } from './explain.ts'
import { seenBy } from '../snapshot/seen-rules.ts'
import { serviceKey } from '../snapshot/snapshot.ts'
import { type Snapshots } from '../snapshot/snapshots.ts'

/** What the routes of decisions need. */
export interface ExplainRoutesOptions extends FactsDeps {
  readonly now: DbClock
  readonly snapshots: Snapshots
}

/** Decisions with their reasons. */
export const explainRoutes = async (app: App, options: ExplainRoutesOptions): Promise<void> => {
  const { db, now, snapshots } = options

  app.get(
    '/meshes/:meshId/explain',
    {
      config: { action: 'policy.explain', narrows: true },
      schema: {
        tags: ['rules'],
        summary: 'Whether a service may be seen or called, why, and what would allow it',
        params: MeshParams,
        querystring: ExplainQuery,
        response: { 200: ExplainBody },
      },
    },
    async (request) => {
      const meshId = parseMeshId(request.params.meshId)
      const { at, network, ...asked } = request.query
      const moment = await now(db)
      const query = questionOf(asked, at === undefined ? moment : new Date(at))
      const scope = ownerScopeOf(request.principal, 'policy.explain', meshId)
      requireExplainable(scope, query)
      const snapshot = seenBy(await snapshots.current(meshId), scope)
      const consumer = { network, cluster: query.cluster }
      const facts = await factsOf(options, snapshot, { query, consumer, now: moment })
      const view = explain(snapshot, query, facts)
      return scope === undefined ? view : { ...view, revision: null }
    },
  )
}

/**
 * A developer has the services of his namespaces explained, and peers' services to callers of his namespaces; other
 * answers would show rules that are not his. Throws FORBIDDEN.
 */
function requireExplainable(scope: OwnerScope, query: Query): void {
  const { subject, of } = query
  if (of === undefined) {
    const title = `service ${serviceKey(subject)}`
    return requireOwned(scope, { title, within: [subject.namespace] })
  }
  requireOwned(scope, { title: `a caller of ${of}`, within: consumersOf(query) })
}

/** The namespaces that a question is asked for; a caller whose path names none is in nobody's. */
function consumersOf({ caller, namespace }: Query): string[] {
  if (caller === undefined) return namespace === undefined ? [] : [namespace]
  const own = callerFacts(pathOf(caller)).namespace
  return own === undefined ? [] : [own, ...(namespace === undefined ? [] : [namespace])]
}
