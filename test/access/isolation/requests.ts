import { type TestService } from '../../support/service.ts'
import { type Populated } from './populate.ts'
import { queryOf, subjectOf } from './subjects.ts'
import { fill, type Operation, type Parameter } from './walk.ts'

/** Whether an operation only reads. */
export const isRead = ({ method }: Operation): boolean => method === 'GET'

/** The path of an operation with a mesh's own objects in it. */
export const ownPath = ({ key, path }: Operation, own: Populated): string =>
  fill(path, (one) => subjectOf(one).own(own)) + queryOf(key, own)

/** The same with something else in one place. */
export const pathWith = (
  { key, path }: Operation,
  own: Populated,
  { parameter, value }: { parameter: Parameter; value: string },
): string =>
  fill(path, (one) => (one.place === parameter.place ? value : subjectOf(one).own(own))) +
  queryOf(key, own)

/** A token that holds one role on one mesh. */
export const tokenFor = async (
  service: TestService,
  grant: { role: string; meshId: string; namespaces?: string[] },
): Promise<string> => {
  const made = await service.admin('POST', '/api-tokens', { label: grant.role, ...grant })
  if (made.status !== 201) throw new Error(JSON.stringify(made.body))
  return made.body.token
}
