import { Type } from 'typebox'
import { parseMeshId } from '../../db/ids.ts'
import { type App } from '../../http/listener.ts'
import { MeshParams } from '../../mesh/api.ts'
import { loadRelationship } from '../find-relationship.ts'
import { InstructionQuery, InstructionsBody } from './instruction-api.ts'
import { gatherInstructionFacts } from './instruction-facts.ts'
import { renderInstructions } from './render-instructions.ts'
import { type RelationshipRoutesOptions } from '../route-options.ts'

const Params = Type.Object({
  ...MeshParams.properties,
  name: Type.String({ maxLength: 63 }),
})

/** What each side pastes where. */
export const instructionRoutes = async (
  app: App,
  { readers, refresh }: Pick<RelationshipRoutesOptions, 'readers' | 'refresh'>,
): Promise<void> => {
  app.get(
    '/meshes/:meshId/relationships/:name/instructions',
    {
      config: { action: 'relationship.read' },
      schema: {
        tags: ['relationships'],
        summary: 'Ready-to-paste configuration for the peer, or for our own control planes',
        params: Params,
        querystring: InstructionQuery,
        response: { 200: InstructionsBody },
      },
    },
    async (request) => {
      const { db } = refresh
      const { meshId, name } = request.params
      const { side, for: target } = request.query
      const relationship = await loadRelationship(db, parseMeshId(meshId), name)
      const facts = await gatherInstructionFacts({ db, readers }, relationship, side)
      return { side, for: target, ...renderInstructions(target, facts) }
    },
  )
}
