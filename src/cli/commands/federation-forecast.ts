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
    return [name, `${term.at}, ${until(term.at)}: ${term.detail}; ${adviceFor(view, term)}`]
  })
}

function adviceFor(view: Forecasted, { reason, trustDomain }: ForecastView): string {
  const { name, readerUrl } = view
  const from = readerUrl === null ? '' : `, from ${readerUrl}`
  switch (reason) {
    case 'peer-authorities-end':
      return adviceOnPeer(view, trustDomain ?? '')
    case 'endpoint-unauthenticated':
      return `entente federation doctor ${name} tells what its endpoint needs`
    case 'consent-expires':
      return `to go on: entente federation set ${name} --expires-at TIME`
    case 'own-web-certificate':
      return 'replace the certificate in ENTENTE_WEB_CERT_FILE'
    case 'own-authorities-end':
      return `they have to fetch our bundle before${from}`
    case 'own-authority-unknown':
      return `they have to fetch our bundle now${from}`
  }
}

function adviceOnPeer({ name, domains }: Forecasted, trustDomain: string): string {
  const source = domains.find((domain) => domain.trustDomain === trustDomain)?.source
  if (source === 'local') return 'it moves by itself, read from this service'
  if (source === 'static') {
    return `set a newer bundle before: entente bundle set ${name} --trust-domain ${trustDomain} --file FILE`
  }
  return `each fetch of a newer bundle moves it, and if none comes: entente federation doctor ${name}`
}
