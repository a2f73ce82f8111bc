import t from 'tap'
import { startProcess } from '../support/process.ts'
import { sixStarters } from '../support/starters.ts'
import { testFolder } from '../support/test-folder.ts'

t.setTimeout(1_500_000)

t.test(
  'twenty times: the holder of a data folder is killed, six start at once, exactly one runs',
  async (t) => {
    const folder = testFolder(t)
    let holder = await startProcess(t, { ENTENTE_DATA_DIR: folder })
    for (let round = 1; round <= 20; round += 1) {
      const { running, refused } = await sixStarters(t, folder, holder)
      t.same(
        refused.map(({ code }) => code),
        [1, 1, 1, 1, 1],
        `round ${round}`,
      )
      holder = running
    }
  },
)
