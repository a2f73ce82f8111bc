import {
  type KyselyPlugin,
  type PluginTransformQueryArgs,
  type PluginTransformResultArgs,
} from 'kysely'

/** Counts the statements that pass through a handle. */
export class CountingPlugin implements KyselyPlugin {
  readonly #count: () => void

  constructor(count: () => void) {
    this.#count = count
  }

  transformQuery({ node }: PluginTransformQueryArgs) {
    this.#count()
    return node
  }

  async transformResult({ result }: PluginTransformResultArgs) {
    return result
  }
}
