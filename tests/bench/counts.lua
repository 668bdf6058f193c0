-- SPDX-License-Identifier: Apache-2.0
-- What wrk counted, as the last line of its output; it runs once, when the load has ended.
function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format(
      '{"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "failed": %d}\n',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
      errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
