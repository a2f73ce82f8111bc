import { command } from '../../errors.ts'
import {
  type ForecastView,
  type RelationshipDomainView,
  type RelationshipView,
} from '../../federation/api.ts'
import { until } from './spans.ts'

/** What a forecast is told by. */
export type Forecasted = Pick<RelationshipView, 'name' | 'readerUrl' | 'forecast'> & {
  readonly domains: readonly Pick<RelationshipDomainView, 'trustDomain' | 'source'>[]
}

/** When trust ends, what fails then and what to do about it: a line for each way in which it does, the earliest first. */
export function shownForecast(view: Forecasted): [string, string][] {
  return view.forecast.map((term, index) => {
    const name = index === 0 ? 'trust breaks' : `trust breaks (${index + 1})`
    return [
      name,
      `${term.at}, ${until(term.at)}: ${term.detail}; ${ADVICE[term.reason](view, term.trustDomain ?? '')}`,
    ]
  })
}

type Advice = (view: Forecasted, trustDomain: string) => string

const ADVICE: Readonly<Record<ForecastView['reason'], Advice>> = {
  'peer-authorities-end': adviceOnPeer,
  'endpoint-unauthenticated': ({ name }) =>
    `${command`entente federation doctor ${name}`} tells what its endpoint needs`,
  'consent-expires': ({ name }) =>
    `to go on: ${command`entente federation set ${name} --expires-at TIME`}`,
  'own-web-certificate': () => 'replace the certificate in ENTENTE_WEB_CERT_FILE',
  'own-authorities-end': (view) => `they have to fetch our bundle before${placeOf(view)}`,
  'own-authority-unknown': (view) => `they have to fetch our bundle now${placeOf(view)}`,
}

function placeOf({ readerUrl }: Forecasted): string {
  return readerUrl === null ? '' : `, from ${readerUrl}`
}

function adviceOnPeer({ name, domains }: Forecasted, trustDomain: string): string {
  const source = domains.find((domain) => domain.trustDomain === trustDomain)?.source
  if (source === 'local') return 'it moves by itself, read from this service'
  if (source === 'static') {
    return `set a newer bundle before: ${command`entente bundle set ${name} --trust-domain ${trustDomain} --file FILE`}`
  }
  return `each fetch of a newer bundle moves it, and if none comes: ${command`entente federation doctor ${name}`}`
}
