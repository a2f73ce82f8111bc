import { type RegisteredPath } from '../policy/lint/lint-facts.ts'
import { hasEntryLike } from './entry-store.ts'

/** Whether any entry of a mesh has a SPIFFE ID of such a path, whichever of its trust domains it is in. */
export const hasRegisteredPath: RegisteredPath = (db, meshId, path) =>
  hasEntryLike(db, meshId, path)
