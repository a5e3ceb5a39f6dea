'use strict';
// Mocha's output for this project: a line a file's outermost suite, then the failures in full, then `N passed, N failed`.
const { Base } = require('mocha').reporters;
const { EVENT_RUN_END, EVENT_SUITE_BEGIN, EVENT_SUITE_END, EVENT_TEST_FAIL, EVENT_TEST_PASS, EVENT_TEST_PENDING } =
  require('mocha').Runner.constants;

class Reporter extends Base {
  constructor(runner, options) {
    super(runner, options);
    let suite = { passed: 0, failed: 0, skipped: 0, started: 0 };
    const isOutermost = ({ parent }) => parent !== undefined && parent.root;
    runner.on(EVENT_SUITE_BEGIN, (begun) => {
      if (isOutermost(begun)) suite = { passed: 0, failed: 0, skipped: 0, started: Date.now() };
    });
    runner.on(EVENT_TEST_PASS, () => suite.passed++);
    runner.on(EVENT_TEST_PENDING, () => suite.skipped++);
    runner.on(EVENT_TEST_FAIL, (test) => {
      suite.failed++;
      Base.consoleLog(`FAIL  ${test.fullTitle()}`);
    });
    runner.on(EVENT_SUITE_END, (ended) => {
      if (!isOutermost(ended)) return;
      const { passed, failed, skipped, started } = suite;
      const counts = [`${passed} passed`, failed && `${failed} failed`, skipped && `${skipped} skipped`].filter(
        Boolean,
      );
      const seconds = ((Date.now() - started) / 1000).toFixed(1);
      Base.consoleLog(`${failed ? 'FAIL' : 'ok  '}  ${ended.title} (${counts.join(', ')}, ${seconds} s)`);
    });
    runner.once(EVENT_RUN_END, () => {
      const { passes, failures, pending } = this.stats;
      if (failures > 0) Base.list(this.failures);
      if (pending > 0) Base.consoleLog(`\n${pending} skipped, because what they need is not there`);
      Base.consoleLog(`\n${passes} passed, ${failures} failed`);
    });
  }
}

module.exports = Reporter;
