import { quoted, ServiceError } from '../../errors.ts'
import { type SubjectName } from '../snapshot/rule-index.ts'

/** The service in a query, `namespace/name` as it is written everywhere; throws INVALID_REQUEST. */
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
