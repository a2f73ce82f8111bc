import { quoted, ServiceError } from '../errors.ts'

/** The refusal for a mesh that does not exist, or is not the caller's to see. */
export function noSuchMesh(meshId: string): ServiceError {
  return new ServiceError('NOT_FOUND', `there is no mesh ${quoted(meshId)}`, {
    next: 'entente mesh list',
  })
}
