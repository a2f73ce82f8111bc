import t from 'tap'
import { type Forecasted, shownForecast } from '../../src/cli/commands/federation-forecast.ts'

type Term = Forecasted['forecast'][number]

const HOUR = 3_600_000

function forecasted(
  term: Partial<Term> & Pick<Term, 'reason'>,
  source: Forecasted['domains'][number]['source'] = 'https_spiffe',
): Forecasted {
  const at = new Date(Date.now() + 72 * HOUR + 60_000).toISOString()
  const trustDomain = 'globex.example'
  return {
    name: 'globex',
    readerUrl: 'https://acme.example/for/x',
    domains: [{ trustDomain, source }],
    forecast: [{ at, stops: 'we', trustDomain, detail: 'it fails', ...term }],
  }
}

const lineOf = (about: Forecasted) => shownForecast(about)[0]?.[1] ?? ''

t.test('each way in which trust ends says when, what fails and what to do', async (t) => {
  const ends = { reason: 'peer-authorities-end' } as const
  t.match(lineOf(forecasted(ends)), /^\d{4}-.*Z, in 3d: it fails; .* federation doctor globex$/)
  t.match(
    lineOf(forecasted(ends, 'static')),
    'entente bundle set globex --trust-domain globex.example --file FILE',
  )
  t.match(lineOf(forecasted(ends, 'local')), 'it moves by itself')
  for (const [reason, advice] of [
    ['endpoint-unauthenticated', 'entente federation doctor globex'],
    ['consent-expires', 'entente federation set globex --expires-at TIME'],
    ['own-web-certificate', 'ENTENTE_WEB_CERT_FILE'],
    ['own-authorities-end', 'fetch our bundle before, from https://acme.example/for/x'],
    ['own-authority-unknown', 'fetch our bundle now, from https://acme.example/for/x'],
  ] as const) {
    t.match(lineOf(forecasted({ reason })), advice)
  }
  const at = new Date(Date.now() - 5 * HOUR).toISOString()
  t.match(lineOf(forecasted({ ...ends, at })), `${at}, 5h ago: it fails`)
})

t.test('several ways are told the earliest first, by numbers', async (t) => {
  const { forecast, ...about } = forecasted({ reason: 'peer-authorities-end' })
  const names = shownForecast({ ...about, forecast: [...forecast, ...forecast] })
  t.same(
    names.map(([name]) => name),
    ['trust breaks', 'trust breaks (2)'],
  )
})
