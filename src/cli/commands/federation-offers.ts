import { type ImportedOfferView } from '../../policy/binding/offers-api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { CliFailure } from '../failure.ts'

/** What a peer offers, as one line, and commands for what of it is not imported. */
export interface ShownOffers {
  readonly line: string
  readonly next: readonly string[]
}

/** Offers whose commands are spelled out; beyond, the list of offers is shorter than the reading. */
const MAX_SPELLED = 3
/** Offers that are counted; a peer may have very many. */
const MAX_COUNTED = 1_000

/**
 * `globex offers 3, you import 1, 1 in conflict`, with the ready command for the others; undefined when nothing is
 * offered, or when who asks may not know.
 */
export async function shownOffers(cli: Cli, peer: string): Promise<ShownOffers | undefined> {
  const target = path`/meshes/${await cli.meshId()}/relationships/${peer}/offers`
  try {
    return shown(peer, await firstOffers(cli, target))
  } catch (thrown) {
    const isUnseen = thrown instanceof CliFailure && [403, 404].includes(thrown.status ?? 0)
    if (isUnseen) return undefined
    throw thrown
  }
}

interface Offers {
  readonly offers: readonly ImportedOfferView[]
  readonly isAll: boolean
}

function shown(peer: string, { offers, isAll }: Offers): ShownOffers | undefined {
  if (offers.length === 0) return undefined
  const rest = offers.filter(({ imported }) => !imported)
  const lost = rest.filter(({ state }) => state === 'conflict').length
  const more = rest.length - MAX_SPELLED
  return {
    line: `${peer} offers ${isAll ? '' : 'more than '}${offers.length}, you import ${offers.length - rest.length}${lost === 0 ? '' : `, ${lost} in conflict`}`,
    next: [
      ...rest.slice(0, MAX_SPELLED).flatMap(({ next }) => next),
      ...(more > 0 ? [`entente service list --of ${peer}   # and ${more} more`] : []),
    ],
  }
}

async function firstOffers(cli: Cli, target: string): Promise<Offers> {
  const offers: ImportedOfferView[] = []
  let cursor: string | undefined
  do {
    const page = await cli.get<Page>(target, { query: { limit: 500, cursor } })
    offers.push(...page.items)
    cursor = page.nextCursor ?? undefined
  } while (cursor !== undefined && offers.length < MAX_COUNTED)
  return { offers, isAll: cursor === undefined }
}

interface Page {
  readonly items: readonly ImportedOfferView[]
  readonly nextCursor?: string | null
}
