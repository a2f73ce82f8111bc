import { parseMeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type DbClock } from '../../db/time.ts'
import { type App } from '../../http/listener.ts'
import { decodeCursor, pageOf, PageQuery, pageSchema } from '../../http/page.ts'
import { MeshParams } from '../../mesh/api.ts'
import { LintFindingBody, type LintFindingView } from './lint-api.ts'
import { isAllowed } from '../../access/principal.ts'
import { loadLintFacts, type RegisteredPath } from './lint-facts.ts'
import { type LintFinding } from './lint-finding.ts'
import { compareKeys, findingKey, lint } from './lint.ts'
import { type Snapshots } from '../snapshot/snapshots.ts'

/** What the linter's route needs. */
export interface LintRoutesOptions {
  readonly db: Db
  readonly now: DbClock
  readonly snapshots: Snapshots
  readonly hasRegistered: RegisteredPath
}

/** What about the rules of a mesh is probably not meant, the gravest first. */
export const lintRoutes = async (app: App, options: LintRoutesOptions): Promise<void> => {
  const { db, now, snapshots, hasRegistered } = options
  app.get(
    '/meshes/:meshId/lint',
    {
      config: { action: 'policy.lint' },
      schema: {
        tags: ['rules'],
        summary:
          'Rules that can never match or open more than they seem to, and offers nobody imports',
        params: MeshParams,
        querystring: PageQuery,
        response: { 200: pageSchema(LintFindingBody) },
      },
    },
    async (request) => {
      const { limit, cursor } = request.query
      const after = decodeCursor(cursor, 3)
      const snapshot = await snapshots.current(parseMeshId(request.params.meshId))
      const { grants } = request.principal
      const mayLint = (meshId: string): boolean => isAllowed(grants, 'policy.lint', { meshId })
      const facts = await loadLintFacts({ db, snapshots, hasRegistered, mayLint }, snapshot)
      const rest = lint(snapshot, await now(db), facts).filter(
        (finding) => after === undefined || compareKeys(findingKey(finding), after) > 0,
      )
      const { items, nextCursor } = pageOf(rest, limit, findingKey)
      return { items: items.map(viewFinding), nextCursor }
    },
  )
}

function viewFinding(finding: LintFinding): LintFindingView {
  return { ...finding, next: [...finding.next] }
}
