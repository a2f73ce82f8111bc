import { type Static, Type } from 'typebox'

/** One step of the doctor. */
export const DoctorStepBody = Type.Object({
  step: Type.String({ description: 'dns, egress, tcp, tls, chain, spiffe-id, http, document, …' }),
  outcome: Type.Union([
    Type.Literal('ok'),
    Type.Literal('failed'),
    Type.Literal('skipped'),
    Type.Literal('warning'),
  ]),
  detail: Type.String(),
  next: Type.Union([Type.String(), Type.Null()], { description: 'the command or act that helps' }),
})

/** Answer of `POST …/relationships/{name}/doctor`. */
export const DiagnosisBody = Type.Object({
  healthy: Type.Boolean({ description: 'no step failed' }),
  domains: Type.Array(
    Type.Object({ trustDomain: Type.String(), steps: Type.Array(DoctorStepBody) }),
  ),
  steps: Type.Array(DoctorStepBody, { description: 'about the relationship as a whole' }),
})

/** One step on the wire. */
export type DoctorStepView = Static<typeof DoctorStepBody>
/** A diagnosis on the wire. */
export type DiagnosisView = Static<typeof DiagnosisBody>
