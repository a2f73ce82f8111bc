import { Type } from 'typebox'
import { parseMeshId } from '../../db/ids.ts'
import { DryRunQuery } from '../../http/dry-run.ts'
import { type App } from '../../http/listener.ts'
import { MeshParams } from '../../mesh/api.ts'
import { type Diagnosis, DoctorTurns, examineRelationship } from './doctor.ts'
import { DiagnosisBody, type DiagnosisView, type DoctorStepView } from './doctor-api.ts'
import { type DoctorStep } from './doctor-step.ts'
import { type RelationshipRoutesOptions } from '../route-options.ts'

const Params = Type.Object({
  ...MeshParams.properties,
  name: Type.String({ maxLength: 63 }),
})

/** The doctor: every step of a fetch with a tick or the reason. */
export const doctorRoutes = async (
  app: App,
  { refresh, owner }: Pick<RelationshipRoutesOptions, 'refresh' | 'owner'>,
): Promise<void> => {
  const turns = new DoctorTurns(() => refresh.clock.monotonicMs())
  app.post(
    '/meshes/:meshId/relationships/:name/doctor',
    {
      config: { action: 'relationship.doctor' },
      schema: {
        tags: ['relationships'],
        summary: 'Look at a relationship step by step; changes nothing, with or without dryRun',
        params: Params,
        querystring: DryRunQuery,
        response: { 200: DiagnosisBody },
      },
    },
    async (request) => {
      const meshId = parseMeshId(request.params.meshId)
      const { name } = request.params
      const options = { actor: request.principal.name }
      const diagnosis = await turns.take(`${meshId} ${name}`, () =>
        examineRelationship(refresh, meshId, { name, owner, options }),
      )
      return viewDiagnosis(diagnosis)
    },
  )
}

function viewDiagnosis({ domains, steps }: Diagnosis): DiagnosisView {
  const all = [...domains.flatMap((domain) => domain.steps), ...steps]
  return {
    healthy: all.every(({ outcome }) => outcome !== 'failed'),
    domains: domains.map((domain) => ({
      trustDomain: domain.trustDomain,
      steps: domain.steps.map(viewStep),
    })),
    steps: steps.map(viewStep),
  }
}

function viewStep({ next, ...step }: DoctorStep): DoctorStepView {
  return { ...step, next: next ?? null }
}
