import { forCurl } from './curl.ts'
import {
  type InstructionFacts,
  type InstructionPart,
  type InstructionRenderer,
  type InstructionTarget,
  textOf,
} from './instruction.ts'
import { forIstio } from './istio.ts'
import { forOpenShift } from './openshift.ts'
import { forControllerManager } from './spire-controller-manager.ts'
import { forSpire } from './spire.ts'

const RENDERERS: Readonly<Record<InstructionTarget, InstructionRenderer>> = {
  spire: forSpire,
  'spire-controller-manager': forControllerManager,
  istio: forIstio,
  openshift: forOpenShift,
  curl: forCurl,
}

/** Ready-to-paste configuration for one target: its parts, and all of them as one text. */
export function renderInstructions(
  target: InstructionTarget,
  facts: InstructionFacts,
): { readonly text: string; readonly parts: InstructionPart[] } {
  const parts = RENDERERS[target](facts)
  return { text: textOf(parts), parts }
}
