import type { Versioning } from './etag.ts'

/** An operation of the API's description, as far as versions go. */
export interface VersionedOperation {
  parameters?: object[]
  responses?: Record<string, object>
}

const PROBLEM = { $ref: '#/components/responses/Problem' }

const IF_MATCH = {
  required: 'ETag of the version that the change is made on, or * for any; without it 428',
  'unless-dry-run':
    'ETag of the version that the change is made on, or * for any; without it 428, unless dryRun',
  honoured: 'ETag of the version that the change is made on; without it the change is made on any',
} as const

/** Adds the headers and the refusals of a route that deals with versions (RFC 9110 §8.8.3, §13.1; RFC 6585 §3). */
export function describeVersions(
  operation: VersionedOperation,
  { ifMatch, etag = [], ifNoneMatch = false }: Versioning,
): void {
  const isRequired = ifMatch === 'required'
  if (ifMatch !== undefined) addHeader(operation, 'If-Match', [IF_MATCH[ifMatch], isRequired])
  if (ifNoneMatch) {
    addHeader(operation, 'If-None-Match', [
      'ETag of the content that is known; if it is still that, 304',
      false,
    ])
  }
  const responses = { ...operation.responses }
  if (ifMatch !== undefined) responses['412'] = PROBLEM
  if (ifMatch !== undefined && ifMatch !== 'honoured') responses['428'] = PROBLEM
  const description = ifNoneMatch ? 'tag of this content' : 'tag of this version'
  for (const status of etag) {
    const ETag = { schema: { type: 'string' }, description }
    responses[status] = { ...responses[status], headers: { ETag } }
  }
  operation.responses = responses
}

function addHeader(
  operation: VersionedOperation,
  name: string,
  [description, required]: readonly [string, boolean],
): void {
  const header = { schema: { type: 'string' }, in: 'header', name, required, description }
  operation.parameters = [...(operation.parameters ?? []), header]
}
