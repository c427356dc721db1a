-- include: move.lua

-- Ends an attempt that did not succeed: with the next one, or with the version's failure.
-- Returns {state, attempt, when the next attempt is due (ms from now)} or an error reply.
local function end_attempt(version, work, max_attempts, reason, retry_in_ms, grace_ms)
  local attempt = tonumber(redis.call('HGET', version, work.attempts))
  if attempt >= max_attempts then
    return move(version, work.failed, reason) or {work.failed, attempt, 0}
  end
  local retry_at = now_ms() + retry_in_ms
  local refused = move(version, work.retrying, reason, {'retry_at', ms(retry_at)})
  if refused then return refused end
  set_due(version, retry_at + grace_ms)
  return {work.retrying, attempt, retry_in_ms}
end
