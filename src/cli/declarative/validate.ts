import { type ErrorObject } from 'ajv'
import { type RefusedField } from '../failure.ts'
import { type ObjectDocument } from './documents.ts'
import { type JsonSchema } from './json-schema.ts'
import { type ApiDescription } from './schemas.ts'

/** Checks documents against the service's own description of what it takes: unknown, missing and wrong members. */
export async function faultsIn(
  documents: readonly ObjectDocument[],
  description: ApiDescription,
): Promise<RefusedField[]> {
  const { Ajv } = await import('ajv')
  const formats = await import('ajv-formats')
  const ajv = new Ajv({ strict: false, allErrors: true, verbose: true })
  formats.default.default(ajv)
  return documents.flatMap(({ place, kind, body }) => {
    const validate = ajv.compile(description.of(kind).create)
    if (validate(body)) return []
    return told(validate.errors ?? []).map((error) => ({ in: place, ...fieldOf(error) }))
  })
}

/** Of alternatives that all fail only that is told, not why each of them does. */
function told(errors: readonly ErrorObject[]): readonly ErrorObject[] {
  const outside = errors.filter(({ schemaPath }) => !/\/anyOf\/\d+\//.test(schemaPath))
  return outside.length === 0 ? errors : outside
}

function fieldOf({
  instancePath,
  params,
  message,
  keyword,
  parentSchema,
}: ErrorObject): RefusedField & {
  readonly detail: string
} {
  const extra: unknown = params['additionalProperty']
  if (typeof extra === 'string') {
    const known = Object.keys((parentSchema as JsonSchema | undefined)?.properties ?? {})
    const wanted = known.length === 0 ? '' : `, wanted one of ${known.join(', ')}`
    const detail = `is no field that the service knows${wanted}`
    return { pointer: `${instancePath}/${extra}`, detail }
  }
  const missing: unknown = params['missingProperty']
  if (typeof missing === 'string') {
    return { pointer: `${instancePath}/${missing}`, detail: 'is missing' }
  }
  const detail = keyword === 'anyOf' ? 'is none of what it may be' : (message ?? 'is not valid')
  return { pointer: instancePath, detail }
}
