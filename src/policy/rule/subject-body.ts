import { type Static } from 'typebox'
import { ServiceError } from '../../errors.ts'
import { type CreateRuleBody } from './rule-api.ts'
import { type SubjectDraft } from './rule.ts'

/** The subject in a body: services or identities, never both; throws RULE_INVALID. */
export function readSubject({
  identity,
  ...service
}: Static<typeof CreateRuleBody>['subject']): SubjectDraft {
  if (identity !== undefined) {
    const [extra] = Object.keys(service)
    if (extra === undefined) return { identity }
    throw invalid(`/subject/${extra}`, 'a rule speaks of services or of identities; write two')
  }
  const { namespace, name, ...narrowed } = service
  if (namespace !== undefined && name !== undefined) return { namespace, name, ...narrowed }
  const missing = namespace === undefined ? 'namespace' : 'name'
  throw invalid(
    `/subject/${missing}`,
    'a subject has namespace and name ("*" for all), or an identity',
  )
}

function invalid(pointer: string, detail: string): ServiceError {
  return new ServiceError('RULE_INVALID', detail, { fields: [{ in: 'body', pointer, detail }] })
}
