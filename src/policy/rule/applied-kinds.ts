import { type AppliedKind } from '../../mesh/applied-object.ts'
import { rulesNamed } from './rule-store.ts'

/** The kind `Rule`, by its name. */
export const appliedRules: AppliedKind = rulesNamed
