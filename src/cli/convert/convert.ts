import { consul } from './consul.ts'
import { type Conversion, Draft } from './draft.ts'
import { mcs } from './mcs.ts'
import { type ConvertOptions, type Converter, type Origin } from './options.ts'
import { ossm } from './ossm.ts'
import { readInput } from './read-input.ts'

const CONVERTERS: Readonly<Record<Origin, Converter>> = { ossm, consul, mcs }

/** A text in another system's form. */
export interface PolicyFile {
  readonly from: Origin
  /** Its name, `-` for stdin; shown where a part of it is refused. */
  readonly file: string
  readonly bytes: Uint8Array
}

/**
 * Another system's policy as documents for `apply -f`; what cannot be said in rules is among the refusals, the rest
 * is converted.
 *
 * Pure, and the same input always gives the same documents. Throws a failure with exit code 2 for a text that is
 * neither YAML nor JSON.
 */
export function convertPolicy(policy: PolicyFile, options: ConvertOptions): Conversion {
  const converter = CONVERTERS[policy.from]
  const documents = readInput(policy.file, policy.bytes, converter)
  const draft = new Draft(options.mesh)
  converter.convert(draft, documents, options)
  return draft.end()
}
