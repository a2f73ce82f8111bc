/** How a step of the doctor ended. */
export type StepOutcome = 'ok' | 'failed' | 'skipped' | 'warning'

/** What the doctor looks at, in its order. */
export const DOCTOR_STEPS = [
  'dns',
  'egress',
  'tcp',
  'tls',
  'chain',
  'spiffe-id',
  'http',
  'document',
  'authority',
  'sequence',
  'hint',
  'clock',
  'fingerprints',
  'their-fetches',
  'consent',
  'istio',
] as const

/** One of {@link DOCTOR_STEPS}. */
export type StepName = (typeof DOCTOR_STEPS)[number]

/** One step: what was found, and what to do about it. */
export interface DoctorStep {
  readonly step: StepName
  readonly outcome: StepOutcome
  readonly detail: string
  /** The command or act that helps. */
  readonly next: string | undefined
}

/** A step that is as it should be. */
export function ok(step: StepName, detail: string): DoctorStep {
  return { step, outcome: 'ok', detail, next: undefined }
}

/** A step that stops this domain from working. */
export function failed(step: StepName, detail: string, next?: string): DoctorStep {
  return { step, outcome: 'failed', detail, next }
}

/** A step that works and that somebody should look at. */
export function warning(step: StepName, detail: string, next?: string): DoctorStep {
  return { step, outcome: 'warning', detail, next }
}

/** A step that could not be looked at, or that does not apply. */
export function skipped(step: StepName, detail: string, next?: string): DoctorStep {
  return { step, outcome: 'skipped', detail, next }
}
