import t from 'tap'
import { accept, inviteOf, party } from './support.ts'
import { untilTrue } from '../../support/until.ts'
import { testFolder } from '../../support/test-folder.ts'

t.test('an acceptor learns of an approval by itself', async (t) => {
  const folder = testFolder(t, ['acme', 'globex'])
  const acme = await party(t, 'acme', { ENTENTE_DATA_DIR: `${folder}/acme` })
  const globex = await party(t, 'globex', { ENTENTE_DATA_DIR: `${folder}/globex` })
  const { invite } = await inviteOf(acme)
  t.match((await accept(globex, invite)).body, {
    consent: 'pending',
    relationship: { state: 'pending' },
  })
  const { etag = '' } = await acme.call('GET', '/relationships/globex')
  await acme.call('POST', '/relationships/globex/approve', {}, { 'if-match': etag })
  const state = async () => (await globex.call('GET', '/relationships/acme')).body.state as string
  t.equal(await untilTrue(async () => (await state()) === 'active'), true, await state())
})
